"""What a verdict makes of a canary: its share of the requests, and its size. Pure, but that both
are left in `CanaryState`, which the reconciler acts on.
"""

from dataclasses import dataclass

from trireme.api.rollout import RolloutPhase
from trireme.control.agent_state import CanaryState
from trireme.control.canary_class import stable_pods
from trireme.control.canary_course import shares_gpus
from trireme.control.held_gpus import told_size
from trireme.control.store import AgentView
from trireme.control.trial import candidate_pods
from trireme.rollout.size import canary_pods, share_of_pods
from trireme.rollout.types import Verdict, Why


@dataclass(frozen=True, slots=True)
class ReadyPods:
    """The candidate's ready pods beside the stable ones: those that are ready, and those that are
    wanted for the whole demand, as so many of the candidate's class.
    """

    ready: int
    stable: int
    wanted: int

    def carry(self, weight: float) -> bool:
        """Whether each of the candidate's carries no more of this share than a stable one."""
        return self.stable > 0 and self.ready >= canary_pods(self.stable, weight)


def ready_pods(view: AgentView) -> ReadyPods:
    """Of an agent that tries a candidate."""
    ready = sum(pod.ready_since is not None for pod in candidate_pods(view))
    stable = stable_pods(view, view.canary.node_class if view.canary is not None else "")
    return ReadyPods(ready, stable.ready, stable.wanted)


def most_pods(agent: str, view: AgentView, canary: CanaryState) -> int | None:
    """How many pods a canary may have; None where it shares no GPUs with others. Until it is known
    what these leave, it stays as large as it is.
    """
    if view.accepted is None or not shares_gpus(view.accepted, canary.candidate):
        return None
    if canary.grant is not None:
        return canary.grant.replicas
    return told_size(agent, view)


def follow(
    canary: CanaryState,
    verdict: Verdict,
    pods: ReadyPods,
    carriers: int | None,
    most: int | None = None,
) -> int | None:
    """Leave a verdict to the reconciler. A share is given only once the pods for it are ready; one
    that is taken away is so at once, as is all of it where the canary may have no pods. While no
    stable pod is ready neither size nor share has a measure, and both stay.

    `most` is how many pods it may have, None where nothing bounds them. `carriers` are the ready
    pods that the share was left to, None until it was; the answer is how many it is left to from
    now on.
    """
    canary.phase, canary.message = verdict.phase, verdict.message
    canary.is_undecided = verdict.why is Why.UNDECIDED
    if verdict.phase is not RolloutPhase.PROGRESSING:
        canary.weight = min(canary.weight, verdict.weight)
        return carriers
    if not pods.stable:
        return carriers
    needed = canary_pods(pods.wanted, verdict.weight)
    # Within a step stable pods come and go, and the canary's are not to.
    is_new = verdict.why is Why.STEP_BEGAN
    canary.needed = needed if is_new else max(canary.needed, needed)
    canary.replicas = canary.needed if most is None else min(canary.needed, most)
    if not canary.replicas:
        canary.weight = 0.0
        return None
    if verdict.weight < canary.weight or (canary.is_reachable and pods.carry(verdict.weight)):
        canary.weight = verdict.weight
    return _keep_to(canary, pods, carriers)


def _keep_to(canary: CanaryState, pods: ReadyPods, carriers: int | None) -> int | None:
    """Leave a canary that has lost pods what the others carry. Where all are gone the stable pods
    answer for them, and where there are more stable ones than before none of its pods has more to
    carry.
    """
    if pods.carry(canary.weight):
        return pods.ready
    if pods.ready and (carriers is None or pods.ready < carriers):
        canary.weight = min(canary.weight, share_of_pods(pods.ready, pods.stable))
        return pods.ready
    return carriers
