"""What is told of a decision: once, with the words of the decision."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trireme.api.conditions import ConditionType, EventReason, Reason
from trireme.api.scaling_status import (
    ContentionStatus,
    CurveStatus,
    DecisionStatus,
    LeadTimeStatus,
    ModelLoadStatus,
    PipelineCapacityStatus,
    StagesStatus,
    UnansweredStatus,
)
from trireme.api.status import Condition
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Outside, SettingNews
from trireme.autoscaler.types.signals import (
    Coverage,
    Latency,
    LatencyKind,
    ModelSignals,
    NoSignals,
    Signals,
    Source,
)
from trireme.autoscaler.wording import Words
from trireme.control.scaling_report import (
    Told,
    decision_events,
    findings,
    is_all_well_as_before,
    is_notable,
    is_worth_showing,
    scaling_status,
    signals_events,
    source_events,
    statuses,
)
from trireme.control.status import dated

NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
A_ROUND = timedelta(seconds=5)
SEEN = Signals(
    at=NOW,
    window=timedelta(seconds=30),
    models=(
        ModelSignals(
            model="policy",
            request_rate_per_second=240.04321,
            in_flight=43.2,
            latency=Latency(0.18234567, LatencyKind.PERCENTILE, 95),
            failure_ratio=0.0,
            mean_latency_seconds=0.1,
            queue_share=None,
            pending=None,
        ),
    ),
)
LOST = NoSignals(Reason.PROMETHEUS_UNREACHABLE, "Prometheus does not answer")
STEADY = Decision(NOW, 2, 2, 2, Reason.WITHIN_TARGET, Words("2 pods hold 40 req/s"), "policy")
UP = replace(STEADY, replicas=5, proposed=7, reason=Reason.SCALED_UP, message=Words("2 → 5"))
DOWN = replace(STEADY, replicas=1, reason=Reason.SCALED_DOWN, message=Words("2 → 1"))
HELD = replace(STEADY, reason=Reason.HELD, message=Words("waiting for 2 pods that start"))
LIMITED = replace(STEADY, reason=Reason.LIMITED, message=Words("2 held, 3 wanted (limited)"))
BLIND = replace(STEADY, reason=Reason.NO_SIGNALS, message=Words("held"), model=None, proposed=None)


def made(*decisions: Decision) -> list[Told]:
    """Decisions, each with the digest of its inputs."""
    return [Told(decision, "0123456789abcdef") for decision in decisions]


def told(*decisions: Decision) -> list[DecisionStatus]:
    """Decisions as the status keeps them."""
    return scaling_status(None, STEADY, SEEN, Memory(NOW), made(*decisions)).decisions


@pytest.mark.parametrize(
    ("before", "known", "decision", "notable"),
    [
        pytest.param(None, [], UP, True, id="growth"),
        pytest.param(UP, [UP], UP, True, id="growth again"),
        pytest.param(None, [], DOWN, True, id="shrinking"),
        pytest.param(None, [], STEADY, False, id="nothing, at the start"),
        pytest.param(STEADY, [], HELD, True, id="a wait begins"),
        pytest.param(HELD, [HELD], HELD, False, id="a wait goes on"),
        pytest.param(STEADY, [HELD], HELD, False, id="a wait that comes and goes is told once"),
        pytest.param(HELD, [HELD], LIMITED, True, id="another wait is another"),
        pytest.param(LIMITED, [HELD, LIMITED], HELD, False, id="waits by turns are told once"),
        pytest.param(STEADY, [HELD, UP], HELD, True, id="a wait after a change is another"),
        pytest.param(STEADY, [], BLIND, False, id="of signals that go, their loss is told"),
    ],
)
def test_what_is_notable(
    before: Decision | None, known: list[Decision], decision: Decision, notable: bool
) -> None:
    """What is known is told in this order."""
    reason = before and before.reason
    assert is_notable(reason, told(*known), decision, NOW + A_ROUND) is notable


def test_the_same_wait_is_news_again_after_ten_minutes() -> None:
    later = NOW + timedelta(minutes=10)
    assert is_notable(STEADY.reason, told(HELD), HELD, later)


READ = replace(
    SEEN,
    source=Source.PODS,
    instead=LOST.message,
    coverage=(Coverage("server", 2, 3, 3.6, gaps=1), Coverage("gateway", 0, 2, None)),
)


@pytest.mark.parametrize(
    ("before", "signals", "reasons"),
    [
        pytest.param(Reason.FRESH, READ, [EventReason.SIGNALS_READ_DIRECTLY], id="from now on"),
        pytest.param(None, READ, [EventReason.SIGNALS_READ_DIRECTLY], id="from the start"),
        pytest.param(Reason.READ_DIRECTLY, READ, [], id="as before"),
        pytest.param(Reason.READ_DIRECTLY, LOST, [], id="of a loss others tell"),
        pytest.param(
            Reason.READ_DIRECTLY, SEEN, [EventReason.SIGNALS_FROM_PROMETHEUS], id="no more"
        ),
        pytest.param(Reason.PARTIAL, SEEN, [], id="Prometheus' own loss is over"),
    ],
)
def test_another_source_is_told_once(
    before: Reason | None, signals: Signals | NoSignals, reasons: list[EventReason]
) -> None:
    written = (
        None
        if before is None
        else Condition(
            type=ConditionType.SIGNALS_AVAILABLE,
            status="True",
            reason=before,
            message="",
            last_transition_time="2026-11-01T00:00:00Z",
            observed_generation=1,
        )
    )
    assert [event.reason for event in source_events(written, signals)] == reasons


def test_the_condition_names_the_source_and_what_it_covers() -> None:
    found = findings(STEADY, READ)[ConditionType.SIGNALS_AVAILABLE]
    assert (found.status, found.reason) == (True, Reason.READ_DIRECTLY)
    assert found.message == (
        "by the pods' own metrics: 2 of 3 server pods, up to 4s old, 1 with gaps, 0 of 2 gateway "
        "pods; Prometheus does not answer"
    )


@pytest.mark.parametrize(
    ("before", "last_told", "signals", "reasons"),
    [
        pytest.param(True, UP, LOST, [EventReason.SIGNALS_LOST], id="they go"),
        pytest.param(False, BLIND, LOST, [], id="they stay away"),
        pytest.param(False, BLIND, SEEN, [EventReason.SIGNALS_RESTORED], id="they are back"),
        pytest.param(False, None, SEEN, [], id="those of a new agent come, and are not back"),
        pytest.param(True, BLIND, SEEN, [], id="they are there"),
        pytest.param(None, None, SEEN, [], id="they are there from the start"),
        pytest.param(
            None, None, LOST, [EventReason.SIGNALS_LOST], id="no Prometheus from the start"
        ),
        pytest.param(
            None,
            None,
            NoSignals(Reason.PARTIAL, "no two samples yet"),
            [],
            id="an agent that only just started has lost nothing",
        ),
        pytest.param(
            True,
            None,
            NoSignals(Reason.PARTIAL, "no samples of pod a"),
            [EventReason.SIGNALS_LOST],
            id="a pod whose samples stop is a loss",
        ),
    ],
)
def test_signals_that_go_and_come_back_are_told(
    before: bool | None,
    last_told: Decision | None,
    signals: Signals | NoSignals,
    reasons: list[EventReason],
) -> None:
    known = told(last_told) if last_told else []
    assert [e.reason for e in signals_events(before, known, signals, 2)] == reasons


@pytest.mark.parametrize(
    ("decision", "reasons"),
    [
        (UP, [EventReason.SCALED_UP]),
        (DOWN, [EventReason.SCALED_DOWN]),
        (HELD, [EventReason.SCALING_HELD]),
        (BLIND, []),
    ],
)
def test_a_decisions_event(decision: Decision, reasons: list[EventReason]) -> None:
    assert [e.reason for e in decision_events(decision)] == reasons


def test_the_note_is_the_decisions_message_and_the_loss_says_what_is_held() -> None:
    assert [e.note for e in decision_events(UP)] == ["2 → 5"]
    (lost,) = signals_events(True, [], LOST, 2)
    assert lost.note == "Prometheus does not answer: holding 2 replicas"
    assert lost.warning


def test_conditions_say_whether_trireme_scales_and_whether_it_sees() -> None:
    seeing, blind = findings(UP, SEEN), findings(BLIND, LOST)
    assert seeing[ConditionType.AUTOSCALING_ACTIVE].status is True
    assert seeing[ConditionType.SIGNALS_AVAILABLE].reason is Reason.FRESH
    assert blind[ConditionType.AUTOSCALING_ACTIVE].status is False
    assert blind[ConditionType.SIGNALS_AVAILABLE].reason is Reason.PROMETHEUS_UNREACHABLE


@pytest.mark.parametrize(
    ("decision", "seen", "is_news"),
    [
        pytest.param(STEADY, SEEN, False, id="other figures in the words are none"),
        pytest.param(UP, SEEN, True, id="another reason is"),
        pytest.param(STEADY, replace(SEEN, source=Source.PODS), True, id="another source is"),
        pytest.param(BLIND, LOST, True, id="what is not true is, by its words"),
    ],
)
def test_the_conditions_words_are_made_only_where_they_may_be_news(
    decision: Decision, seen: Signals | NoSignals, *, is_news: bool
) -> None:
    found = findings(replace(STEADY, message=Words("2 pods hold 39 req/s")), SEEN)
    written = dated(found, [], 1, NOW)
    assert is_all_well_as_before(statuses(decision, seen), written) is not is_news
    again = findings(decision, seen)
    assert {kind: (each.status, each.reason) for kind, each in again.items()} == statuses(
        decision, seen
    )


def test_conditions_that_were_never_written_are_news() -> None:
    assert not is_all_well_as_before(statuses(STEADY, SEEN), [])


def test_what_is_not_true_is_news_by_its_words_whatever_was_written() -> None:
    written = dated(findings(BLIND, LOST), [], 1, NOW)
    assert not is_all_well_as_before(statuses(BLIND, LOST), written)


def test_without_a_pod_the_demand_outside_is_the_signal() -> None:
    found = findings(UP, Signals(NOW, timedelta(0), ()), Outside(0.0))
    available = found[ConditionType.SIGNALS_AVAILABLE]
    assert (available.status, available.reason) == (True, Reason.FRESH)
    assert available.message == "no pod is ready; scaling.demand is known"


def test_the_status_keeps_the_last_ten_notable_decisions_newest_first() -> None:
    status = None
    for number in range(12):
        decision = replace(UP, message=Words(f"number {number}"))
        status = scaling_status(status, decision, SEEN, Memory(NOW), made(decision))
    assert status is not None
    assert [d.message for d in status.decisions] == [f"number {n}" for n in range(11, 1, -1)]
    assert status.last_scale_time == "2026-11-01T03:00:00Z"


def test_long_decisions_are_kept_as_far_as_4_kib_reach_and_one_in_any_case() -> None:
    kept = told(*[replace(UP, message=Words("x" * 1000))] * 10)
    assert len(kept) == 3
    assert sum(len(d.model_dump_json(by_alias=True)) for d in kept) <= 4096
    assert len(told(replace(UP, message=Words("x" * 5000)))) == 1


def test_a_decision_in_the_status_has_the_digest_of_its_inputs() -> None:
    (kept,) = told(UP)
    assert kept.model_dump(by_alias=True)["inputDigest"] == "0123456789abcdef"


TRIED = SettingNews(EventReason.SETTING_TRIED, "maxBatchSize 16 in place of 8 is tried")
KEPT = SettingNews(EventReason.SETTING_KEPT, "maxBatchSize 16 in place of 8 is kept")


@pytest.mark.parametrize(
    ("decision", "is_of_size", "kept"),
    [
        pytest.param(STEADY, False, [("SettingTried", 2, 2)], id="alone"),
        pytest.param(UP, True, [("ScaledUp", 2, 5), ("SettingTried", 2, 2)], id="beside a size"),
    ],
)
def test_what_became_of_settings_has_lines_of_its_own(
    decision: Decision, is_of_size: bool, kept: list[tuple[str, int, int]]
) -> None:
    of_settings = Told(replace(decision, settings=(TRIED,)), "0123456789abcdef", is_of_size)
    status = scaling_status(None, STEADY, SEEN, Memory(NOW), [of_settings])
    lines = [(each.reason, each.from_replicas, each.to_replicas) for each in status.decisions]
    assert lines == kept
    assert status.decisions[-1].message == TRIED.message


def test_of_settings_each_line_stays() -> None:
    again = [Told(replace(STEADY, settings=(each,)), "d", False) for each in (TRIED, TRIED, KEPT)]
    status = scaling_status(None, STEADY, SEEN, Memory(NOW), again)
    told_of = [each.reason for each in status.decisions]
    assert told_of == ["SettingKept", "SettingTried", "SettingTried"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [pytest.param(12, "is tried", id="many"), pytest.param(3, "x" * 1500, id="long ones")],
)
def test_lines_of_settings_push_out_no_last_change_of_size(lines: int, words: str) -> None:
    setting = SettingNews(EventReason.SETTING_TRIED, words)
    later = [Told(replace(STEADY, settings=(setting,)), "d", False)] * lines
    status = scaling_status(None, STEADY, SEEN, Memory(NOW), [*made(DOWN, UP), *later])
    told_of = [each.reason for each in status.decisions]
    assert (told_of[0], told_of[-1]) == ("SettingTried", "ScaledUp")
    assert len(told_of) <= 10
    assert sum(len(d.model_dump_json(by_alias=True)) for d in status.decisions) <= 4096


def test_decisions_that_could_not_be_told_at_once_are_told_together() -> None:
    status = scaling_status(None, STEADY, SEEN, Memory(NOW), made(UP, DOWN))
    assert [d.message for d in status.decisions] == [DOWN.message, UP.message]


def test_a_wait_that_begins_anew_takes_its_own_place_in_the_status() -> None:
    again = replace(HELD, message=Words("waiting for 3 pods that start"))
    status = scaling_status(None, STEADY, SEEN, Memory(NOW), made(UP, HELD, again))
    assert [d.message for d in status.decisions] == [again.message, UP.message]


def test_observed_numbers_have_four_digits_and_stay_when_signals_go() -> None:
    seen = scaling_status(None, STEADY, SEEN, Memory(NOW))
    assert seen.observed is not None
    assert seen.observed.request_rate_per_second == 240.0
    assert (seen.observed.latency_milliseconds, seen.observed.latency_kind) == (182.3, "p95")
    blind = scaling_status(seen, BLIND, LOST, Memory(NOW), made(BLIND))
    assert blind.observed == seen.observed


@pytest.mark.parametrize(
    ("change", "worth"),
    [
        pytest.param({"time": "2026-11-01T03:05:00Z"}, False, id="a later look at the same"),
        pytest.param({"in_flight": 45.0}, False, id="a figure within a tenth"),
        pytest.param({"in_flight": 60.0}, True, id="a figure that moved"),
        pytest.param({"failure_ratio": 0.01}, True, id="the first failures"),
        pytest.param({"latency_milliseconds": None}, True, id="no latency any more"),
        pytest.param({"latency_kind": "mean"}, True, id="another kind of latency"),
    ],
)
def test_what_a_steady_agents_status_is_written_for(change: dict[str, Any], worth: bool) -> None:
    before = scaling_status(None, STEADY, SEEN, Memory(NOW))
    assert before.observed is not None
    after = before.model_copy(update={"observed": before.observed.model_copy(update=change)})
    assert is_worth_showing(before, after) is worth


CONTENTION = ContentionStatus(sigma=0.4, fewest=1, most=2, executions=1200, digest="d")
CURVE = CurveStatus(
    model="policy",
    model_digest="a",
    fixed_milliseconds=40.0,
    per_request_milliseconds=10.0,
    max_batch=4,
    noise=0.02,
    executions=600,
    sustained_per_second=36.5,
)


@pytest.mark.parametrize(
    ("before", "after", "worth"),
    [
        pytest.param([], [CURVE], True, id="a curve is learnt"),
        pytest.param([CURVE], [], True, id="or forgotten"),
        pytest.param(
            [CURVE],
            [CURVE.model_copy(update={"fixed_milliseconds": 41.0, "executions": 900})],
            False,
            id="figures within a tenth",
        ),
        pytest.param(
            [CURVE], [CURVE.model_copy(update={"fixed_milliseconds": 50.0})], True, id="that moved"
        ),
        pytest.param(
            [CURVE],
            [CURVE.model_copy(update={"sustained_per_second": None})],
            True,
            id="the objective is out of reach",
        ),
        pytest.param(
            [CURVE], [CURVE.model_copy(update={"max_batch": 8})], True, id="larger batches"
        ),
        pytest.param([CURVE], [CURVE.model_copy(update={"factor": 0.8})], True, id="corrected"),
        pytest.param(
            [CURVE],
            [CURVE.model_copy(update={"contention": CONTENTION})],
            True,
            id="what instances cost each other",
        ),
        pytest.param(
            [CURVE], [CURVE.model_copy(update={"model_digest": "b"})], True, id="of another"
        ),
    ],
)
def test_what_is_learnt_is_shown_where_it_is_news(
    before: list[CurveStatus], after: list[CurveStatus], worth: bool
) -> None:
    first = scaling_status(None, STEADY, SEEN, Memory(NOW), curves=before)
    second = scaling_status(first, STEADY, SEEN, Memory(NOW), curves=after)
    assert is_worth_showing(first, second) is worth


LINE = PipelineCapacityStatus(
    model="agent", repository_digest="a", busiest_step="policy", sustained_per_second=36.5
)


@pytest.mark.parametrize(
    ("before", "after", "worth"),
    [
        pytest.param([], [LINE], True, id="what a pod sustains of a pipeline"),
        pytest.param(
            [LINE],
            [LINE.model_copy(update={"sustained_per_second": 37.0})],
            False,
            id="a figure within a tenth",
        ),
        pytest.param(
            [LINE],
            [LINE.model_copy(update={"sustained_per_second": 50.0})],
            True,
            id="that moved",
        ),
        pytest.param(
            [LINE], [LINE.model_copy(update={"busiest_step": "encoder"})], True, id="another step"
        ),
    ],
)
def test_what_follows_for_pipelines_is_shown_where_it_is_news(
    before: list[PipelineCapacityStatus], after: list[PipelineCapacityStatus], worth: bool
) -> None:
    first = scaling_status(None, STEADY, SEEN, Memory(NOW), pipelines=before)
    second = scaling_status(first, STEADY, SEEN, Memory(NOW), pipelines=after)
    assert is_worth_showing(first, second) is worth


STAGES = StagesStatus(schedule_seconds=1, pull_seconds=4, fetch_seconds=0, load_seconds=30)
LEAD = LeadTimeStatus(template="one", p95_seconds=60, median_seconds=35, samples=7, stages=STAGES)


@pytest.mark.parametrize(
    ("before", "after", "worth"),
    [
        pytest.param(None, LEAD, True, id="the first start was seen"),
        pytest.param(
            LEAD,
            LEAD.model_copy(update={"p95_seconds": 65.0, "median_seconds": 50.0, "samples": 8}),
            False,
            id="one more that is planned with alike",
        ),
        pytest.param(LEAD, LEAD.model_copy(update={"p95_seconds": 70.0}), True, id="a longer plan"),
        pytest.param(LEAD, LEAD.model_copy(update={"template": "two"}), True, id="of another"),
        pytest.param(
            LEAD,
            LEAD.model_copy(
                update={"stages": STAGES.model_copy(update={"first_request_seconds": 1.0})}
            ),
            True,
            id="a part that was not known",
        ),
    ],
)
def test_what_is_measured_of_starts_is_shown_where_it_is_news(
    before: LeadTimeStatus | None, after: LeadTimeStatus | None, worth: bool
) -> None:
    first = scaling_status(None, STEADY, SEEN, Memory(NOW), lead_time=before)
    second = scaling_status(first, STEADY, SEEN, Memory(NOW), lead_time=after)
    assert second.lead_time == after
    assert is_worth_showing(first, second) is worth


LOAD = ModelLoadStatus(model="encoder", seconds=14)


@pytest.mark.parametrize(
    ("before", "after", "worth"),
    [
        pytest.param([], [LOAD], True, id="a server told it"),
        pytest.param(
            [LOAD], [LOAD.model_copy(update={"seconds": 15})], False, id="another took as long"
        ),
        pytest.param([LOAD], [LOAD.model_copy(update={"seconds": 20})], True, id="one took longer"),
        pytest.param([LOAD], [LOAD.model_copy(update={"model": "policy"})], True, id="of another"),
    ],
)
def test_how_long_models_took_to_load_is_shown_where_it_is_news(
    before: list[ModelLoadStatus], after: list[ModelLoadStatus], worth: bool
) -> None:
    first = scaling_status(None, STEADY, SEEN, Memory(NOW), loads=before)
    second = scaling_status(first, STEADY, SEEN, Memory(NOW), loads=after)
    assert second.loads == after
    assert is_worth_showing(first, second) is worth


UNANSWERED = UnansweredStatus(since="2026-11-01T02:00:00Z", looks=3, message="no answer")


@pytest.mark.parametrize("signals", [SEEN, LOST], ids=["with signals", "without"])
@pytest.mark.parametrize(
    ("before", "after", "worth"),
    [
        pytest.param(None, UNANSWERED, True, id="servers that cannot be asked"),
        pytest.param(UNANSWERED, None, True, id="that answer again"),
        pytest.param(
            UNANSWERED, UNANSWERED.model_copy(update={"looks": 4}), False, id="nor the next time"
        ),
    ],
)
def test_servers_that_cannot_be_asked_are_shown_once(
    before: UnansweredStatus | None,
    after: UnansweredStatus | None,
    worth: bool,
    signals: Signals | NoSignals,
) -> None:
    first = scaling_status(None, STEADY, signals, Memory(NOW), unanswered=before)
    second = scaling_status(first, STEADY, signals, Memory(NOW), unanswered=after)
    assert second.unanswered == after
    assert is_worth_showing(first, second) is worth
