"""The operator's own settings, from environment variables that begin with TRIREME_.

The Helm chart writes them; `trireme run --help` does not repeat them. Each has its unit in its
name.
"""

from collections import Counter
from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from trireme.api.gpu_budgets import GpuBudget
from trireme.errors import InvalidSettings

_PREFIX = "TRIREME_"


class Settings(BaseSettings):
    """Everything `trireme run` can be told."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    namespaces: list[str] = Field([], description="Namespaces to watch; empty watches all.")
    operator_namespace: str = Field("trireme-system", description="Where the Lease lives.")
    lease_name: str = Field(
        "trireme-leader", description="Name of the Lease, which those that are to take turns share."
    )
    identity: str = Field("trireme", description="This replica's name in the Lease: the pod's.")
    leader_election: bool = Field(True, description="Whether to wait for the Lease before acting.")
    lease_duration_seconds: int = Field(15, ge=1)
    lease_renew_deadline_seconds: int = Field(10, ge=1)
    lease_retry_period_seconds: int = Field(2, ge=1)
    listen_port: int = Field(8080, description="Port of /healthz, /readyz and /metrics.")
    decisions_port: int = Field(
        8081, description="Port of /decisions, on loopback: by port-forward only."
    )

    workers: int = Field(
        4,
        ge=1,
        description="Reconciliations at a time; one that takes over 5 s is not counted, of up to 8 "
        "times as many.",
    )
    resync_seconds: float = Field(60, gt=0, description="Every agent is looked at this often.")
    watch_silence_seconds: float = Field(
        70,
        gt=0,
        description="A watch without a word for this long is opened anew; API servers say "
        "something, a bookmark, about once a minute.",
    )
    autoscale_interval_seconds: float = Field(
        5, gt=0, le=30, description="Between scaling rounds; /healthz wants one a minute."
    )
    shutdown_grace_seconds: float = Field(20, gt=0)

    control_key_file: Path | None = Field(
        None, description="File with the key that agents' control keys come from; `run` needs it."
    )

    node_cache_url: str = Field(
        "", description="Where pods reach the cache of their own node; empty where there is none."
    )
    node_cache_key_file: Path | None = Field(
        None, description="File with the key that it shares with the operator; the URL needs it."
    )

    gpu_budgets: list[GpuBudget] = Field([], description="GPUs that agents share, by name.")

    @field_validator("gpu_budgets")
    @classmethod
    def _each_name_once(cls, budgets: list[GpuBudget]) -> list[GpuBudget]:
        counts = Counter(budget.name for budget in budgets)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"{', '.join(twice)} is there more than once: remove all but one")
        return budgets

    prometheus_url: str = Field("http://prometheus.monitoring:9090", description="Base URL.")
    prometheus_timeout_seconds: float = Field(4, gt=0)
    prometheus_token_file: Path | None = Field(None, description="Bearer token, re-read.")
    prometheus_ca_file: Path | None = Field(None, description="CA bundle for TLS.")
    prometheus_client_cert_file: Path | None = None
    prometheus_client_key_file: Path | None = None
    prometheus_insecure_skip_verify: bool = False
    prometheus_headers: dict[str, str] = Field({}, description="Such as X-Scope-OrgID.")
    label_namespace: str = Field("namespace", description="Metric label of the pod's namespace.")
    label_pod: str = Field("pod", description="Metric label of the pod's name.")
    label_agent: str = Field("trireme_dev_agent", description="Metric label of the agent: servers.")
    label_gateway: str = Field("trireme_dev_gateway", description="The same, of gateway pods.")

    operator_image: str = Field(
        "trireme/operator:0.1.0",
        description="This program's own image, for what runs beside agents.",
    )
    operator_image_pull_policy: str = Field("IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    fetcher_image: str = Field(
        "", description="What fetches models in their pods; empty takes the operator's image."
    )
    optimizer_image: str = Field(
        "trireme/optimizer:0.1.0", description="What optimises models: this program with torch."
    )
    optimizer_image_pull_policy: str = Field(
        "IfNotPresent", pattern="^(Always|IfNotPresent|Never)$"
    )
    optimizer_jobs: int = Field(
        2, ge=1, le=100, description="Models that are optimised at a time, of all agents."
    )
    gateway_image: str = Field(
        "envoyproxy/envoy:v1.40.0",
        description="Default Envoy image; a test holds it at the version that the tests run.",
    )
    cluster_domain: str = Field("cluster.local", description="The cluster's DNS domain.")
    discovery: str = Field("Annotations", pattern="^(PodMonitor|Annotations|None)$")
    scrape_interval_seconds: int = Field(
        5, ge=1, le=30, description="Asked for in PodMonitors; scaling refuses more than 30."
    )
    pod_monitor_labels: dict[str, str] = Field({}, description="What a Prometheus selects by.")

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: str = Field("json", pattern="^(json|text)$")


def read_settings() -> Settings:
    """The settings as the environment has them.

    Raises InvalidSettings with every variable that cannot be read, and without what it holds: URLs
    and headers have secrets in them.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = [_fault(each["loc"], each["msg"]) for each in error.errors()]
        raise InvalidSettings("; ".join(faults)) from None
    except SettingsError as error:  # it says the field, and `from` what the reader of JSON says
        raise InvalidSettings(f"{error}: {error.__cause__}") from None


def _fault(location: tuple[str | int, ...], message: str) -> str:
    field, *within = location
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in within)
    return f"{_PREFIX}{str(field).upper()}{place}: {message.removeprefix('Value error, ')}"
