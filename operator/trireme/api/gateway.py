"""The gateway in front of an agent's pods."""

from datetime import timedelta

from pydantic import Field

from trireme.api.scalars import Duration, Quantity
from trireme.api.schema import ApiModel


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
