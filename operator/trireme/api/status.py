"""What Trireme answers: an agent's conditions and figures."""

from pydantic import Field

from trireme.api.adoption import Adoption
from trireme.api.optimization import OptimizationStatus
from trireme.api.rollout import RolloutStatus
from trireme.api.scaling_status import ScalingStatus
from trireme.api.schema import ApiModel, list_map
from trireme.api.tuning import TuningStatus


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
