"""The pods that Triton runs in: image, resources, nodes, files."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from trireme.api import names
from trireme.api.scalars import Duration, Quantity
from trireme.api.schema import ApiModel, Preserved, cel, list_map, one_of
from trireme.api.sources import ImagePullPolicy, SecretRef


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
