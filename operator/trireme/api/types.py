"""The AgentDeployment: what a user writes (spec) and what Trireme answers (status).

These pydantic models are the one source of the custom resource: `api.crd` turns them into the
CustomResourceDefinition, so each field's description is what `kubectl explain` prints. A rule the
API server can hold is here as a schema bound or a CEL rule (`schema.cel`); what only the whole spec
can tell is in `admission`. What an agent is made of is in `models`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from trireme.api import names
from trireme.api.adoption import Adoption
from trireme.api.models import ImagePullPolicy, Model, ModelName, Pipeline, SecretRef
from trireme.api.optimization import Optimization, OptimizationStatus
from trireme.api.rollout import Rollout, RolloutStatus
from trireme.api.scalars import Duration, Quantity, Ratio
from trireme.api.schema import ApiModel, Preserved, cel, list_map, one_of
from trireme.api.tuning import Tuning, TuningStatus

# --------------------------------------------------------------------------------------- server


class Gpus(ApiModel):
    """The GPUs of one pod."""

    count: int = Field(1, ge=0, le=64, description="GPUs per pod; 0 runs on CPU.")
    resource: str = Field(
        "nvidia.com/gpu",
        max_length=128,
        description="The extended resource asked for, such as nvidia.com/gpu or "
        "nvidia.com/mig-1g.10gb.",
    )


class Resources(ApiModel):
    """The requests of one server pod's container. No CPU limit is set, on purpose: a quota stalls a
    pod for most of each 100 ms period; the memory limit equals the request.
    """

    cpu: Quantity = Field("1", description="CPU request, such as 4 or 500m. No CPU limit is set.")
    memory: Quantity = Field("2Gi", description="Memory request and limit, such as 16Gi.")
    shared_memory: Quantity = Field(
        "64Mi",
        description="Size limit of /dev/shm, through which Python-backend tensors travel; counts "
        "against memory.",
    )
    response_cache: Quantity = Field(
        "64Mi",
        description="Size of Triton's response cache, where a model uses it; counts against "
        "memory. Another cache is chosen by --cache-config in args.",
    )


class Spread(StrEnum):
    """Over what the pods are spread, as far as possible."""

    ZONE = "Zone"
    NODE = "Node"
    NONE = "None"


class Placement(ApiModel):
    """Where the server pods may run."""

    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        {}, max_length=64, description="Labels a node must have."
    )
    tolerations: list[Preserved] = Field(
        [], max_length=64, description="Kubernetes tolerations, passed on."
    )
    spread: Spread = Field(
        Spread.ZONE, description="Spread pods over zones or nodes where that is possible, or None."
    )
    priority_class_name: str = Field("", max_length=253, description="PriorityClass of the pods.")


class ClassGpus(ApiModel):
    """The GPUs of one pod of a class; what is left out is the server's."""

    count: int | None = Field(None, ge=0, le=64, description="GPUs per pod; 0 runs on CPU.")
    resource: str | None = Field(
        None, max_length=128, description="The extended resource asked for."
    )


class ClassResources(ApiModel):
    """CPU and memory of one pod of a class; what is left out is the server's."""

    cpu: Quantity | None = Field(None, description="CPU request.")
    memory: Quantity | None = Field(None, description="Memory request and limit.")
    shared_memory: Quantity | None = Field(None, description="Size limit of /dev/shm.")


class ClassPlacement(ApiModel):
    """Which nodes are of a class, beside what server.placement says."""

    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        {}, max_length=64, description="Labels a node must have, beside the server's."
    )
    tolerations: list[Preserved] = Field(
        [], max_length=64, description="Kubernetes tolerations, beside the server's."
    )


class NodeClass(ApiModel):
    """Nodes of one sort, and what a pod on one costs."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.max) || !has(self.min) || self.min <= self.max",
                "min must not be greater than max",
            )
        )
    )

    name: str = Field(
        pattern=names.NODE_CLASS_PATTERN,
        max_length=names.NODE_CLASS_MAX_LENGTH,
        description="Such as a100 or spot; its pods' Deployment is called AGENT-NAME.",
    )
    price: float = Field(
        ge=0.0001,  # written so: YAML 1.1 takes 1e-06 for a word
        le=1_000_000,
        allow_inf_nan=False,
        description="What a pod costs in an hour, in any currency: only the ratio to the other "
        "classes' prices matters.",
    )
    gpus: ClassGpus = Field(ClassGpus(), description="The GPUs of one pod.")
    resources: ClassResources = Field(ClassResources(), description="CPU and memory of one pod.")
    placement: ClassPlacement = Field(ClassPlacement(), description="Which nodes are of the class.")
    min: int = Field(0, ge=0, le=10_000, description="Fewest pods of the class.")
    max: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Most pods of the class; absent, scaling.max alone holds.",
    )


class EnvVar(ApiModel):
    """One environment variable of the server container."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=253, description="Name.")
    value: str | None = Field(None, max_length=32768, description="A literal value.")
    value_from: Preserved | None = Field(
        None, description="A Kubernetes EnvVarSource (secretKeyRef, fieldRef, ...), passed on."
    )


class Server(ApiModel):
    """The Triton Inference Server pods."""

    image: str = Field(
        min_length=1,
        max_length=1024,
        description="The Triton image, such as nvcr.io/nvidia/tritonserver:26.08-py3.",
    )
    release: str | None = Field(
        None,
        pattern=r"^[0-9]{2}\.(0[1-9]|1[0-2])$",
        max_length=5,
        description="The image's Triton release, such as 26.08; read from the tag where the tag "
        "begins with one, else required.",
    )
    image_pull_policy: ImagePullPolicy = Field(
        ImagePullPolicy.IF_NOT_PRESENT, description="When the kubelet pulls the image."
    )
    image_pull_secrets: list[SecretRef] = Field(
        [],
        max_length=16,
        description="Secrets with registry credentials.",
        json_schema_extra=list_map("name"),
    )
    gpus: Gpus = Field(Gpus(), description="The GPUs of one pod.")
    resources: Resources = Field(Resources(), description="CPU and memory of one pod.")
    service_account_name: str = Field(
        "",
        max_length=253,
        description="ServiceAccount of the pods, for workload identity; empty makes one without "
        "rights.",
    )
    placement: Placement = Field(Placement(), description="Where the pods may run.")
    node_classes: list[NodeClass] = Field(
        [],
        max_length=6,
        description="Sorts of nodes with their prices, in mode Automatic: of the mixes of pods "
        "that hold the objectives the cheapest runs. Each class learns its own capacity. Empty: "
        "all pods are alike.",
        json_schema_extra=list_map("name"),
    )
    startup_timeout: Duration = Field(
        timedelta(minutes=10),
        description="How long loading every model and warming it up may take before the pod is "
        "restarted.",
    )
    drain_time: Duration = Field(
        timedelta(seconds=10),
        description="How long a pod that is being removed goes on answering after it left the "
        "Service, so that no request is lost.",
    )
    exit_timeout: Duration = Field(
        timedelta(seconds=30),
        description="How long Triton then waits for requests in flight before it exits; with a "
        "gateway at least as long as a request may still run by gateway.requestTimeout.",
    )
    args: list[Annotated[str, Field(max_length=1024)]] = Field(
        [],
        max_length=64,
        description="More tritonserver flags (--flag=value). A flag that Trireme sets is refused.",
    )
    env: list[EnvVar] = Field(
        [],
        max_length=128,
        description="More environment variables of the server.",
        json_schema_extra=list_map("name"),
    )
    pod_template: Preserved = Field(
        {},
        description="A PodTemplateSpec fragment, strategically merged last. Overriding what "
        "Trireme computes is refused, and so is what the restricted pod security standard "
        "forbids.",
    )


class ModelCache(ApiModel):
    """What keeps fetched files for the next pod: a volume that pods share, or their node."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            one_of("claimName", "storageClassName", "node"),
            ("!has(self.node) || self.node", "node must be true or left out"),
        )
    )

    claim_name: str | None = Field(
        None, min_length=1, max_length=253, description="A PersistentVolumeClaim that exists."
    )
    storage_class_name: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="The storage class of a claim that is made for this agent, with access mode "
        "ReadWriteMany. It goes with the agent, and not before: without this field it stays.",
    )
    node: bool | None = Field(
        None,
        description="The cache of the pod's own node, where the operator has one (the chart's "
        "nodeCache.enabled); the pod mounts nothing of the node.",
    )
    size: Quantity = Field(
        "100Gi",
        description="What the files in the cache may sum up to, and the size of a claim that is "
        "made; what was used longest ago goes first. A claim can grow where its class allows that, "
        "and never shrinks. Of a node's cache the chart says it.",
    )


class Download(ApiModel):
    """How models' files are brought into a pod, by its init container `fetch`."""

    cpu: Quantity = Field("500m", description="CPU request. No CPU limit is set.")
    memory: Quantity = Field(
        "512Mi", description="Memory request and limit; it does not grow with the models' size."
    )
    storage: Quantity | None = Field(
        None,
        description="What the fetched files of a pod may sum up to, a bound the kubelet holds; "
        "absent, the node's own.",
    )
    timeout: Duration = Field(
        timedelta(hours=1),
        description="How long fetching may take before the rollout is told to be stuck.",
    )
    env: list[EnvVar] = Field(
        [],
        max_length=64,
        description="Environment variables of the fetcher, such as HTTPS_PROXY.",
        json_schema_extra=list_map("name"),
    )
    cache: ModelCache | None = Field(
        None, description="What keeps the fetched files for the next pod."
    )
    inspect: bool = Field(
        True,
        description="Whether a Job without a GPU reads what each model file says of itself before "
        "pods are made of it, so that mistakes are found while what runs goes on.",
    )


class GatewayResources(ApiModel):
    """The requests of one gateway pod's container. No CPU limit is set, on purpose, as for servers;
    the memory limit equals the request.
    """

    cpu: Quantity = Field("100m", description="CPU request. No CPU limit is set.")
    memory: Quantity = Field("256Mi", description="Memory request and limit.")


class Gateway(ApiModel):
    """The Envoy in front of the pods."""

    enabled: bool = Field(
        True,
        description="Without a gateway, clients with keep-alive or gRPC connections may lose "
        "requests when pods go, and latency percentiles need Triton 26.01 or later.",
    )
    replicas: int = Field(2, ge=1, le=20, description="Number of gateway pods.")
    image: str = Field(
        "",
        max_length=1024,
        description="The Envoy image; empty takes the operator's default.",
    )
    resources: GatewayResources = Field(
        GatewayResources(), description="CPU and memory of one gateway pod."
    )
    request_timeout: Duration = Field(
        timedelta(seconds=60),
        description="After this time an unanswered request is ended with 504; 0s never ends it.",
    )
    max_pending_requests: int = Field(
        1024,
        ge=1,
        le=1_000_000,
        description="Requests that may wait for a connection to a pod; more are answered 503.",
    )


# ----------------------------------------------------------------------------------- objectives


class LatencyObjective(ApiModel):
    """A bound on a percentile of server-side latency."""

    percentile: int = Field(95, ge=50, le=99, description="The percentile that must hold.")
    target: Duration = Field(description="The bound, such as 100ms.")


class ErrorObjective(ApiModel):
    """A bound on failed requests."""

    max_ratio: Ratio = Field(
        0.001, description="Failed or rejected requests among all, such as 0.1%."
    )


class Objective(ApiModel):
    """What one model or pipeline must keep."""

    model: ModelName = Field(description="A model or pipeline.")
    latency: LatencyObjective = Field(description="The bound on latency.")
    errors: ErrorObjective = Field(ErrorObjective(), description="The bound on failures.")


# -------------------------------------------------------------------------------------- scaling


class ScalingMode(StrEnum):
    """Who decides the number of replicas."""

    AUTOMATIC = "Automatic"  # Trireme, from the objectives
    FIXED = "Fixed"  # the user, in spec.replicas
    EXTERNAL = "External"  # a HorizontalPodAutoscaler or KEDA, through /scale
    SHADOW = "Shadow"  # the user, in spec.replicas; Trireme reports what it would do

    @property
    def is_decided_by_trireme(self) -> bool:
        """Whether Trireme decides by the objectives, be it only to report."""
        return self in (ScalingMode.AUTOMATIC, ScalingMode.SHADOW)


class ScalingTarget(ApiModel):
    """What one pod should hold, where the user knows better than Trireme."""

    in_flight: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Requests in flight per pod to aim at, whatever is learnt; absent, Trireme "
        "learns the rate that a pod sustains, and until then starts from instances times max batch "
        "size and corrects it by what it sees.",
    )


class PolicyType(StrEnum):
    """What a rate policy's value counts."""

    PODS = "Pods"
    PERCENT = "Percent"


class RatePolicy(ApiModel):
    """At most so much change in so much time."""

    type: PolicyType = Field(description="Pods or Percent.")
    value: int = Field(ge=1, le=10_000, description="How many pods, or how many percent.")
    period: Duration = Field(description="In how much time, from 1s to 30m.")


class SelectPolicy(StrEnum):
    """Which of several rate policies binds."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class ScalingRules(ApiModel):
    """How fast the fleet may change in one direction."""

    stabilization_window: Duration | None = Field(
        None,
        description="How long proposals are remembered; the most cautious of them is taken. Left "
        "out: growing 0s; shrinking the lead time, 60s at least, where demand is forecast, else "
        "300s.",
    )
    select_policy: SelectPolicy = Field(
        SelectPolicy.MAX, description="Which policy binds: Max, Min, or Disabled for no change."
    )
    policies: list[RatePolicy] = Field(
        min_length=1, max_length=16, description="Rate policies, as in HorizontalPodAutoscaler v2."
    )


_UP = ScalingRules(
    policies=[
        RatePolicy(type=PolicyType.PODS, value=4, period=timedelta(seconds=15)),
        RatePolicy(type=PolicyType.PERCENT, value=100, period=timedelta(seconds=15)),
    ],
)
_DOWN = ScalingRules(
    policies=[RatePolicy(type=PolicyType.PERCENT, value=100, period=timedelta(seconds=15))],
)


class Behavior(ApiModel):
    """How fast the fleet may grow and shrink; rates as in HorizontalPodAutoscaler v2."""

    up: ScalingRules = Field(_UP, description="Growing.")
    down: ScalingRules = Field(_DOWN, description="Shrinking.")


class Paused(StrEnum):
    """Which decisions are taken but not carried out."""

    NONE = "None"
    ALL = "All"
    SCALE_IN = "ScaleIn"
    SCALE_OUT = "ScaleOut"


class Schedule(ApiModel):
    """Bounds that hold in windows of time; named as in CronJob, and in Argo CD's sync windows.

    Of windows that are open together the largest min and the largest max hold; a bound that none
    sets is that of scaling.
    """

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.min) || has(self.max)", "one of min and max must be set"),
            (
                "!has(self.min) || !has(self.max) || self.min <= self.max",
                "min must not be greater than max",
            ),
        )
    )

    schedule: str = Field(
        min_length=1,
        max_length=256,
        description="When the window opens: minute, hour, day of month, month and day of week, "
        "such as 0 8 * * 1-5.",
    )
    time_zone: str = Field(
        "UTC",
        max_length=64,
        description="Whose clock that is, by its name in the time zone database: Europe/Berlin.",
    )
    duration: Duration = Field(
        description="How long the window stays open, from 1m to 744h; time that passes, whatever "
        "the clock shows."
    )
    min: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="Fewest pods while it is open; they are started a lead time before. 0 needs "
        "scaling.demand.",
    )
    max: int | None = Field(None, ge=1, le=10_000, description="Most pods while it is open.")


class OutsideDemand(ApiModel):
    """What is asked of the agent, seen from outside its pods: without a pod nothing else tells.

    Named as in KEDA's Prometheus trigger. It has no `threshold`: what a pod sustains is learnt.
    """

    query: str = Field(
        min_length=1,
        max_length=4096,
        description="PromQL whose one value is the requests a second that arrive or wait in front "
        'of the agent, such as sum(rate(requests_total{service="support"}[1m])). No value is not '
        "zero: then nothing is changed.",
    )
    activation_threshold: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Requests a second above which pods are started from none.",
    )
    cooldown_period: Duration = Field(
        timedelta(minutes=5),
        description="How long nothing must have been asked before the last pod goes, from 0s to "
        "24h; two lead times, if those are longer.",
    )


class BudgetShare(ApiModel):
    """Part in a budget of GPUs, which the operator's settings define."""

    name: str = Field(
        min_length=1, max_length=63, description="One of the chart's gpuBudgets, by its name."
    )
    priority: int = Field(
        0,
        ge=-1_000_000_000,
        le=1_000_000_000,
        description="Who has more pods than their min first: the larger, as in PriorityClass.",
    )


class Scaling(ApiModel):
    """How the number of pods is decided."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.min <= self.max", "min must not be greater than max"),
            (
                "has(self.demand) || self.min > 0",
                "min 0 needs scaling.demand: without a pod nothing else tells of requests",
            ),
            (
                "has(self.demand) || !has(self.schedules) || "
                "self.schedules.all(s, !has(s.min) || s.min > 0)",
                "min 0 needs scaling.demand: without a pod nothing else tells of requests",
            ),
        )
    )

    mode: ScalingMode = Field(
        ScalingMode.AUTOMATIC,
        description="Automatic: Trireme decides from the objectives. Fixed: spec.replicas. "
        "External: an autoscaler writes /scale. Shadow: spec.replicas, and Trireme only reports "
        "what it would do.",
    )
    min: int = Field(
        1, ge=0, le=10_000, description="Fewest pods in mode Automatic. 0 needs demand."
    )
    max: int = Field(10, ge=1, le=10_000, description="Most pods in mode Automatic.")
    schedules: list[Schedule] = Field(
        [], max_length=32, description="Other bounds at certain times."
    )
    demand: OutsideDemand | None = Field(
        None, description="What is asked of the agent, seen from outside its pods."
    )
    budget: BudgetShare | None = Field(None, description="GPUs that are shared with other agents.")
    target: ScalingTarget = Field(ScalingTarget(), description="What one pod should hold.")
    tolerance: Ratio | None = Field(
        None,
        description="A proposal this close to the present size changes nothing, such as 10%. Left "
        "out: 0% where demand is forecast, else 10%.",
    )
    behavior: Behavior = Field(Behavior(), description="How fast the fleet may change.")
    paused: Paused = Field(
        Paused.NONE,
        description="None, All, ScaleIn or ScaleOut: decisions that are taken but not carried out.",
    )


_IS_CANARY = "(has(self.rollout) && self.rollout.strategy == 'Canary')"


def _is_not_applied(field: str) -> str:
    """CEL: this field's mode is not Apply."""
    return f"!has(self.{field}) || self.{field}.mode != 'Apply'"


class AgentSpec(ApiModel):
    """What the agent is made of and what it must keep."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.scaling) || self.scaling.mode != 'Automatic' || !has(self.replicas)",
                "replicas must not be set in mode Automatic: set scaling.min and scaling.max",
            ),
            ("size(self.models) > 0", "models must not be empty"),
            (
                # In External too: without a value here /scale answers with an error.
                "!has(self.scaling) || self.scaling.mode == 'Automatic' || has(self.replicas)",
                "replicas is required in every mode but Automatic; in External it is the size to "
                "start with, which the autoscaler then changes",
            ),
            (
                "!has(self.scaling) || self.scaling.mode != 'Automatic' || "
                "(has(self.objectives) && size(self.objectives) > 0)",
                "mode Automatic needs at least one objective",
            ),
            (
                _is_not_applied("tuning") + " || " + _IS_CANARY,
                "tuning.mode Apply tries each setting on a canary: set rollout.strategy to Canary",
            ),
            (
                _is_not_applied("optimization") + " || " + _IS_CANARY,
                "optimization.mode Apply tries each model on a canary: set rollout.strategy to "
                "Canary",
            ),
        )
    )

    server: Server = Field(description="The Triton Inference Server pods.")
    gateway: Gateway = Field(Gateway(), description="The Envoy in front of the pods.")
    download: Download = Field(
        Download(), description="How models' files are brought into a pod, where a URI names them."
    )
    models: list[Model] = Field(
        max_length=64, description="The models.", json_schema_extra=list_map("name")
    )
    pipelines: list[Pipeline] = Field(
        [],
        max_length=64,
        description="Ensembles of the models.",
        json_schema_extra=list_map("name"),
    )
    objectives: list[Objective] = Field(
        [],
        max_length=16,
        description="What must be kept; each makes a proposal, the largest wins and is named.",
        json_schema_extra=list_map("model"),
    )
    replicas: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="Number of pods. Refused in mode Automatic, required in the others; in "
        "External the size to start with, which the autoscaler then changes.",
    )
    scaling: Scaling = Field(Scaling(), description="How the number of pods is decided.")
    rollout: Rollout = Field(Rollout(), description="How a change of the spec reaches the pods.")
    tuning: Tuning = Field(Tuning(), description="How the server's knobs are set.")
    optimization: Optimization | None = Field(
        None, description="Models that are made cheaper to run, and shown to answer as before."
    )

    @property
    def memory_of_instances(self) -> str | None:
        """What all instances of a model may take together; None where that is not known."""
        of_pod = None if self.server.gpus.count else self.server.resources.memory
        return self.tuning.limits.memory or of_pod

    def model_named(self, name: str) -> Model | None:
        """A model; None where there is none of that name."""
        return next((model for model in self.models if model.name == name), None)


# --------------------------------------------------------------------------------------- status


class Condition(ApiModel):
    """One observation about the resource (KEP-1623)."""

    type: str = Field(description="What is observed.", max_length=316)
    status: str = Field(
        description="True, False or Unknown.",
        json_schema_extra={"enum": ["True", "False", "Unknown"]},
    )
    reason: str = Field(description="One CamelCase word for programs.", max_length=1024)
    message: str = Field("", description="A sentence for people.", max_length=32768)
    observed_generation: int = Field(0, description="The generation this was observed at.")
    last_transition_time: str = Field(
        description="When the status last changed.", json_schema_extra={"format": "date-time"}
    )


class ModelStatus(ApiModel):
    """What the pods say of one model."""

    name: str = Field(description="The model or pipeline.")
    ready_pods: int = Field(description="Pods that have it loaded.")
    message: str = Field("", description="Triton's own words where it could not be loaded.")
    inspected: str = Field("", description="What the model's file says of itself.")


class DecisionStatus(ApiModel):
    """One decision, newest first."""

    time: str = Field(description="When.", json_schema_extra={"format": "date-time"})
    reason: str = Field(description="One CamelCase word for programs.")
    from_replicas: int = Field(description="Pods wanted before.")
    to_replicas: int = Field(description="Pods wanted after.")
    message: str = Field(description="What was seen, what was wanted, what bound it.")
    input_digest: str = Field(
        "", description="Digest of what it was made from; the record that has it can be replayed."
    )


class ObservedLoad(ApiModel):
    """What the signals said when the status was written."""

    time: str = Field(description="When.", json_schema_extra={"format": "date-time"})
    model: str = Field(description="The objective that asked for the most pods.")
    request_rate_per_second: float = Field(description="Arriving requests.")
    in_flight: float = Field(description="Requests being answered or waiting.")
    latency_milliseconds: float | None = Field(None, description="Latency as latencyKind says.")
    latency_kind: str = Field("", description="Such as p95, estimated p95, or mean.")
    failure_ratio: float = Field(0.0, description="Failed requests among all.")
    pending: float | None = Field(None, description="Requests waiting inside Triton.")


class TargetStatus(ApiModel):
    """The learnt number of requests in flight that one pod holds within its objective."""

    model: str = Field(description="The objective's model.")
    in_flight_per_pod: float = Field(description="Requests in flight per pod aimed at.")


class CurveSource(StrEnum):
    """What a curve was learnt from."""

    BATCHES = "Batches"
    COUNTERS = "Counters"
    EARLIER = "Earlier"


class ContentionStatus(ApiModel):
    """What instances of a model in one pod cost each other, learnt when their number changed."""

    sigma: float = Field(
        description="By how much of its time alone a batch takes longer for each other instance "
        "that is busy meanwhile: 0 where they share nothing, 1 where they share all.",
        ge=0,
    )
    fewest: int = Field(description="The smaller number of instances that it was learnt of.", ge=1)
    most: int = Field(description="The larger one; it is believed up to twice that.", ge=2)
    executions: int = Field(description="Batches that it stands on, with each of the two at least.")
    digest: str = Field(
        description="Of the model's files and configuration, but for what changes in place."
    )


class CurveStatus(ApiModel):
    """What a batch of requests costs in one pod, learnt from Triton's statistics."""

    model: str = Field(description="The model, an objective's or a step of its pipeline.")
    model_digest: str = Field(
        description="Digest of the model's files and configuration that it is used for."
    )
    fixed_milliseconds: float = Field(description="Time that every batch takes.", ge=0)
    per_request_milliseconds: float = Field(description="Time that each request adds.", ge=0)
    gap_milliseconds: float | None = Field(
        None,
        gt=0,
        description="Time between the end of a batch and the start of the next one, however many "
        "wait; absent until one is learnt.",
    )
    max_batch: int = Field(description="Largest batch that this is believed of.", ge=1)
    noise: float = Field(description="Coefficient of variation of a batch's time.", ge=0)
    executions: int = Field(description="Batches that it stands on.")
    instances: int | None = Field(
        None, ge=1, description="Instances of the model in a pod that it was learnt of."
    )
    contention: ContentionStatus | None = Field(
        None,
        description="What instances cost each other; absent until two numbers of them were seen.",
    )
    source: CurveSource = Field(
        CurveSource.BATCHES,
        description="Batches; Counters, where the server does not tell batch sizes apart; Earlier, "
        "if it is of the model's files or configuration before, until it is learnt anew.",
    )
    sustained_per_second: float | None = Field(
        None,
        gt=0,
        description="Requests a second at which one pod keeps the objective; absent where none is.",
    )
    factor: float = Field(
        1.0, gt=0, description="What that is multiplied by, corrected by what is seen."
    )


class StepCallsStatus(ApiModel):
    """How often a pipeline's requests have a model called."""

    model: str = Field(description="The model of a step.")
    per_request: float = Field(
        description="Its requests, whoever sends them, for each one of the pipeline.", gt=0
    )


class PipelineCapacityStatus(ApiModel):
    """What one pod sustains of a pipeline, by the curves of its steps' models."""

    model: str = Field(description="The objective's pipeline.")
    repository_digest: str = Field(
        description="Digest of the model repository that it was learnt of."
    )
    busiest_step: str = Field(description="The model that is nearest to its own capacity.")
    steps: list[StepCallsStatus] = Field(
        [], description="How often each model is called.", json_schema_extra=list_map("model")
    )
    sustained_per_second: float | None = Field(
        None,
        gt=0,
        description="Requests a second at which one pod keeps the objective; absent where none is.",
    )
    factor: float = Field(
        1.0, gt=0, description="What that is multiplied by, corrected by what is seen."
    )


class StagesStatus(ApiModel):
    """Medians of the stages of a start, each by itself, and of the parts that are known."""

    schedule_seconds: float = Field(description="Until it had a node, which may be a new one.")
    node_seconds: float | None = Field(
        None,
        ge=0,
        description="Of it, since a node was ordered for the pod, of slow starts for which the "
        "Cluster Autoscaler or Karpenter says so by an Event.",
    )
    pull_seconds: float = Field(
        description="From there to the server's container, but for the fetching: images, volumes."
    )
    image_seconds: float | None = Field(
        None,
        ge=0,
        description="Of it, pulling the server's image: by the end of the last init container, or, "
        "of slow starts without one, by the kubelet's Event.",
    )
    fetch_seconds: float = Field(description="The fetcher bringing the models' files.")
    load_seconds: float = Field(description="The server's start, its models and their warm-up.")
    warmup_seconds: float | None = Field(
        None,
        ge=0,
        description="Of it, the warm-ups of the model whose took the longest, by Triton's "
        "statistics: of all its instances together, at most all of it.",
    )
    first_request_seconds: float | None = Field(
        None,
        ge=0,
        description="From then on until a request was answered, of starts under at least one "
        "request a second for each ready pod; a part of p95Seconds and of medianSeconds.",
    )


class LeadTimeStatus(ApiModel):
    """How long a pod takes from being made to being ready or, where that is known, to its first
    answer.
    """

    template: str = Field(description="The pod-template-hash of the pods that were measured.")
    p95_seconds: float = Field(
        description="What is planned with: the 95th percentile; of fewer than 20 the longest."
    )
    median_seconds: float = Field(description="Median of the starts.")
    samples: int = Field(description="Starts of this template that were measured.", ge=1)
    stages: StagesStatus = Field(description="Where the time goes.")


class ModelLoadStatus(ApiModel):
    """How long a server took to load a model."""

    model: str = Field(description="The model.")
    seconds: float = Field(description="By Triton's own clock.", ge=0)


class UnansweredStatus(ApiModel):
    """That the operator cannot ask the pods' servers, so that nothing is learnt of them."""

    since: str = Field(
        description="When the first look failed.", json_schema_extra={"format": "date-time"}
    )
    looks: int = Field(ge=1, description="Looks that failed by the time that this was written.")
    message: str = Field(description="Why the last one did, and what to do.")


class NodeClassStatus(ApiModel):
    """What the autoscaler knows of the pods of one node class."""

    name: str = Field(description="The class; empty for pods from before there were classes.")
    desired_replicas: int = Field(description="Pods wanted.")
    ready_replicas: int = Field(description="Pods that are ready.")
    curves: list[CurveStatus] = Field(
        [], description="Learnt curves.", json_schema_extra=list_map("model")
    )
    pipelines: list[PipelineCapacityStatus] = Field(
        [], description="What a pod sustains of pipelines.", json_schema_extra=list_map("model")
    )
    lead_time: LeadTimeStatus | None = Field(None, description="Measured lead time.")


class ScalingStatus(ApiModel):
    """What the autoscaler knows; read again after a restart of the operator."""

    desired_replicas: int = Field(description="Pods wanted.")
    last_scale_time: str | None = Field(
        None, description="When that last changed.", json_schema_extra={"format": "date-time"}
    )
    observed: ObservedLoad | None = Field(None, description="The load last reported.")
    targets: list[TargetStatus] = Field(
        [], description="Learnt targets.", json_schema_extra=list_map("model")
    )
    curves: list[CurveStatus] = Field(
        [], description="Learnt curves, used once learnt.", json_schema_extra=list_map("model")
    )
    pipelines: list[PipelineCapacityStatus] = Field(
        [],
        description="What a pod sustains of pipelines, by the curves of their steps.",
        json_schema_extra=list_map("model"),
    )
    lead_time: LeadTimeStatus | None = Field(
        None, description="Measured lead time; absent until a pod was seen to start."
    )
    loads: list[ModelLoadStatus] = Field(
        [],
        description="How long the server that was asked last took to load each model, of releases "
        "that tell it (24.11 and later); with node classes one of the first class.",
        json_schema_extra=list_map("model"),
    )
    node_classes: list[NodeClassStatus] = Field(
        [],
        description="By node class, where the agent has some; their curves are here then.",
        json_schema_extra=list_map("name"),
    )
    unanswered: UnansweredStatus | None = Field(
        None, description="Present while the pods' servers cannot be asked what they execute."
    )
    decisions: list[DecisionStatus] = Field(
        [],
        max_length=10,
        description="The last ten decisions, newest first; among them what became of a recommended "
        "knob and of settings of Trireme's own.",
    )


class AgentStatus(ApiModel):
    """What Trireme observed and did."""

    observed_generation: int = Field(-1, description="The generation the status speaks of.")
    conditions: list[Condition] = Field(
        [], description="Observations.", json_schema_extra=list_map("type")
    )
    replicas: int = Field(0, description="Server pods that exist, of all tracks.")
    ready_replicas: int = Field(0, description="Server pods that are ready.")
    selector: str = Field("", description="Selects the server pods, for /scale.")
    repository_digest: str = Field("", description="Digest of the model repository rolled out.")
    live_digest: str = Field(
        "", description="Digest of the configurations that all pods run, live fields included."
    )
    models: list[ModelStatus] = Field(
        [], description="What the pods say of each model.", json_schema_extra=list_map("name")
    )
    scaling: ScalingStatus | None = Field(None, description="What the autoscaler knows.")
    rollout: RolloutStatus | None = Field(None, description="The last canary.")
    tuning: TuningStatus | None = Field(
        None, description="A setting by which a pod would sustain more, if one is known."
    )
    optimization: OptimizationStatus | None = Field(
        None, description="What came of spec.optimization."
    )
    adopted: list[Adoption] = Field(
        [],
        description="What Trireme sets in the place of the spec, in modes Apply, and what it has "
        "tried in vain.",
    )


class Metadata(BaseModel):
    """The part of an object's metadata that Trireme reads."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    name: str = Field(pattern=names.AGENT_NAME_PATTERN, max_length=names.AGENT_NAME_MAX_LENGTH)
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None


class AgentDeployment(BaseModel):
    """An agent: models served by Triton pods whose number follows their latency."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    api_version: str = names.API_VERSION
    kind: str = names.KIND
    metadata: Metadata
    spec: AgentSpec
    status: AgentStatus = AgentStatus()
