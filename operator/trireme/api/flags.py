"""The tritonserver flags and variables that belong to Trireme, and what a user sets instead.

Pure. `resources` writes them into the pod; `admission` refuses them in `spec.server`.
"""

from trireme.api import names

_NOTHING = "Remove it: Trireme sets it"

RESERVED: dict[str, str] = {
    "model-repository": "Remove it: Trireme mounts the repository it generates from spec.models",
    "model-store": "Remove it: Trireme mounts the repository it generates from spec.models",
    "model-control-mode": _NOTHING,
    "load-model": "Remove it: every model of spec.models and spec.pipelines is loaded",
    "exit-on-error": "Remove it: a model that fails is reported in the status, the others serve",
    "strict-readiness": "Remove it: a pod is ready when every model is",
    "strict-model-config": "Remove it: Trireme writes complete model configurations",
    "disable-auto-complete-config": "Remove it: Trireme writes complete model configurations",
    "exit-timeout-secs": "Set spec.server.exitTimeout instead",
    "http-port": _NOTHING,
    "http-address": _NOTHING,
    "grpc-port": _NOTHING,
    "grpc-address": _NOTHING,
    "metrics-port": _NOTHING,
    "metrics-address": _NOTHING,
    "reuse-http-port": _NOTHING,
    "reuse-grpc-port": _NOTHING,
    "allow-http": "Remove it: the probes need HTTP",
    "allow-grpc": "Remove it: the gateway offers gRPC",
    "allow-metrics": "Remove it: scaling needs the metrics",
    "metrics-config": "Remove it: Trireme switches on what scaling needs",
    "grpc-max-connection-age": "Remove it: Trireme computes it from spec.server.drainTime",
    "grpc-max-connection-age-grace": "Remove it: Trireme computes it from spec.server.drainTime",
    "http-restricted-api": "Remove it: Trireme closes the control interface",
    "grpc-restricted-protocol": "Remove it: Trireme closes the control interface",
    # Before March 2026 these two loaded models for whoever asked, without the key.
    "allow-sagemaker": "Remove it: it is a second way to the control interface",
    "allow-vertex-ai": "Remove it: it is a second way to the control interface",
}
"""Flag, without its dashes and with hyphens: the remedy for a user who sets it."""

RESERVED_VARIABLES: dict[str, str] = {
    names.CONTROL_VARIABLE: "Remove it: Trireme sets it",
    "AIP_MODE": "Remove it: it switches on Vertex AI's way to the control interface",
}
"""Environment variable: the remedy for a user who sets it."""


def flag_name(argument: str) -> str:
    """The flag an argument sets, as RESERVED writes it: `--exit_timeout_secs=3` is
    `exit-timeout-secs`.
    """
    return argument.strip().lstrip("-").partition("=")[0].partition(" ")[0].replace("_", "-")
