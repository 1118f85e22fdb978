"""What the operator recommends of a pipeline that serves: larger batches of its busiest step.

Pure. The steps share a pod, and what it sustains follows from the curves of all of them. Only the
step that is nearest to its own capacity is looked at: what another gains, the pipeline does not. A
step's instances and its queue delay are left as they are: how its requests come depends on the
steps before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trireme.autoscaler.capacity import Calls, LearntCurve, pipeline_capacity
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.serving import ServedPipeline
from trireme.tuner.advice import LEAST_GAIN, SLACK, Advice, Served, candidates, weighed
from trireme.tuner.batch_times import BatchTimes
from trireme.tuner.prediction import ALLOWANCE
from trireme.tuner.types import Configuration, Space, View


@dataclass(frozen=True, slots=True)
class ServedLine:
    """A pipeline that serves: its steps, the curves of their models, how often each is called for a
    request, and how many requests a second a pod sustains. `busiest` is the step that binds it.
    """

    busiest: Served
    steps: ServedPipeline
    curves: Mapping[str, LearntCurve]
    calls: Calls
    objective: ObjectivePolicy
    per_second: float

    def like(self) -> "ServedLine":
        """The same but for the number of executions that the curves stand on."""
        curves = {name: replace(curve, executions=0) for name, curve in self.curves.items()}
        busiest = replace(self.busiest, learnt=curves[self.busiest.name])
        return replace(self, busiest=busiest, curves=curves)


def advise_step(line: ServedLine, space: Space) -> Advice | None:
    """The best change of the busiest step, if only to be kept; None where none is worth that. A
    search: many seconds of a processor.
    """
    found = [
        advice
        for wanted in candidates(line.busiest, space)
        if (advice := _judged(line, wanted)) is not None
    ]
    return max(found, key=lambda each: (each.is_worth_telling, each.gain), default=None)


def _judged(line: ServedLine, wanted: Configuration) -> Advice | None:
    near = line.busiest.near(wanted)
    gains = {View.EXPECTED: _gain(line, near, View.EXPECTED)}
    if gains[View.EXPECTED] < LEAST_GAIN - SLACK:
        return None  # and no more is searched for
    gains[View.MOST] = _gain(line, near, View.MOST)
    gains[View.LEAST] = _gain(line, wanted, View.LEAST)
    return weighed(line.busiest, wanted, gains)


def _gain(line: ServedLine, wanted: Configuration, view: View) -> float:
    """How much more of the pipeline a pod sustains, as a share of what it does."""
    name, learnt = line.busiest.name, line.busiest.learnt
    times = BatchTimes.on(learnt.curve, learnt.curve.max_batch)
    curves = {**line.curves, name: replace(learnt, curve=times.curve(wanted.max_batch, view))}
    steps = tuple(
        replace(step, serving=replace(step.serving, max_batch=wanted.max_batch))
        if step.model == name
        else step
        for step in line.steps.steps
    )
    found = pipeline_capacity(curves, line.calls, ServedPipeline(steps), line.objective)
    per_second = found.per_second if isinstance(found, Capacity) else 0.0
    return ALLOWANCE[view] * per_second / line.per_second - 1
