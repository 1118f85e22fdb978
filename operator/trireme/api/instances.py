"""How many copies of a model execute at a time, on which devices, and what bounds them."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from trireme.api.fields import Name
from trireme.api.schema import LARGEST_INT, ApiModel


class InstanceKind(StrEnum):
    """Where a model instance runs."""

    AUTO = "Auto"
    GPU = "GPU"
    CPU = "CPU"
    MODEL = "Model"


class RateResource(ApiModel):
    """A resource of Triton's rate limiter that an instance needs to execute."""

    name: Name = Field(description="The resource's name.")
    count: int = Field(0, ge=0, le=LARGEST_INT, description="How many of it.")
    # `global` is a word of Python.
    global_: bool = Field(
        False, alias="global", description="Whether all devices share it; else each has its own."
    )


class RateLimiter(ApiModel):
    """When an instance may execute, among all instances of the pod."""

    resources: list[RateResource] = Field([], max_length=64, description="What it needs.")
    priority: int = Field(
        0, ge=0, le=LARGEST_INT, description="Its weight: 2 is chosen half as often as 1."
    )


class SecondaryDeviceKind(StrEnum):
    """A device beside the GPU."""

    NVDLA = "NVDLA"


class SecondaryDevice(ApiModel):
    """A device beside the GPU that an instance uses."""

    kind: SecondaryDeviceKind = Field(SecondaryDeviceKind.NVDLA, description="NVDLA.")
    id: int = Field(0, ge=0, le=LARGEST_INT, description="Which one.")


class InstanceGroup(ApiModel):
    """Copies of a model in one pod."""

    name: Name | None = Field(None, description="A name for the group.")
    kind: InstanceKind = Field(
        InstanceKind.AUTO, description="GPU, CPU, Model (the backend decides) or Auto."
    )
    count: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Instances per pod; for kind GPU, and for Auto where there are GPUs, per GPU. "
        "Absent, Triton takes 1 (2 for ONNX and TensorFlow on CPU).",
    )
    gpus: list[Annotated[int, Field(ge=0, le=63)]] = Field(
        [], max_length=64, description="GPU indices as the container counts them, from 0."
    )
    profiles: list[Name] = Field(
        [], max_length=64, description="Optimisation profiles of a TensorRT engine, by index."
    )
    rate_limiter: RateLimiter | None = Field(
        None, description="When an instance may execute; switches Triton's rate limiter on."
    )
    passive: bool = Field(
        False, description="Whether the instances are loaded and given no requests."
    )
    secondary_devices: list[SecondaryDevice] = Field(
        [], max_length=16, description="Devices beside the GPU."
    )
    host_policy: Name | None = Field(
        None, description="The name of a --host-policy of server.args, such as a NUMA node's."
    )
