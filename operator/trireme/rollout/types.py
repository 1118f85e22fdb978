"""The values of a canary rollout, each made in one place and flowing one way. Pure.

The control loop reads what both tracks answered since its last round and makes a `Round`;
`steps.advance` turns Round, Plan and Memory into a Verdict and the next Memory. Times are aware
datetimes, durations timedeltas, shares numbers from 0 to 1.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from trireme.api.rollout import RolloutPhase
from trireme.rollout.evidence import NONE, START, Bets, Share


class Measure(StrEnum):
    """What the canary is compared on, in the words of messages."""

    FAILURES = "failed"
    REFUSED = "refused as the client's fault"
    LATE = "late"
    SLOW = "slower than the stable pods' usual"
    DIFFERENT = "answered differently"


@dataclass(frozen=True, slots=True)
class Answers:
    """What one track answered in an interval.

    `late`: over the objective's latency target, or failed. `slow`: over the latency that about half
    of the stable pods' requests took when the analysis began, or failed. `untimed` are the requests
    of which neither is known. `refused`: as the client's fault, None where nobody counts these.
    """

    requests: int = 0
    failed: int = 0
    late: int = 0
    slow: int = 0
    untimed: int = 0
    refused: int | None = 0

    def __add__(self, other: "Answers") -> "Answers":
        counted = self.refused is not None and other.refused is not None
        return Answers(
            self.requests + other.requests,
            self.failed + other.failed,
            self.late + other.late,
            self.slow + other.slow,
            self.untimed + other.untimed,
            (self.refused or 0) + (other.refused or 0) if counted else None,
        )

    @property
    def timed(self) -> int:
        """The requests whose latencies are known."""
        return self.requests - self.untimed

    @property
    def without_latencies(self) -> "Answers":
        """The same where it says nothing how long they took."""
        return replace(self, late=0, slow=0, untimed=self.requests)

    @property
    def taken(self) -> int:
        """The requests that were not refused: one that is says nothing of how others are served."""
        return self.requests - (self.refused or 0)

    def share(self, measure: Measure) -> Share:
        """The requests that are cases of a measure; of DIFFERENT a track knows nothing itself."""
        match measure:
            case Measure.FAILURES:
                return Share(self.failed, self.requests)
            case Measure.REFUSED:
                return NONE if self.refused is None else Share(self.refused, self.requests)
            case Measure.LATE:
                return Share(self.late, self.timed)
            case Measure.SLOW:
                return Share(self.slow, self.timed)
            case Measure.DIFFERENT:
                return NONE


@dataclass(frozen=True, slots=True)
class Limits:
    """How much worse a canary may be, as shares of the requests.

    `late` is half of what an objective of p95 allows; `slow` lets the median wander to what was the
    30th or the 70th percentile; `different` is of the answers that were compared.
    """

    failed: float = 0.001
    refused: float = 0.001
    late: float = 0.025
    slow: float = 0.2
    different: float = 0.01

    def of(self, measure: Measure) -> float:
        """The limit of one measure."""
        match measure:
            case Measure.FAILURES:
                return self.failed
            case Measure.REFUSED:
                return self.refused
            case Measure.LATE:
                return self.late
            case Measure.SLOW:
                return self.slow
            case Measure.DIFFERENT:
                return self.different


@dataclass(frozen=True, slots=True)
class Step:
    """A share of the requests, and how long and for how many of them it is watched at least;
    `least_compared` is how many mirrored ones, 0 where none are mirrored.
    """

    weight: float
    pause: timedelta
    least_requests: int
    least_compared: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a canary goes through before it is promoted.

    `false_alarm_rate` is the probability that a canary that is no worse is ever taken back for what
    the analysis saw, over the whole rollout and all measures. `deadline`: how long the canary may
    carry its share in one step before it is taken back undecided; `longest_start`: how long its
    pods may take beside that to be there, in a step of any kind.
    """

    steps: tuple[Step, ...]
    false_alarm_rate: float
    deadline: timedelta
    longest_start: timedelta
    limits: Limits = Limits()


class Command(StrEnum):
    """What a person tells a rollout."""

    PROMOTE = "promote"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Round:
    """What is seen in one round, since the one before.

    `carries`: whether the canary's ready pods can carry the step's share of the requests; `warm`:
    whether none of them is in its first minute, when any pod is slower. `canary` and `stable` are
    None where nothing is known of them. `whole`: whether they tell of the canary's own pods, and
    all that is judged; else its failures count, and are none of a step's requests. `compared`:
    mirrored requests that both tracks answered, and those of them whose answers differ. `note`:
    what a reader has to know of these figures. `fault`: why the canary cannot run, empty where it
    can. `lacks`: the GPUs that it waits for.
    """

    at: datetime
    carries: bool
    canary: Answers | None
    stable: Answers | None
    compared: Share = NONE
    command: Command | None = None
    note: str = ""
    fault: str = ""
    warm: bool = True
    whole: bool = True
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """What the canary would have had of each measure in the stable pods' place."""

    failed: float = 0.0
    refused: float = 0.0
    late: float = 0.0
    slow: float = 0.0

    def of(self, measure: Measure) -> float:
        """That of one measure; answers that differ are nobody's due."""
        match measure:
            case Measure.FAILURES:
                return self.failed
            case Measure.REFUSED:
                return self.refused
            case Measure.LATE:
                return self.late
            case Measure.SLOW:
                return self.slow
            case Measure.DIFFERENT:
                return 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of both tracks since the analysis began, and the capital of the bets on it.

    `due` is what the canary would have had of each measure with the stable pods' shares of the same
    rounds: shares over the whole time are of loads that a canary of growing weight has another
    mixture of. `pending` are the rounds that are not yet enough for a bet. `failed`, `refused` and
    `different` are logarithms.
    """

    canary: Answers = Answers()
    stable: Answers = Answers()
    due: Due = Due()
    compared: Share = NONE
    pending_canary: Answers = Answers()
    pending_stable: Answers = Answers()
    failed: float = 0.0
    refused: float = 0.0
    different: float = 0.0
    late: Bets = START
    slow: Bets = START

    def log(self, measure: Measure) -> float:
        """The logarithm of the capital that was bet on one measure."""
        match measure:
            case Measure.FAILURES:
                return self.failed
            case Measure.REFUSED:
                return self.refused
            case Measure.LATE:
                return self.late.log
            case Measure.SLOW:
                return self.slow.log
            case Measure.DIFFERENT:
                return self.different


@dataclass(frozen=True, slots=True)
class Memory:
    """What a round hands to the next one.

    `looked` is when the canary was last looked at. `step` counts from 0; of the time in it,
    `watched` is what it was looked at for, and `carried` the part in which the canary carried its
    share with warm pods; `seen` are the canary's requests in it that were not refused, and
    `compared` the mirrored ones. `usual_milliseconds` is what about half of the stable pods'
    requests took at most when the analysis began, None until that is known.
    """

    step: int
    looked: datetime
    watched: timedelta = timedelta(0)
    carried: timedelta = timedelta(0)
    seen: int = 0
    compared: int = 0
    evidence: Evidence = field(default_factory=Evidence)
    usual_milliseconds: float | None = None


class Why(StrEnum):
    """What a verdict rests on."""

    STEP_BEGAN = "StepBegan"
    GPUS = "Gpus"  # waits for GPUs that others have
    PODS = "Pods"  # waits for pods that carry its share
    FIGURES = "Figures"  # waits for figures of both tracks
    REQUESTS = "Requests"  # waits for its requests
    COMPARED = "Compared"  # waits for mirrored requests to be compared
    PAUSE = "Pause"  # waits for the step's time
    DOUBT = "Doubt"  # waits, since it may be worse
    FAULT = "Fault"  # cannot run
    HARM = "Harm"  # is worse
    UNDECIDED = "Undecided"  # waited for too long
    NO_HARM = "NoHarm"  # is not worse
    TOLD = "Told"  # a person said so


@dataclass(frozen=True, slots=True)
class Verdict:
    """The share of the requests that the canary is to get now, and why, for an SRE to read.

    One that is promoted keeps its share until the stable pods are what it is.
    """

    at: datetime
    phase: RolloutPhase
    weight: float
    why: Why
    message: str
