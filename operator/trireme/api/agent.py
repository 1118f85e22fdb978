"""The AgentDeployment: what a user writes (spec) and what Trireme answers (status).

These pydantic models are the one source of the custom resource: `api.crd` turns them into the
CustomResourceDefinition, so each field's description is what `kubectl explain` prints. A rule the
API server can hold is here as a schema bound or a CEL rule (`schema.cel`); what only the whole spec
can tell is in `admission`. What each part is has a module of its name.
"""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from trireme.api import names
from trireme.api.gateway import Gateway
from trireme.api.models import Model
from trireme.api.objectives import Objective
from trireme.api.optimization import Optimization
from trireme.api.pipelines import Pipeline
from trireme.api.rollout import Rollout
from trireme.api.scalars import quantity_value
from trireme.api.scaling import Scaling
from trireme.api.schema import ApiModel, cel, list_map
from trireme.api.server import Download, Server
from trireme.api.status import AgentStatus
from trireme.api.tuning import Tuning

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

    @property
    def most_instances(self) -> int | None:
        """How many of a model have room in that; None where it is not known what one takes."""
        each, whole = self.tuning.limits.instance_memory, self.memory_of_instances
        if each is None or whole is None:
            return None
        return int(quantity_value(whole) // quantity_value(each))

    def model_named(self, name: str) -> Model | None:
        """A model; None where there is none of that name."""
        return next((model for model in self.models if model.name == name), None)


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
