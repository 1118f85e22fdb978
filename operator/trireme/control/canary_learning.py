"""What a canary's pods tell of instances, beside the stable ones.

While they run another number of a model's instances, and it is otherwise the same on the same pods,
the times of both say what instances cost each other (`trireme.autoscaler.contention`). So it is
learnt from each number that is tried, whatever becomes of it. Everything else is learnt of the
stable pods alone (`learning`).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.autoscaler.capacity import learn
from trireme.autoscaler.contention import contention
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.types.serving import Serving
from trireme.control.agent_state import CanaryState, Learning
from trireme.control.canary_course import is_on
from trireme.control.learning import SURE, known, note, seen_of, unlearnt
from trireme.control.queue import Key
from trireme.control.rounds import keep_beginning
from trireme.control.store import AgentView, Store
from trireme.control.trial import candidate_pods
from trireme.edge import triton
from trireme.errors import ServerError
from trireme.resources.pod_sets import canary_set

logger = logging.getLogger(__name__)

_TICK_SECONDS = 5.0
_ASKED_AT_ONCE = 16


class CanaryLearner:
    """Looks at the canaries of all agents, and leaves what follows with what is learnt of their
    stable pods.
    """

    def __init__(self, *, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def learn(self) -> None:
        """Look at those that are due, for ever; what takes longer holds up no other round."""
        await keep_beginning(self.round, _TICK_SECONDS)

    async def round(self) -> None:
        """Look at those that are due: once a minute."""
        views = ((key, self._store.view(key)) for key in self._store.agents())
        due = [
            (key, view, canary)
            for key, view in views
            if (canary := view.canary) is not None and is_on(canary)
        ]
        await asyncio.gather(*(self._tried(*each) for each in due))

    async def _tried(self, key: Key, view: AgentView, canary: CanaryState) -> None:
        """One agent; never raises: what fails is tried again a minute later."""
        try:
            await self._look(view, canary)
        except ServerError as error:
            logger.debug("%s: %s", key, error)
        except Exception:
            logger.exception("%s: learning from its canary failed", key)

    async def _look(self, view: AgentView, canary: CanaryState) -> None:
        """Ask one of its servers. Raises ServerError."""
        now, stable = self._clock(), _beside(view, canary)
        if stable is None:
            return
        agent = canary_set(canary.candidate.agent, canary.node_class).agent
        if canary.learning is None:
            canary.learning = unlearnt(canary.candidate.repository, agent.spec.server)
        own = canary.learning
        if own.due is not None and now < own.due:
            return
        models = _otherwise_counted(agent.spec, own, stable)
        ready = [pod for pod in candidate_pods(view) if pod.ready_since is not None and pod.address]
        if not models or not ready:
            return
        own.due = now + SURE
        pod = next((pod for pod in ready if pod.server_id == own.server_id), ready[0])
        async with self._asking:
            statistics = await triton.statistics(pod.at(names.HTTP_PORT))
        note(own, pod, statistics, self._clock())
        for model, serving in models.items():
            _learn(model, serving, own, stable)


def _beside(view: AgentView, canary: CanaryState) -> Learning | None:
    """What is known of the stable pods on the same sort of nodes."""
    sets = view.accepted.pod_sets if view.accepted is not None else ()
    alike = (pods for pods in sets if pods.node_class == canary.node_class)
    pods = next((pods for pods in alike if pods.name in view.learning), None)
    if pods is None:
        return None
    view.learning[pods.name] = found = known(view, pods)
    return found


def _otherwise_counted(spec: AgentSpec, own: Learning, stable: Learning) -> Mapping[str, Serving]:
    """The models that are learnt, and differ from the stable pods' by their number of instances
    alone; those of which it is found out are left out.
    """
    policy = policy_of(spec)
    if not policy.mode.is_decided_by_trireme:
        return {}
    served = {m: s for o in policy.objectives if o.serving for m, s in o.served_models.items()}
    return {
        model: serving
        for model, serving in served.items()
        if own.uncounted_digests.get(model) == stable.uncounted_digests.get(model)
        and own.model_digests.get(model) != stable.model_digests.get(model)
        and model not in own.contentions
    }


def _learn(model: str, serving: Serving, own: Learning, stable: Learning) -> None:
    """Learn a model's curve with the canary's number, and once enough is seen of both numbers what
    instances cost each other.
    """
    intervals, before = own.intervals.get(model, ()), own.curves.get(model)
    curve = learn(intervals, serving.max_batch, before, serving.instances)
    if curve is None:
        own.curves.pop(model, None)
        return
    own.curves[model] = curve
    one, other = seen_of(stable, model, stable.curves.get(model)), seen_of(own, model, curve)
    if one is None or other is None:
        return
    found = contention(one, other, stable.uncounted_digests[model])
    if found is not None:
        own.contentions[model] = stable.contentions[model] = found
