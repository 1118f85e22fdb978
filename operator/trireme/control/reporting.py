"""What a pass sees, reported: observed once more, the status written where it changed, its Events.

What is said is in `status` and in `events`; here it is gathered, and held against what was said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.agent import AgentSpec
from trireme.api.conditions import ConditionType, Reason
from trireme.api.fetch import FetchReason
from trireme.api.status import AgentStatus
from trireme.control import events, in_place, status
from trireme.control.agent_state import Refused
from trireme.control.apply import is_final
from trireme.control.observed import DeploymentView, PodView, deployment_view, pods_known
from trireme.control.preflight import described
from trireme.control.queue import Key
from trireme.control.starting_pods import Told, ask
from trireme.control.store import AgentView
from trireme.control.trial import candidate_pods, words_of_rollback, words_of_trial
from trireme.edge.cluster import Cluster
from trireme.edge.recorder import Event
from trireme.errors import Fault
from trireme.resources.control import OperatorKey


@dataclass(frozen=True, slots=True)
class Report:
    """The conditions that were found, and the Events that they are worth."""

    found: Mapping[ConditionType, status.Finding]
    events: Sequence[Event]


class Reporter:
    """Writes statuses; what it knows of an agent is in the agent's view."""

    def __init__(
        self, *, cluster: Cluster, operator_key: OperatorKey, clock: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._operator_key = operator_key
        self._clock = clock

    async def report(self, key: Key, view: AgentView) -> Report | None:
        """Observe, and write the status once where it changed; None while too little is known.
        Raises ClusterError.
        """
        body, generation = view.body, view.judged  # which need not be the body's any more
        assert body is not None and generation is not None  # noqa: S101, PT018  # a pass has looked
        now = self._clock()
        running = view.accepted
        spec = running.agent.spec if running else None
        pods = view.stable_pods
        if view.written is None and not pods_known(view.servers.together, pods):
            return None  # just started: what an earlier process wrote is better than half a view
        before = readable_status(view.written or body.get("status"))
        control_key = self._operator_key.of_agent(body["metadata"]["uid"])
        told_by_pods = await ask(pods, candidate_pods(view), control_key, view.silent, now)
        observed = _observe(key, view, told_by_pods, pods, before)
        _look_at_canary(key, view, told_by_pods)
        warned = "\n".join(map(str, _warnings(view)))
        verdict = _verdict(view.refused, warned)
        found = status.findings(generation, before, verdict, observed)
        conditions = status.dated(found, before.conditions, generation, now)
        digest, live_digest = before.repository_digest, before.live_digest
        if running is not None and view.apply_failure is None:
            digest = running.repository.digest
            if status.is_done(before, observed):
                live_digest = running.repository.live_digest
        models = status.model_statuses(_model_names(spec), pods, observed.models, observed.fetches)
        after = status.written(
            AgentStatus(
                observed_generation=generation,
                conditions=conditions,
                replicas=sum(not pod.terminating for pod in view.server_pods),
                ready_replicas=sum(pod.ready_since is not None for pod in view.server_pods),
                selector=status.selector(key.name),
                repository_digest=digest,
                live_digest=live_digest,
                models=described(models, running, before.models if view.refused else ()),
            )
        )
        told: Sequence[Event] = ()
        if after != (view.written or status.written(before)):
            await self._cluster.apply_status(
                kinds.AGENT_DEPLOYMENT, body["metadata"], after, names.STATUS_MANAGER
            )
            story = events.Story(digest, live_digest, view.change, len(pods), warned)
            told = events.transitions(before, conditions, story)
        view.written = after
        if found[ConditionType.READY].status:
            view.replaced = view.change = None
        return Report(found, told)


def _observe(
    key: Key,
    view: AgentView,
    told: Told,
    pods: tuple[PodView, ...],
    before: AgentStatus,
) -> status.Observed:
    failure, running = view.apply_failure, view.accepted
    gateway = view.deployment(names.gateway(key.name))
    return status.Observed(
        server=_servers(view),
        gateway=deployment_view(gateway) if gateway else None,
        gateway_wanted=running.agent.spec.gateway.enabled if running else bool(view.gateway_pods),
        pods=pods,
        gateway_pods=view.gateway_pods,
        models=told.models(pods, running.repository if running else None),
        apply_failure=failure.message if failure else None,
        apply_final=failure is not None and is_final(failure),
        in_place=in_place.progress(view, before),
        may_be_empty=running is not None and status.may_be_empty(running.agent.spec),
        fetches=told.fetches,
        trial=words_of_trial(view),
        rolled_back=words_of_rollback(view),
    )


def _look_at_canary(key: Key, view: AgentView, told: Told) -> None:
    """Leave in it what its pods cannot start by, for the analysis to take it back."""
    canary, pods = view.canary, candidate_pods(view)
    deployment = view.deployment(names.canary(key.name))
    if canary is None or deployment is None or canary.fault:
        return
    seen = status.Observed(
        server=deployment_view(deployment),
        gateway=None,
        gateway_wanted=False,
        pods=pods,
        gateway_pods=(),
        models=told.models(pods, canary.candidate.repository),
    )
    canary.fault = status.fault(seen)


def _warnings(view: AgentView) -> tuple[Fault, ...]:
    """What is odd of a spec that can be used; of one that is refused, its faults are told."""
    if view.accepted is None or view.refused is not None:
        return ()
    return (*view.accepted.warnings, *([view.claim_stays] if view.claim_stays else []))


def _verdict(refused: Refused | None, warned: str) -> status.Verdict:
    if refused is not None:
        if refused.reason is Reason.INSPECTING:
            return status.Verdict(None, refused.reason, refused.message, heals=True)
        if isinstance(refused.reason, FetchReason):
            heals = refused.reason.transient
        else:
            heals = refused.reason is Reason.SOURCE_NOT_FOUND
        return status.Verdict(False, refused.reason, refused.message, heals)
    if warned:
        return status.Verdict(
            True, Reason.VALID, f"the spec has no faults, but warnings:\n{warned}"
        )
    return status.Verdict(True, Reason.VALID, "the spec has no faults")


def _servers(view: AgentView) -> DeploymentView | None:
    """All Deployments of server pods as one; None where one that is wanted does not exist yet. One
    that is not wanted any more is as a template of before.
    """
    servers, running = view.servers, view.accepted
    seen = servers.together
    if running is None or seen is None:
        return seen
    wanted = {pods.name for pods in running.pod_sets}
    if not wanted <= servers.views.keys():
        return None
    return (
        seen
        if servers.views.keys() <= wanted
        else replace(seen, only_latest=False, rolled_out=False)
    )


def _model_names(spec: AgentSpec | None) -> list[str]:
    return [*(m.name for m in spec.models), *(p.name for p in spec.pipelines)] if spec else []
