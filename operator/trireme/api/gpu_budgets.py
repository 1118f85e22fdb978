"""GPUs that several agents share: the cluster operator's setting, which agents join by its name."""

from pydantic import BaseModel, ConfigDict, Field


class GpuBudget(BaseModel):
    """So many GPUs of one kind, for agents of these namespaces; of all, where none is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=63)
    gpus: int = Field(ge=0)
    resource: str = "nvidia.com/gpu"
    namespaces: tuple[str, ...] = ()

    def admits(self, namespace: str) -> bool:
        """Whether an agent of this namespace may join."""
        return not self.namespaces or namespace in self.namespaces
