"""The arithmetic of leaving without losing a request. Pure.

A server pod leaves in this order (facts from Triton 2.51, which has no lame-duck phase of its own):

1. Its deletion takes it out of the headless Service. The gateway asks DNS every
   DNS_REFRESH_SECONDS, forgets the pod, lets requests in flight finish and closes idle
   connections.
2. Meanwhile preStop sleeps for `drainTime`: Triton answers as ever, so nothing is lost while the
   news spreads.
3. gRPC clients that come past the gateway hold their channels for ever, so Triton closes each
   connection gracefully at `--grpc-max-connection-age`, well within the sleep.
4. SIGTERM: Triton refuses new connections, waits for open ones and unloads its models, both within
   `--exit-timeout-secs`. That is long enough for the longest request that the gateway allows; a pod
   with nothing in flight is gone sooner, since the gateway has closed its idle connections.
5. `terminationGracePeriodSeconds` covers all of it.

A stale answer of a DNS cache (30 s in kubeadm's CoreDNS) does no harm: connections refused from
step 4 on are retried on another pod, and those that are open are served till the end of it.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from trireme.api.agent import AgentSpec
from trireme.modelrepo.backends import backend_of
from trireme.modelrepo.instances import instances_per_pod
from trireme.modelrepo.versions import loaded_versions

DNS_REFRESH_SECONDS = 0.5
"""How often the gateway resolves the pods: twenty times within the default drain time."""

_GRACE_MARGIN_SECONDS = 10  # for the kubelet, and for backends that are slow to let go
_PYTHON_UNLOAD_SECONDS = 1.1  # per instance, one after the other (measured on 2.51)
_FEWEST_UNLOADED = 8  # Python instances that every pod is given the time to unload
_SHORTEST_CONNECTION_AGE_MILLISECONDS = 1_000
_UNLIMITED_MILLISECONDS = 2**31 - 1  # gRPC reads INT_MAX as no limit

_CLIENT_KEEP_ALIVE_SECONDS = 15  # after which aiohttp, below tritonclient, drops an idle connection
_SHORTEST_GATEWAY_DRAIN_SECONDS = _CLIENT_KEEP_ALIVE_SECONDS + 5
_LONGEST_UNBOUNDED_REQUEST_SECONDS = 300  # what a request without a timeout is given to end


@dataclass(frozen=True, slots=True)
class ServerDrain:
    """How a server pod ends."""

    pre_stop_seconds: int
    exit_timeout_seconds: int
    termination_grace_seconds: int
    grpc_connection_age_milliseconds: int
    grpc_connection_age_grace_milliseconds: int


@dataclass(frozen=True, slots=True)
class GatewayDrain:
    """How a gateway pod ends: `drain_seconds` of telling clients to go, then no later than
    `termination_grace_seconds` after the beginning.
    """

    drain_seconds: int
    termination_grace_seconds: int


def server_drain(spec: AgentSpec) -> ServerDrain:
    """The numbers of a server pod.

    With the defaults (drainTime 10s, exitTimeout 30s, requestTimeout 60s) and up to eight Python
    instances: preStop 10 s. A request taken just before the deletion may then run for 60 - 10 =
    50 s more, which is longer than 30: exit timeout 50 + ceil(8 x 1.1) = 59 s, grace period
    10 + 59 + 10 = 79 s.
    Connection age 10 / 2 = 5 s: gRPC varies it by 10 %, so the last channel is told after 5.5 s,
    which leaves it 4.5 s to connect elsewhere; the first half of the sleep is for the endpoints
    to spread.

    The grace after that age is without limit: a finite one would cut every long call of ordinary
    days, and at the end the exit timeout bounds it anyway.
    """
    pre_stop = _seconds(spec.server.drain_time)
    unload = math.ceil(_PYTHON_UNLOAD_SECONDS * _python_instances_with_room(spec))
    wait = max(_seconds(spec.server.exit_timeout), _longest_request_seconds(spec) - pre_stop)
    exit_timeout = wait + unload
    return ServerDrain(
        pre_stop_seconds=pre_stop,
        exit_timeout_seconds=exit_timeout,
        termination_grace_seconds=pre_stop + exit_timeout + _GRACE_MARGIN_SECONDS,
        grpc_connection_age_milliseconds=max(
            _SHORTEST_CONNECTION_AGE_MILLISECONDS, pre_stop * 1_000 // 2
        ),
        grpc_connection_age_grace_milliseconds=_UNLIMITED_MILLISECONDS,
    )


def gateway_drain(spec: AgentSpec) -> GatewayDrain:
    """The numbers of a gateway pod.

    Each answer given while draining tells its client to close the connection. A connection that
    carries no request in all that time is told nothing, so draining outlasts the 15 s after which
    clients drop idle connections themselves: max(drainTime, 20 s). Requests in flight are then
    waited for, up to the request timeout: 20 + 60 + 10 = 90 s with the defaults.
    """
    drain = max(_seconds(spec.server.drain_time), _SHORTEST_GATEWAY_DRAIN_SECONDS)
    return GatewayDrain(drain, drain + _longest_request_seconds(spec) + _GRACE_MARGIN_SECONDS)


def _longest_request_seconds(spec: AgentSpec) -> int:
    """How long the gateway lets a request run; without a gateway nobody says, and exitTimeout
    alone counts.
    """
    if not spec.gateway.enabled:
        return 0
    return _seconds(spec.gateway.request_timeout) or _LONGEST_UNBOUNDED_REQUEST_SECONDS


def _python_instances_with_room(spec: AgentSpec) -> int:
    """How many Python processes a pod is given the time to end one after the other: as many as it
    has, up to the next power of two, 8 at the least. 3 are 8, 9 are 16; without Python models 0.
    A model whose backend Triton finds out by its files may be one of them.

    The number changes in place, and a pod's flags and grace period do not: they are the same for
    many numbers, so that few changes replace pods. A pod that has ended sooner is gone sooner.
    """
    python = [model for model in spec.models if backend_of(model) in ("python", "")]
    instances = sum(
        instances_per_pod(model, spec.server) * len(loaded_versions(model)) for model in python
    )
    return max(_FEWEST_UNLOADED, 1 << (instances - 1).bit_length()) if python else 0


def _seconds(duration: timedelta) -> int:
    """Whole seconds, rounded up: 1.2 s is 2."""
    return math.ceil(duration.total_seconds())
