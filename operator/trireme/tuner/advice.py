"""What the operator recommends of a model that serves, by the curve that it learnt of it.

Pure. One knob is turned at a time. What is recommended is expected to make a pod sustain a tenth
more at least, and more even if the times of larger batches leave the line. What instances cost each
other no curve of a single number of them tells: another number is recommended once it was learnt of
two (`trireme.autoscaler.contention`), a step from the present one, as far as it is believed. Before
that these are left to `trireme tune --offline`, which measures it, but where they are tried on a
canary and the user has said how many there may be: then one more than the spec says is worth a try,
after all else. A queue delay is only ever lowered: it makes requests wait where there are few, and
gains nothing where there are many. But several instances may need it to keep out of step, where the
objective leaves little room: there nothing is said of it.

Where requests are executed one by one nothing is known of larger batches. By a spec that lets a
request hold several rows a model can make them, and batching is worth a try if it loses next to
nothing even where a batch takes as long as its requests one by one. What a request may hold stays:
that is the largest batch, too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from trireme.api.scaling_status import CurveSource
from trireme.api.tuning import Confidence, Knob
from trireme.autoscaler.capacity import BEYOND, LearntCurve
from trireme.tuner.batch_times import BatchTimes
from trireme.tuner.contention import Contention
from trireme.tuner.prediction import Model
from trireme.tuner.search import JUMP, ROOMY
from trireme.tuner.settings import told
from trireme.tuner.types import Configuration, Objective, Space, View

LEAST_GAIN = 0.1  # of the sustained rate: less is not worth a rollout
SLACK = 0.05  # less of one that was told already: else a gain at the edge comes and goes
_GUESSED = "what instances cost each other is not known yet: a canary tells"


@dataclass(frozen=True, slots=True)
class Advice:
    """A knob to turn. Gains are shares of what a pod sustains now."""

    model: str
    knob: Knob
    now: str
    to: str
    gain: float
    least_gain: float
    most_gain: float
    confidence: Confidence
    evidence: str

    @property
    def is_worth_telling(self) -> bool:
        """Whether it is, where it was not told before; a queue delay is dropped for no gain, and
        where nothing is known of batches, or of several instances, they may as well gain nothing.
        """
        is_open = self.confidence is Confidence.LOW
        return self.knob is Knob.MAX_QUEUE_DELAY or (
            self.gain >= LEAST_GAIN and (self.least_gain > 0 or is_open)
        )


@dataclass(frozen=True, slots=True)
class Served:
    """A model that serves: how it is configured, and the curve that was learnt of it so.
    `rows_alone`: what a request may hold where requests are executed one by one.
    """

    name: str
    now: Configuration
    learnt: LearntCurve
    rows_alone: int | None = None

    @property
    def most_batch(self) -> int:
        """The largest batch that what is known tells anything of. A curve is believed to twice the
        largest batch that was seen; one of single requests to them alone.
        """
        believed = self.learnt.curve.max_batch
        return JUMP if self.rows_alone is not None else JUMP // BEYOND * believed

    def near(self, wanted: Configuration) -> Configuration:
        """One with batches no larger than that."""
        return replace(wanted, max_batch=min(wanted.max_batch, self.most_batch))


def advise(served: Served, objective: Objective, space: Space) -> Advice | None:
    """The best change of one knob, if only to be kept; None where none is worth that, or the
    objective is not kept at any rate now. A search: seconds of a processor.
    """
    learnt = served.learnt
    if learnt.source is CurveSource.EARLIER:
        return None
    contention = _contention(served)
    alone = 1 / contention.measured[served.now.instances]
    times = BatchTimes.on(learnt.curve, learnt.curve.max_batch).scaled(alone)
    gap = learnt.curve.gap_seconds
    model = Model(objective, times, contention, noise=learnt.noise, gap_seconds=gap)
    sustained = model.per_second(served.now, View.EXPECTED)
    if not sustained:
        return None
    found = [
        advice
        for each in chain(candidates(served, space), _other_instances(served, space))
        if model.bound(served.near(each)) >= (1 + LEAST_GAIN - SLACK) * sustained
        and (advice := _judged(served, model, each, sustained)) is not None
    ]
    is_needed = served.now.instances > 1 and model.batches_within_limit(served.now) < ROOMY
    if not is_needed and (lowered := _without_delay(served, space)) is not None:
        found.append(lowered)
    return max(found, key=_by_worth, default=None)


def candidates(served: Served, space: Space) -> Iterator[Configuration]:
    """Larger batches, as far as the line reaches, where the largest of the present ones are made at
    all. Smaller ones gain nothing: a queue is served no sooner by less of it at a time. None is
    smaller than what a request may hold.
    """
    now, rows = served.now, served.rows_alone or 1
    if served.learnt.curve.max_batch < now.max_batch:
        return
    sizes = sorted({each.max_batch for each in space.configurations()}) if rows == 1 else [rows]
    for size in sizes:
        wanted = replace(now, max_batch=size)
        is_known = now.max_batch < size <= max(served.most_batch, rows)
        if is_known and space.allows(wanted):
            yield wanted


def _contention(served: Served) -> Contention:
    """What instances cost each other, beside the fewest of the numbers that something is known of:
    of the present one that is what it is.
    """
    now, known = served.now.instances, served.learnt.contention
    if known is None:
        return Contention(now, {now: 1.0})
    seen = {now, known.fewest, known.most}
    fewest = min(seen)
    return Contention(fewest, {k: known.times(k) / known.times(fewest) for k in sorted(seen)})


def _by_worth(advice: Advice) -> tuple[bool, bool, bool, float]:
    """What is known goes before what may gain, whatever that is: a guess that was tried in vain
    would hide all else for ever. So a number of instances that is guessed comes last: a larger
    batch loses next to nothing.
    """
    is_guess = advice.confidence is Confidence.LOW
    is_last = is_guess and advice.knob is Knob.INSTANCES
    return advice.is_worth_telling, not is_guess, not is_last, advice.gain


def _other_instances(served: Served, space: Space) -> Iterator[Configuration]:
    """One more or fewer, and twice as many, as far as it is known what they cost each other; where
    nothing is known of it, one more if that may be tried.
    """
    now, known = served.now, served.learnt.contention
    counts = {now.instances + 1}
    if known is not None:
        near = counts | {now.instances - 1, 2 * now.instances}
        counts = {count for count in near if count and known.tells_of(count)}
    elif not space.tries_instances:
        return
    for count in sorted(counts):
        wanted = replace(now, instances=count)
        if space.allows(wanted):
            yield wanted


def _judged(served: Served, model: Model, wanted: Configuration, sustained: float) -> Advice | None:
    gains = {view: model.per_second(served.near(wanted), view) / sustained - 1 for view in View}
    gains[View.LEAST] = model.per_second(wanted, View.LEAST) / sustained - 1
    return weighed(served, wanted, gains)


def weighed(served: Served, wanted: Configuration, gains: Mapping[View, float]) -> Advice | None:
    """Larger batches or other instances by what they gain; None where that is not even worth
    keeping.
    """
    known = served.learnt.contention
    is_of_instances = wanted.instances != served.now.instances
    if gains[View.EXPECTED] < LEAST_GAIN - SLACK:
        return None
    if is_of_instances and known is None:
        return _advice(served, Knob.INSTANCES, wanted, gains, Confidence.LOW, _GUESSED)
    if gains[View.LEAST] <= -SLACK:
        return None
    if is_of_instances:
        return _advice(served, Knob.INSTANCES, wanted, gains, Confidence.MEDIUM, str(known))
    evidence = f"learnt from {served.learnt.executions} batches: {served.learnt.curve}"
    if served.rows_alone is None:
        return _advice(served, Knob.MAX_BATCH_SIZE, wanted, gains, Confidence.MEDIUM, evidence)
    evidence += "; the least is if a batch takes as long as its requests one by one"
    is_open = gains[View.LEAST] <= 0 and served.rows_alone > 1
    confidence = Confidence.LOW if is_open else Confidence.MEDIUM
    return _advice(served, Knob.BATCHING, wanted, gains, confidence, evidence)


def _without_delay(served: Served, space: Space) -> Advice | None:
    """The queue delay lowered, where there is one to lower."""
    wanted = replace(served.now, queue_delay_seconds=space.least_queue_delay_seconds)
    if wanted.queue_delay_seconds >= served.now.queue_delay_seconds:
        return None
    evidence = (
        "it makes requests wait where there are few, and where there are many batches fill without "
        "it"
    )
    no_gain = dict.fromkeys(View, 0.0)
    return _advice(served, Knob.MAX_QUEUE_DELAY, wanted, no_gain, Confidence.HIGH, evidence)


def _advice(
    served: Served,
    knob: Knob,
    wanted: Configuration,
    gains: Mapping[View, float],
    confidence: Confidence,
    evidence: str,
) -> Advice:
    return Advice(
        served.name,
        knob,
        told(served.now, knob),
        told(wanted, knob),
        gain=gains[View.EXPECTED],
        least_gain=gains[View.LEAST],
        most_gain=gains[View.MOST],
        confidence=confidence,
        evidence=evidence,
    )
