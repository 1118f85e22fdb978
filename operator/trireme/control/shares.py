"""Who may have how many pods in a round, of the agents that share a budget of GPUs.

What each would decide by itself is known here; where what it was granted may bind, the loop decides
anew. The agents that are not scaled now (another decides, signals are missing, nobody has
looked yet) keep what they have, and it counts. So do the pods beyond a size: those that end, those
of a rollout and of a canary, and the last ones of an agent that is gone. What a canary may have
itself is left in its state.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta

from trireme.api.agent import AgentSpec
from trireme.api.conditions import Reason
from trireme.api.gpu_budgets import GpuBudget
from trireme.api.node_classes import by_class
from trireme.api.rollout import RolloutPhase
from trireme.api.scaling import BudgetShare, Paused, ScalingMode
from trireme.autoscaler.budget import (
    PATIENCE,
    Held,
    Member,
    granted,
    grants,
    holder,
    moves,
    usable,
)
from trireme.autoscaler.canary_room import Room, kept, rooms
from trireme.autoscaler.records import Concluded
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.observation import Grant
from trireme.control.agent_state import Accepted
from trireme.control.held_gpus import (
    beyond_size,
    canary_size,
    gpus_of_canary_pod,
    gpus_of_pod,
    of_pods,
)
from trireme.control.observed import class_of
from trireme.control.queue import Key
from trireme.control.store import AgentView, Store
from trireme.edge.metrics import Metrics

logger = logging.getLogger(__name__)

_JUST_WENT = timedelta(minutes=1)
"""For so long pods of an agent that is gone count that are not told to end yet: the garbage
collector takes a step each for Deployment, ReplicaSet and pod, seconds where it is not behind."""

_Sharing = tuple[Key, Accepted, BudgetShare]
_NOTHING_HELD = Held()


class Shares:
    """The budgets, when pods were last taken from one agent for another, and which agents had part,
    when last.
    """

    def __init__(
        self,
        store: Store,
        budgets: Sequence[GpuBudget],
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._budgets = {budget.name: budget for budget in budgets}
        self._metrics = metrics
        self._clock = clock
        self._moved = dict.fromkeys(self._budgets, clock())
        self._shared: dict[str, dict[Key, datetime]] = {name: {} for name in self._budgets}

    def grants(self, alone: Mapping[Key, Concluded]) -> dict[Key, Grant]:
        """What each agent that names a budget may have, by what it would decide by itself.

        A budget that cannot be shared out lets none of its agents grow, and no other suffers.
        """
        sharing: dict[str, list[_Sharing]] = {name: [] for name in self._budgets}
        unread: dict[str, list[Key]] = {name: [] for name in self._budgets}
        for key in self._store.agents():
            view = self._store.view(key)
            if view.canary is not None:
                view.canary.grant = None
            if view.accepted is None:
                name = _budget_named(view)
                if name in unread and self._budgets[name].admits(key.namespace):
                    unread[name].append(key)
            elif (share := view.accepted.agent.spec.scaling.budget) is not None:
                sharing.setdefault(share.name, []).append((key, view.accepted, share))
        found: dict[Key, Grant] = {}
        for name, agents in sharing.items():
            try:
                found |= self._shared_out(name, agents, unread.get(name, ()), alone)
            except Exception:
                logger.exception("the GPU budget %s could not be shared out", name)
                found |= self._as_they_are(name, agents, alone)
        return found

    def _shared_out(
        self,
        name: str,
        agents: Sequence[_Sharing],
        unread: Iterable[Key],
        alone: Mapping[Key, Concluded],
    ) -> dict[Key, Grant]:
        """What each agent may have that names this budget."""
        budget, now = self._budgets.get(name), self._clock()
        members: dict[Key, Member] = {}
        found: dict[Key, Grant] = {}
        for key, accepted, share in agents:
            view = self._store.view(key)
            if (wrong := _unusable(key, name, budget, accepted.agent.spec)) is not None:
                member = _member(key, accepted, share, view, alone.get(key))
                found[key] = Grant(max(member.least, member.current), wrong)
                _hold_canary(key, view, wrong)
            elif budget is not None:
                held = beyond_size(key.name, view, accepted, budget.resource, now)
                canary = _canary_needs(key, view, accepted, held, budget.resource)
                members[key] = _member(key, accepted, share, view, alone.get(key), held, canary)
        if budget is not None:
            holders = [*self._unread(budget, unread, now), *self._gone(budget, members.keys(), now)]
            given, left = self._of_budget(budget, [*members.values(), *holders], now)
            found |= {key: given[member.name] for key, member in members.items()}
            for key, accepted, _ in agents:
                view = self._store.view(key)
                if key in members and view.canary is not None:
                    room = left[members[key].name]
                    of_pod = gpus_of_canary_pod(key.name, view, accepted, budget.resource)
                    pods = room.gpus // of_pod if of_pod else view.canary.needed
                    view.canary.grant = Grant(pods, room.words)
        return found

    def _unread(self, budget: GpuBudget, keys: Iterable[Key], now: datetime) -> Iterator[Member]:
        """Agents whose specs nobody has looked at yet: the operator was just started."""
        for key in keys:
            pods = self._store.view(key).server_pods
            yield holder(str(key), Held(unread=of_pods(pods, budget.resource, now)))

    def _gone(
        self, budget: GpuBudget, present: AbstractSet[Key], now: datetime
    ) -> Iterator[Member]:
        """Agents that are gone, while pods of theirs have GPUs of this budget. It takes the cluster
        a moment to tell these to end; who is not told then stays, and is nobody's any more
        (`kubectl delete --cascade=orphan`).
        """
        last_there = self._shared[budget.name]
        last_there |= dict.fromkeys(present, now)
        for key in last_there.keys() - present:
            view, ending = self._store.view(key), 0
            if view.body is None or "deletionTimestamp" in view.body["metadata"]:
                just_went = now - last_there[key] < _JUST_WENT
                pods = (pod for pod in view.server_pods if pod.terminating or just_went)
                ending = of_pods(pods, budget.resource, now)
            if ending:
                yield holder(str(key), Held(ending))
            else:
                del last_there[key]

    def _of_budget(
        self, budget: GpuBudget, members: Sequence[Member], now: datetime
    ) -> tuple[dict[str, Grant], dict[str, Room]]:
        may_move = now - self._moved[budget.name] >= PATIENCE
        canaries = sum(member.held.canary for member in members)
        members = kept(members, budget.gpus, may_move=may_move)
        planned = granted(members, budget.gpus, may_move=may_move)
        gives_back = sum(member.held.canary for member in members) < canaries
        if gives_back or moves(members, planned):
            self._moved[budget.name] = now
        pods = usable(members, planned, budget.gpus)
        left = rooms(budget.name, members, planned, pods, budget.gpus)
        members = [_with_room(member, left[member.name]) for member in members]
        figures = {
            "total": budget.gpus,
            "given": sum(pods[member.name] * member.gpus for member in members),
            "wanted": sum(max(member.least, member.wanted) * member.gpus for member in members),
            "held": sum(member.held.ending + member.held.staying for member in members),
        }
        for kind, gpus in figures.items():
            self._metrics.budget_gpus.labels(budget.name, kind).set(gpus)
        return grants(budget.name, members, pods, budget.gpus), left

    def _as_they_are(
        self, budget: str, agents: Iterable[_Sharing], alone: Mapping[Key, Concluded]
    ) -> dict[Key, Grant]:
        """Nobody grows beyond their min: what is left of the budget is not known."""
        words = f"GPU budget {budget}, which could not be shared out: the operator's log says why"
        found = {}
        for key, accepted, share in agents:
            _hold_canary(key, self._store.view(key), words)
            if (made := alone.get(key)) is not None:
                current = _member(key, accepted, share, self._store.view(key), made).current
                found[key] = Grant(max(_least(accepted, made), current), words)
        return found


def _canary_needs(key: Key, view: AgentView, accepted: Accepted, held: Held, resource: str) -> int:
    """The GPUs that a canary needs now; one that is promoted does not grow."""
    canary = view.canary
    if canary is None or canary.phase is RolloutPhase.ROLLED_BACK:
        return 0
    if canary.phase is RolloutPhase.PROMOTED:
        return held.canary
    return canary.needed * gpus_of_canary_pod(key.name, view, accepted, resource)


def _with_room(member: Member, room: Room) -> Member:
    """A member whose canary has what it may have."""
    if member.held.canary == room.gpus:
        return member
    return replace(member, held=replace(member.held, canary=room.gpus))


def _hold_canary(key: Key, view: AgentView, words: str) -> None:
    """It keeps what it has: what is left of the budget is not known."""
    canary = view.canary
    if canary is not None:
        size = canary_size(key.name, view)
        is_short = canary.phase is RolloutPhase.PROGRESSING and size < canary.needed
        canary.grant = Grant(size, words if is_short else "")


def _budget_named(view: AgentView) -> str:
    """The budget that a spec names which nobody has looked at yet, and which may hold anything."""
    found: object = view.body
    for part in ("spec", "scaling", "budget", "name"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""


def _unusable(key: Key, name: str, budget: GpuBudget | None, spec: AgentSpec) -> str | None:
    """Why an agent cannot have part in the budget that it names: then it does not grow."""
    if budget is None:
        return f"GPU budget {name}, which the operator's gpuBudgets do not have"
    if not budget.admits(key.namespace):
        return f"GPU budget {name}, which is not for namespace {key.namespace}"
    for gpus in (server.gpus for server in by_class(spec.server).values()):
        if gpus.count and gpus.resource != budget.resource:
            return f"GPU budget {name}, which counts {budget.resource}, not {gpus.resource}"
    return None


def _member(
    key: Key,
    accepted: Accepted,
    share: BudgetShare,
    view: AgentView,
    alone: Concluded | None,
    held: Held = _NOTHING_HELD,
    canary: int = 0,
) -> Member:
    """An agent's part: in pods where they all have as many GPUs, else in GPUs. `held` comes on top,
    and the GPUs that a `canary` needs.
    """
    is_mixed = _is_mixed(accepted, view, alone)
    current = _gpus_there(accepted, view) if is_mixed else _pods_there(view)
    least = wanted = need = current
    if alone is not None and alone.inputs.foreign_writer is None:
        decision, policy = alone.decision, alone.inputs.policy
        is_automatic = policy.mode is ScalingMode.AUTOMATIC
        wanted = _gpus_wanted(accepted, decision) if is_mixed else decision.replicas
        least = need = wanted
        stays = decision.reason is Reason.NO_SIGNALS or policy.paused in (
            Paused.ALL,
            Paused.SCALE_IN,
        )
        if is_automatic:
            if decision.proposed is not None:
                need = decision.proposed
                if is_mixed and decision.replicas:
                    need = math.ceil(need * wanted / decision.replicas)
            least = max(_least(accepted, alone), current if stays else 0)
            wanted = max(wanted, least)
    return Member(
        name=str(key),
        least=least,
        current=current,
        wanted=wanted,
        need=need,
        gpus=1 if is_mixed else accepted.agent.spec.server.gpus.count,
        priority=share.priority,
        held=held,
        canary=canary,
    )


def _is_mixed(accepted: Accepted, view: AgentView, alone: Concluded | None) -> bool:
    """Whether an agent's pods have not all as many GPUs: it is decided by node class, also while
    pods of classes that went are still there, or would be.
    """
    if alone is not None:
        return bool(alone.inputs.observation.classes)
    return bool(accepted.agent.spec.server.node_classes) or len(view.servers.bodies) > 1


def _pods_there(view: AgentView) -> int:
    together = view.servers.together
    return together.replicas if together else 0


def _gpus_there(accepted: Accepted, view: AgentView) -> int:
    servers = view.servers
    return sum(
        each.replicas * gpus_of_pod(accepted, class_of(servers.bodies[name]))
        for name, each in servers.views.items()
    )


def _gpus_wanted(accepted: Accepted, decision: Decision) -> int:
    return sum(each.replicas * gpus_of_pod(accepted, each.name) for each in decision.classes)


def _least(accepted: Accepted, alone: Concluded) -> int:
    """What an agent keeps in any case, if it is scaled: its min. Of one that is decided by node
    class it is the fewest GPUs that so many pods have, each class with its own min, and those of
    pods that are not wanted any more, which stay until others serve.
    """
    policy = alone.inputs.policy
    if not alone.inputs.observation.classes:
        return policy.min_replicas
    wanted = {rule.name for rule in policy.classes}
    leaving = sum(
        each.current * gpus_of_pod(accepted, each.name)
        for each in alone.decision.classes
        if each.name not in wanted
    )
    fewest = sum(rule.min_replicas * rule.gpus for rule in policy.classes)
    left = policy.min_replicas - sum(rule.min_replicas for rule in policy.classes)
    for rule in sorted(policy.classes, key=lambda rule: rule.gpus):
        more = max(0, min(left, rule.max_replicas - rule.min_replicas))
        fewest += more * rule.gpus
        left -= more
    return max(fewest, leaving)
