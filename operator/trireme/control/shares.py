"""Who may have how many pods in a round, of the agents that share a budget of GPUs.

What each would decide by itself is known here; where what it was granted may bind, the loop decides
anew. The agents that are not scaled now (another decides, signals are missing, nobody has
looked yet) keep what they have, and it counts.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from trireme.api.conditions import Reason
from trireme.api.gpu_budgets import GpuBudget
from trireme.api.node_classes import by_class
from trireme.api.types import AgentSpec, BudgetShare, Paused, ScalingMode
from trireme.autoscaler.budget import PATIENCE, Member, granted, grants, moves
from trireme.autoscaler.records import Concluded, Inputs
from trireme.autoscaler.types import Decision, Grant
from trireme.control.observed import class_of
from trireme.control.queue import Key
from trireme.control.store import AgentView, Store
from trireme.edge.metrics import Metrics

logger = logging.getLogger(__name__)

_Sharing = tuple[Key, AgentSpec, BudgetShare]


class Shares:
    """The budgets, and when pods were last taken from one agent for another."""

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

    def grants(self, alone: Mapping[Key, Concluded]) -> dict[Key, Grant]:
        """What each agent that names a budget may have, by what it would decide by itself.

        A budget that cannot be shared out lets none of its agents grow, and no other suffers.
        """
        sharing: dict[str, list[_Sharing]] = {name: [] for name in self._budgets}
        for key in self._store.agents():
            accepted = self._store.view(key).accepted
            if accepted is not None and (share := accepted.agent.spec.scaling.budget) is not None:
                sharing.setdefault(share.name, []).append((key, accepted.agent.spec, share))
        found: dict[Key, Grant] = {}
        for name, agents in sharing.items():
            try:
                found |= self._shared_out(name, agents, alone)
            except Exception:
                logger.exception("the GPU budget %s could not be shared out", name)
                found |= self._held(name, agents, alone)
        return found

    def _shared_out(
        self, name: str, agents: Iterable[_Sharing], alone: Mapping[Key, Concluded]
    ) -> dict[Key, Grant]:
        """What each agent may have that names this budget."""
        budget = self._budgets.get(name)
        members: dict[Key, Member] = {}
        found: dict[Key, Grant] = {}
        for key, spec, share in agents:
            current = _current(self._store.view(key), spec)
            member = _member(key, spec, share, current, alone.get(key))
            if (wrong := _unusable(name, budget, spec)) is not None:
                found[key] = Grant(max(member.least, current), wrong)
            else:
                members[key] = member
        if budget is not None:
            given = self._of_budget(budget, [*members.values()])
            found |= {key: given[member.name] for key, member in members.items()}
        return found

    def _of_budget(self, budget: GpuBudget, members: Sequence[Member]) -> dict[str, Grant]:
        now = self._clock()
        may_move = now - self._moved[budget.name] >= PATIENCE
        pods = granted(members, budget.gpus, may_move=may_move)
        if moves(members, pods):
            self._moved[budget.name] = now
        figures = {
            "total": budget.gpus,
            "given": sum(pods[member.name] * member.gpus for member in members),
            "wanted": sum(max(member.least, member.wanted) * member.gpus for member in members),
        }
        for kind, gpus in figures.items():
            self._metrics.budget_gpus.labels(budget.name, kind).set(gpus)
        return grants(budget.name, members, pods, budget.gpus)

    def _held(
        self, budget: str, agents: Iterable[_Sharing], alone: Mapping[Key, Concluded]
    ) -> dict[Key, Grant]:
        """Nobody grows beyond their min: what is left of the budget is not known."""
        words = f"GPU budget {budget}, which could not be shared out: the operator's log says why"
        found = {}
        for key, spec, _ in agents:
            if (made := alone.get(key)) is not None:
                least = 0 if spec.server.node_classes else made.inputs.policy.min_replicas
                found[key] = Grant(max(least, _current(self._store.view(key), spec)), words)
        return found


def _unusable(name: str, budget: GpuBudget | None, spec: AgentSpec) -> str | None:
    """Why an agent cannot have part in the budget that it names: then it does not grow."""
    if budget is None:
        return f"GPU budget {name}, which the operator's gpuBudgets do not have"
    for gpus in (server.gpus for server in by_class(spec.server).values()):
        if gpus.count and gpus.resource != budget.resource:
            return f"GPU budget {name}, which counts {budget.resource}, not {gpus.resource}"
    return None


def _current(view: AgentView, spec: AgentSpec) -> int:
    """What an agent has of a budget: pods, or GPUs where its pods have not all as many."""
    servers = view.servers
    if not spec.server.node_classes:
        return servers.together.replicas if servers.together else 0
    gpus = {name: server.gpus.count for name, server in by_class(spec.server).items()}
    return sum(
        each.replicas * gpus.get(class_of(servers.bodies[name]), spec.server.gpus.count)
        for name, each in servers.views.items()
    )


def _member(
    key: Key, spec: AgentSpec, share: BudgetShare, current: int, alone: Concluded | None
) -> Member:
    least = wanted = need = current
    if alone is not None and alone.inputs.foreign_writer is None:
        inputs, decision = alone.inputs, alone.decision
        policy = inputs.policy
        wanted = least = need = decision.replicas
        stays = decision.reason is Reason.NO_SIGNALS or policy.paused in (
            Paused.ALL,
            Paused.SCALE_IN,
        )
        if policy.mode is ScalingMode.AUTOMATIC:
            need = wanted if decision.proposed is None else decision.proposed
            least = max(policy.min_replicas, current if stays else 0)
            wanted = max(wanted, least)
            if policy.classes:
                least, wanted, need = _in_gpus(inputs, decision, stays=stays)
    return Member(
        name=str(key),
        least=least,
        current=current,
        wanted=wanted,
        need=need,
        gpus=1 if spec.server.node_classes else spec.server.gpus.count,
        priority=share.priority,
    )


def _in_gpus(inputs: Inputs, decision: Decision, *, stays: bool) -> tuple[int, int, int]:
    """What an agent of several node classes has at least, wants and needs, in GPUs."""
    gpus = {rule.name: rule.gpus for rule in inputs.policy.classes}
    current = sum(each.current * gpus.get(each.name, 0) for each in decision.classes)
    wanted = sum(each.replicas * gpus.get(each.name, 0) for each in decision.classes)
    least = current if stays else inputs.policy.min_replicas * min(gpus.values(), default=0)
    each = wanted / decision.replicas if decision.replicas else 0.0
    need = wanted if decision.proposed is None else math.ceil(decision.proposed * each)
    return least, max(wanted, least), need
