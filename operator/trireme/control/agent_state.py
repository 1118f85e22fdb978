"""What passes and rounds find out of one agent, and leave for each other and for their next ones.

Nothing in it is needed after a restart: what has to outlive this process is in the cluster.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from trireme.admission.examine import Inspections
from trireme.api.adoption import Adoption
from trireme.api.agent import AgentDeployment
from trireme.api.conditions import Reason
from trireme.api.fetch import FetchReason
from trireme.api.optimization import OptimizationStatus
from trireme.api.rollout import RolloutPhase
from trireme.api.scaling_status import CurveSource
from trireme.api.server import Server
from trireme.autoscaler.capacity import Calls, LearntCurve, ModelStatistics, Statistics
from trireme.autoscaler.contention import LearntContention, Seen
from trireme.autoscaler.demand import Demand, Terms
from trireme.autoscaler.policy import Latencies, latencies_of, policy_of
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.observation import Grant
from trireme.autoscaler.types.policy import ObjectivePolicy, Policy
from trireme.control.observed import Trouble
from trireme.errors import Fault, ServerError
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.repository import Repository
from trireme.resources.pod_sets import PodSet, pod_sets
from trireme.rollout.types import Memory
from trireme.tuner.advice import Advice, Served, advise
from trireme.tuner.step_advice import ServedLine, advise_step
from trireme.tuner.types import Objective, Space


@dataclass(frozen=True)  # no slots: what is read of it is kept
class Accepted:
    """A spec that can be used, completed from its files; its repository, and what is odd in it.
    `tries` is what Trireme tries in it of its own, in words; empty where nothing is. `undoes` is
    what it takes back of the pods, if nothing else of them changes: they ran it before.
    """

    agent: AgentDeployment
    repository: Repository
    warnings: tuple[Fault, ...] = ()
    inspections: Inspections = field(default_factory=dict)
    tries: str = ""
    undoes: str = ""

    @cached_property
    def policy(self) -> Policy:
        """What it asks of the scaling decision: read once, and asked for in every round."""
        return policy_of(self.agent.spec)

    @cached_property
    def latencies(self) -> Latencies:
        """What its objectives have a round ask of latencies."""
        return latencies_of(self.agent.spec)

    @cached_property
    def pod_sets(self) -> tuple[PodSet, ...]:
        """The sets of server pods that it asks for."""
        return pod_sets(self.agent)


@dataclass(frozen=True, slots=True)
class Refused:
    """A spec that cannot be used, or not yet, and why."""

    reason: Reason | FetchReason
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """An inspection that is to be made again when it is `due`: the last Job's uid, how many have
    failed in a row, and why the last one did.
    """

    job: str
    failures: int
    due: datetime
    failure: Trouble | None = None


@dataclass(slots=True)
class PreflightState:
    """What is known of the inspections of an agent's models, by their digests.

    `reports` is None until the cluster was asked for those of before. `doubts` counts how often
    files were looked at again since the spec was refused. `started` names the Jobs that this
    process made, and `waiting` says that the spec waits for some.
    """

    reports: dict[str, str] | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    doubts: dict[str, int] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    waiting: bool = False


@dataclass(slots=True)
class OptimizationState:
    """What is known of the optimisation of an agent's models: what was last written into the
    status, None until this process has, and the Jobs that are `under_way`, by name.
    """

    told: OptimizationStatus | None = None
    under_way: set[str] = field(default_factory=set)


@dataclass(slots=True)
class AdoptionState:
    """What Trireme sets of an agent in the user's place: `present`, and what of it was `told` in
    the status, None until this process has looked. `used_bytes` is the most that a pod takes of its
    memory, where more instances are about to be tried; None where it is not measured.
    """

    present: tuple[Adoption, ...] = ()
    told: tuple[Adoption, ...] | None = None
    used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Failing:
    """Attempts at a change in place that failed, one after the other: why the last one did, since
    when they do, and whether that `lasts`, so that nothing is to be hoped of the next one. Only
    where a server `was_told` to change does it say something of what was to be changed: it may have
    been asked what it runs, or nobody was, while a pod is down.
    """

    error: ServerError
    since: datetime
    lasts: bool = False
    was_told: bool = False


@dataclass(slots=True)
class InPlace:
    """What the servers are to run of the fields that change in place, and what is known of it.

    `wanted` is every model's whole configuration, `versions` which versions of those with several
    are to be served. `servers` holds, by server (`PodView.server_id`)
    and model, the one that is known to be run; a server that was asked is there, a model whose
    configuration is another one is not. After a restart servers are asked anew. `failing` is there
    while an attempt that failed is to be made again.
    """

    wanted: tuple[ModelConfig, ...] = ()
    versions: Mapping[str, frozenset[int]] = field(default_factory=dict)
    servers: dict[str, dict[str, ModelConfig]] = field(default_factory=dict)
    failing: Failing | None = None


@dataclass(frozen=True, slots=True)
class Searched:
    """What a capacity was searched for: the curves, noise and source by model, the calls of a
    pipeline's steps, and the objective.
    """

    curves: Mapping[str, tuple[ServiceCurve, float, CurveSource]]
    calls: Calls
    objective: ObjectivePolicy


@dataclass(frozen=True, slots=True)
class AdviceAsked:
    """What advice on a model's knobs was sought for."""

    served: Served
    objective: Objective
    space: Space

    def is_like(self, other: "Asked | None") -> bool:
        """Whether the same follows: that a curve stands on more batches is nothing new."""
        return isinstance(other, AdviceAsked) and self._unnumbered() == other._unnumbered()

    def sought(self) -> Advice | None:
        """The advice. A search: seconds of a processor."""
        return advise(self.served, self.objective, self.space)

    def _unnumbered(self) -> "AdviceAsked":
        learnt = replace(self.served.learnt, executions=0)
        return replace(self, served=replace(self.served, learnt=learnt))


@dataclass(frozen=True, slots=True)
class StepAdviceAsked:
    """What advice on a pipeline's busiest step was sought for."""

    line: ServedLine
    space: Space

    def is_like(self, other: "Asked | None") -> bool:
        """Whether the same follows."""
        if not isinstance(other, StepAdviceAsked):
            return False
        return (self.line.like(), self.space) == (other.line.like(), other.space)

    def sought(self) -> Advice | None:
        """The advice. A search: many seconds of a processor."""
        return advise_step(self.line, self.space)


Asked = AdviceAsked | StepAdviceAsked


@dataclass(slots=True)
class CanaryState:
    """A canary: what its pods are made of, and what the analysis says of it.

    The reconciler begins one, from the spec of `generation`, and ends it; `digest` tells it from
    others, and `node_class` is what its pods are of, empty where there are no classes. It leaves
    `is_made`, whether its objects have been, `is_reachable`, whether the gateway may send requests
    to it yet, and `fault`, why it cannot run: the analysis takes it back for that. The analysis
    leaves `phase`, `weight`, the share of the requests that it is to get now, `needed`, the pods
    that it needs for that, 0 until it is known, `replicas`, those of them that it is to have,
    `message`, why, and `memory`, None until its first round; and `is_given_up` of one that is
    promoted, where a person does not wait for the others. The autoscaler leaves `grant`, the pods
    that it may have of GPUs that are shared and what it waits for, None where none are or it is not
    known; the learner `learning`, what it sees of its pods beside the stable ones.
    """

    candidate: Accepted
    generation: int
    digest: str
    began: datetime
    node_class: str = ""
    is_made: bool = False
    is_reachable: bool = False
    fault: str = ""
    phase: RolloutPhase = RolloutPhase.PROGRESSING
    weight: float = 0.0
    needed: int = 0
    replicas: int = 1
    grant: Grant | None = None
    message: str = ""
    is_undecided: bool = False
    memory: Memory | None = None
    is_given_up: bool = False
    learning: "Learning | None" = None


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A candidate that was taken back, and why: it is not tried again. `is_undecided`: too little
    was seen of it.
    """

    digest: str
    generation: int
    message: str
    is_undecided: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Looks at servers that failed, one after the other: since when, how many, why the last did."""

    since: datetime
    looks: int
    why: str


@dataclass(slots=True)
class Learning:
    """What was learnt of a set of pods with one repository and `server`, and what it is learnt
    from: the last look at a server, when the next one is due, what each model executed in its
    recent intervals, and how many requests all of them had in the server's. `calls` are by
    pipeline, `capacities` by an objective's model or pipeline; `searched` is what each was searched
    for, `learnt_for` the spec last looked at. `advice` is on knobs, by objective, None where none
    is worth turning, and `advised` what it was sought for. `looked` is when the server last was,
    `earlier_until` until when curves of other files or configurations are used. `gaps_due` is when
    the time between a model's batches is sought again, whether or not it was found. `unanswered` is
    there while looks fail, `is_followed` says that what a pod sustains is being searched for, and
    `is_refined` that what is in no hurry is. `loads` is how many seconds the server that is looked
    at took to load each model, where it tells that, and `newcomer` the address of one that was not
    asked yet. `uncounted_digests` are those of the models, on these pods, but for the number of
    instances, `references` what was seen of one before that was another, until it is known what its
    instances cost each other, and `contentions` that.
    """

    repository_digest: str
    live_digest: str
    server: Server
    model_digests: Mapping[str, str]
    curves: dict[str, LearntCurve] = field(default_factory=dict)
    capacities: dict[str, Capacity | OutOfReach] = field(default_factory=dict)
    calls: dict[str, Calls] = field(default_factory=dict)
    searched: dict[str, Searched] = field(default_factory=dict)
    advice: dict[str, Advice | None] = field(default_factory=dict)
    advised: dict[str, Asked] = field(default_factory=dict)
    learnt_for: Accepted | None = None
    is_followed: bool = False
    is_refined: bool = False
    server_id: str = ""
    statistics: Statistics = field(default_factory=dict)
    due: datetime | None = None
    looked: datetime | None = None
    earlier_until: datetime | None = None
    gaps_due: dict[str, datetime] = field(default_factory=dict)
    unanswered: Unanswered | None = None
    intervals: dict[str, tuple[ModelStatistics, ...]] = field(default_factory=dict)
    requests: deque[Mapping[str, int]] = field(default_factory=deque)
    loads: Mapping[str, float] = field(default_factory=dict)
    uncounted_digests: Mapping[str, str] = field(default_factory=dict)
    references: dict[str, Seen] = field(default_factory=dict)
    contentions: dict[str, LearntContention] = field(default_factory=dict)
    newcomer: str | None = None


@dataclass(slots=True)
class Foresight:
    """The past of one objective's requests, and the terms that it is tested on, None where what a
    pod sustains is not known. What came before this process is read at `recall_due`, and None
    stands for done.
    """

    demand: Demand
    recall_due: datetime | None
    terms: Terms | None = None
