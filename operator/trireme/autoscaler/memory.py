"""What is kept between decisions, and its round trip through the status. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from trireme.api.scaling_status import (
    ContentionStatus,
    CurveSource,
    CurveStatus,
    LeadTimeStatus,
    ModelLoadStatus,
    PipelineCapacityStatus,
    ScalingStatus,
    StagesStatus,
    StepCallsStatus,
    TargetStatus,
)
from trireme.autoscaler.capacity import Calls, LearntCurve
from trireme.autoscaler.contention import LearntContention
from trireme.autoscaler.lead_time import Measured, Part, Stages, Starts, lead_time, measured, parts
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import BusiestStep, Capacity, OutOfReach
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import (
    ClassMemory,
    FactorMemory,
    Memory,
    Recommendation,
    ScaleChange,
    TargetMemory,
)
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.autoscaler.wording import rounded


def memory_from_status(status: ScalingStatus | None, started: datetime, current: int) -> Memory:
    """Begin again after a restart at `started` with `current` replicas.

    The present size counts as the first recommendation, so nothing shrinks before a full
    stabilisation window was seen. Learnt targets are restored; `targets.initial` fits them to the
    bounds of today's spec. So are the factors of capacities.
    """
    learnt = status.targets if status else []
    return Memory(
        started=started,
        recommendations=(Recommendation(started, current),),
        targets=tuple(TargetMemory(t.model, t.in_flight_per_pod, None, None) for t in learnt),
        factors=_factors(status) if status else (),
    )


def _factors(status: ScalingStatus) -> tuple[FactorMemory, ...]:
    """The factors of capacities; of node classes all have the agent's."""
    factors = {curve.model: curve.factor for curve in status.curves}
    factors |= {pipeline.model: pipeline.factor for pipeline in status.pipelines}
    for each in status.node_classes:
        factors |= {curve.model: curve.factor for curve in each.curves}
        factors |= {pipeline.model: pipeline.factor for pipeline in each.pipelines}
    return tuple(FactorMemory(model, factor) for model, factor in factors.items())


def targets_status(memory: Memory) -> list[TargetStatus]:
    """The learnt targets as the status keeps them, to three decimals."""
    return [
        TargetStatus(model=t.model, in_flight_per_pod=round(t.in_flight_per_pod, 3))
        for t in memory.targets
    ]


def curves_from_status(
    status: ScalingStatus | None, digests: Mapping[str, str]
) -> dict[str, tuple[LearntCurve, Capacity | None]]:
    """The learnt curves by model, and the capacities that followed from them. The `digests` are
    those of the models as they are now; of one that was another, the curve is an earlier one.
    """
    restored = {}
    for told in status.curves if status else []:
        if told.model not in digests:
            continue
        curve = ServiceCurve(
            told.fixed_milliseconds / 1e3,
            told.per_request_milliseconds / 1e3,
            told.max_batch,
            (told.gap_milliseconds or 0.0) / 1e3,
        )
        is_same = told.model_digest == digests[told.model]
        source = told.source if is_same else CurveSource.EARLIER
        learnt = LearntCurve(
            curve,
            told.noise,
            told.executions,
            source,
            told.instances,
            _contention(told.contention) if told.contention is not None else None,
        )
        per_second = told.sustained_per_second if is_same else None
        restored[told.model] = (
            learnt,
            None if per_second is None else Capacity(per_second, learnt.told),
        )
    return restored


def _contention(told: ContentionStatus) -> LearntContention:
    return LearntContention(told.digest, told.sigma, told.fewest, told.most, told.executions)


def _contention_status(known: LearntContention) -> ContentionStatus:
    return ContentionStatus(
        sigma=rounded(known.sigma),
        fewest=known.fewest,
        most=known.most,
        executions=known.executions,
        digest=known.digest,
    )


def curves_status(
    digests: Mapping[str, str],
    curves: Mapping[str, LearntCurve],
    capacities: Mapping[str, Capacity | OutOfReach],
    memory: Memory,
) -> list[CurveStatus]:
    """The learnt curves as the status keeps them, to four significant digits."""
    factors = {f.model: f.factor for f in memory.factors}
    return [
        CurveStatus(
            model=model,
            model_digest=digests[model],
            fixed_milliseconds=rounded(learnt.curve.fixed_seconds * 1e3),
            per_request_milliseconds=rounded(learnt.curve.per_request_seconds * 1e3),
            gap_milliseconds=rounded(learnt.curve.gap_seconds * 1e3) or None,
            max_batch=learnt.curve.max_batch,
            noise=rounded(learnt.noise),
            executions=learnt.executions,
            instances=learnt.instances,
            contention=_contention_status(learnt.contention)
            if learnt.contention is not None
            else None,
            source=learnt.source,
            sustained_per_second=rounded(capacity.per_second)
            if isinstance(capacity := capacities.get(model), Capacity)
            else None,
            factor=rounded(factors.get(model, 1.0)),
        )
        for model, learnt in sorted(curves.items())
    ]


def pipelines_from_status(
    status: ScalingStatus | None, repository_digest: str, curves: Mapping[str, LearntCurve]
) -> dict[str, tuple[Calls, Capacity | None]]:
    """By pipeline, how often its steps are called and what a pod sustains of it; nothing of another
    repository, and where a step has changed in place since only the calls.
    """
    restored: dict[str, tuple[Calls, Capacity | None]] = {}
    for told in status.pipelines if status else []:
        if told.repository_digest != repository_digest:
            continue
        calls = {step.model: step.per_request for step in told.steps}
        known = curves.get(told.busiest_step)
        steps = [curves[model] for model in calls if model in curves]
        is_same = all(step.source is not CurveSource.EARLIER for step in steps)
        sustained = None
        if told.sustained_per_second is not None and known is not None and is_same:
            step = BusiestStep(told.busiest_step, known.told)
            sustained = Capacity(told.sustained_per_second, step)
        restored[told.model] = (calls, sustained)
    return restored


def pipelines_status(
    repository_digest: str,
    calls: Mapping[str, Calls],
    capacities: Mapping[str, Capacity | OutOfReach],
    memory: Memory,
) -> list[PipelineCapacityStatus]:
    """What follows for pipelines as the status keeps it, to four significant digits."""
    factors = {f.model: f.factor for f in memory.factors}
    told = []
    for pipeline, steps in sorted(calls.items()):
        known = capacities.get(pipeline)
        if known is None or not isinstance(known.learnt, BusiestStep):
            continue
        told.append(
            PipelineCapacityStatus(
                model=pipeline,
                repository_digest=repository_digest,
                busiest_step=known.learnt.model,
                steps=[
                    StepCallsStatus(model=model, per_request=rounded(count))
                    for model, count in sorted(steps.items())
                ],
                sustained_per_second=rounded(known.per_second)
                if isinstance(known, Capacity)
                else None,
                factor=rounded(factors.get(pipeline, 1.0)),
            )
        )
    return told


def starts_from_status(status: ScalingStatus | None) -> Starts | None:
    """What an earlier process measured of the pods' starts: a prior, as another template's is."""
    told = status.lead_time if status else None
    if told is None:
        return None
    stages = Stages(
        told.stages.schedule_seconds,
        told.stages.pull_seconds,
        told.stages.fetch_seconds,
        told.stages.load_seconds,
    )
    known = {
        part: seconds
        for part in Part
        if (seconds := getattr(told.stages, _field_of(part))) is not None
    }
    then = known.get(Part.FIRST_REQUEST, 0.0)
    before = Measured(told.p95_seconds - then, told.median_seconds - then, stages)
    parts_before = {part: (seconds,) for part, seconds in known.items()}
    return Starts(told.template, told.samples, (), before, parts_before)


def lead_time_status(known: Starts | None) -> LeadTimeStatus | None:
    """The lead time as the status keeps it, to four significant digits."""
    planned = lead_time(known)
    if known is None or planned is None:
        return None
    figures = measured(known)
    return LeadTimeStatus(
        template=known.template,
        p95_seconds=rounded(planned.p95_seconds),
        median_seconds=rounded(planned.median_seconds),
        samples=known.count,
        stages=StagesStatus(
            schedule_seconds=rounded(figures.stages.schedule),
            pull_seconds=rounded(figures.stages.pull),
            fetch_seconds=rounded(figures.stages.fetch),
            load_seconds=rounded(figures.stages.load),
            **{_field_of(part): rounded(seconds) for part, seconds in parts(known).items()},
        ),
    )


def _field_of(part: Part) -> str:
    return f"{part}_seconds"


def loads_status(seconds: Mapping[str, float]) -> list[ModelLoadStatus]:
    """How long models took to load as the status keeps it, to four significant digits."""
    return [
        ModelLoadStatus(model=model, seconds=rounded(took))
        for model, took in sorted(seconds.items())
    ]


def record(memory: Memory, decision: Decision, carried_out: bool) -> Memory:
    """Remember a change of size for the rate policies, if it was written."""
    change = decision.replicas - decision.current
    if not carried_out or change == 0:
        return memory
    return replace(memory, changes=(*memory.changes, ScaleChange(decision.at, change)))


def before(
    memory: Memory, signals: Signals | NoSignals, *, same_source: bool, now: datetime
) -> Memory:
    """What may be remembered where a decision is taken by these signals.

    Another source is another measure of the same load, and a gap makes rates too low: both are as
    an interruption.
    """
    has_gaps = isinstance(signals, Signals) and signals.gaps > 0
    return memory if same_source and not has_gaps else interrupted(memory, now)


def interrupted(memory: Memory, now: datetime) -> Memory:
    """After a round that could not be judged by its signals.

    The stabilisation windows stand still: recommendations age only while there are new ones, so
    that a fleet does not shrink on the first sight after an outage. As after a restart, a full
    window of signals must be seen again before anything shrinks, and no window of a target or
    factor counts across the gap; nor does the time that nothing was asked.
    """
    newest = max((r.at for r in memory.recommendations), default=now)
    kept = tuple(replace(r, at=r.at + (now - newest)) for r in memory.recommendations)
    return replace(
        memory,
        started=now,
        recommendations=kept,
        targets=unwatched(memory.targets),
        factors=tuple(FactorMemory(f.model, f.factor) for f in memory.factors),
        idle_since=None,
        classes=_interrupted_classes(memory.classes, now),
    )


def _interrupted_classes(memory: ClassMemory, now: datetime) -> ClassMemory:
    """The same for node classes; what a dearer mix costs meanwhile does not count."""
    newest = max((n.at for n in memory.needed), default=now)
    needed = tuple(replace(n, at=n.at + (now - newest)) for n in memory.needed)
    return replace(memory, needed=needed, at=now)


def unwatched(targets: Sequence[TargetMemory]) -> tuple[TargetMemory, ...]:
    """The targets, with their observation windows to begin again."""
    return tuple(replace(t, window_since=None, within_since=None) for t in targets)
