"""The tritonserver command line. Pure. `api.flags` keeps users from setting any of these."""

from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.api.flags import flag_name
from trireme.api.releases import Feature, Release, release_of, supports
from trireme.api.scalars import quantity_value
from trireme.modelrepo.plan import is_complete
from trireme.modelrepo.repository import Repository
from trireme.resources.drain import server_drain

REPOSITORY = "/models"

_CONTROL = "model-repository,shared-memory,logging,trace"
"""What the key opens, in Triton's words. Loading a model runs its code, a shared-memory region is
memory of other processes, logs and traces are files. Health, metadata, configurations, statistics
and inference stay open: probes and clients need them.
"""


def server_arguments(spec: AgentSpec, repository: Repository) -> list[str]:
    """The program and its flags, the user's own last.

    The program is an argument and not the command, so that an image's own entry point stays in
    force: NVIDIA's makes older GPU drivers work.
    """
    drain = server_drain(spec)
    release = release_of(spec.server)
    return [
        "tritonserver",
        f"--model-repository={REPOSITORY}",
        # Explicit mode, so that the operator may change a model in place; all are loaded at once.
        "--model-control-mode=explicit",
        "--load-model=*",
        # A model that fails leaves the pod unready with Triton's reason in its index, instead of a
        # crash loop that hides it.
        "--exit-on-error=false",
        "--strict-readiness=true",
        *_model_flags(spec, repository),
        f"--exit-timeout-secs={drain.exit_timeout_seconds}",
        f"--http-port={names.HTTP_PORT}",
        f"--grpc-port={names.GRPC_PORT}",
        f"--metrics-port={names.METRICS_PORT}",
        f"--grpc-max-connection-age={drain.grpc_connection_age_milliseconds}",
        f"--grpc-max-connection-age-grace={drain.grpc_connection_age_grace_milliseconds}",
        *_restrictions(release),
        *_latency_metrics(release),
        *spec.server.args,
    ]


def _model_flags(spec: AgentSpec, repository: Repository) -> list[str]:
    """What the models' configurations ask of the server. A flag that the user gives stands."""
    configs = [model.config for model in repository.models]
    cache_bytes = int(quantity_value(spec.server.resources.response_cache))
    asked = {
        # Completing a configuration costs a Python model 1.3 s, and stalls its siblings.
        "--disable-auto-complete-config": all(map(is_complete, configs)),
        f"--cache-config=local,size={cache_bytes}": any(
            config.response_cache.enable for config in configs
        ),
        "--rate-limit=execution_count": any(
            group.HasField("rate_limiter") for config in configs for group in config.instance_group
        ),
    }
    given = {flag_name(argument) for argument in spec.server.args}
    return [flag for flag, is_asked in asked.items() if is_asked and flag_name(flag) not in given]


def _restrictions(release: Release | None) -> list[str]:
    """Close the control interface to everyone without the key, as far as the release can.

    The kubelet puts the key in place of $(…), so that no object but the Secret holds it. For gRPC
    Triton puts `triton-grpc-protocol-` before the header's name.
    """
    rule = f"{_CONTROL}:{names.CONTROL_HEADER}=$({names.CONTROL_VARIABLE})"
    flags = {
        Feature.HTTP_RESTRICTION: f"--http-restricted-api={rule}",
        Feature.GRPC_RESTRICTION: f"--grpc-restricted-protocol={rule}",
    }
    return [flag for feature, flag in flags.items() if supports(release, feature)]


def _latency_metrics(release: Release | None) -> list[str]:
    """The best latency distribution a release offers; none of a release that is not known."""
    if supports(release, Feature.LATENCY_HISTOGRAM):
        return ["--metrics-config=histogram_latencies=true"]
    if supports(release, Feature.LATENCY_SUMMARIES):
        return ["--metrics-config=summary_latencies=true"]
    return []
