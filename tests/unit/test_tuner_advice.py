"""What the operator recommends, and what of it stands."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from trireme.api.scaling_status import CurveSource
from trireme.api.tuning import Confidence, Knob, TuningStatus
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.contention import LearntContention
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.wording import recommendation, setting
from trireme.tuner.advice import Advice, Served, advise
from trireme.tuner.standing import Stood, Unknown, is_news, standing, with_change
from trireme.tuner.types import Configuration, Objective, Range, Space

P95 = Objective(95, 0.2)
SPACE = Space(Range(1, 1024), Range(1, 16))
LEARNT = LearntCurve(ServiceCurve(0.006, 0.0005, 4), 0.0, 500)
GAPPED = replace(LEARNT.curve, gap_seconds=0.0008)


def served(learnt: LearntCurve = LEARNT, batch: int = 4, delay: float = 0.0) -> Served:
    return Served("m", Configuration(batch, 1, delay), learnt)


def curve(fixed: float, each: float, largest: int) -> LearntCurve:
    return replace(LEARNT, curve=ServiceCurve(fixed, each, largest))


def test_larger_batches_are_recommended_where_the_fixed_part_is_most_of_their_time() -> None:
    advice = advise(served(), P95, SPACE)
    assert advice is not None
    assert (advice.knob, advice.now, advice.to) == (Knob.MAX_BATCH_SIZE, "4", "8")
    assert advice.confidence is Confidence.MEDIUM
    # 4 in 8 ms are 500/s, 8 in 10 ms are 800/s.
    assert advice.gain == pytest.approx(0.6, abs=0.02)
    assert 0 < advice.least_gain < advice.gain < advice.most_gain


def test_what_goes_by_between_two_batches_makes_larger_ones_gain_more() -> None:
    advice = advise(served(replace(LEARNT, curve=GAPPED)), P95, SPACE)
    assert advice is not None
    # 4 in 8.8 ms are 455/s, 8 in 10.8 ms are 741/s.
    assert advice.gain == pytest.approx(0.63, abs=0.02)


@pytest.mark.parametrize(
    ("learnt", "batch", "objective", "space"),
    [
        pytest.param(curve(0.001, 0.005, 4), 4, P95, SPACE, id="they gain less than a tenth"),
        pytest.param(curve(0.003, 0.002, 4), 4, P95, SPACE, id="a kink would take the gain"),
        pytest.param(LEARNT, 16, P95, SPACE, id="the present ones are not filled"),
        pytest.param(LEARNT, 4, Objective(95, 0.0105), SPACE, id="the objective allows none"),
        pytest.param(LEARNT, 4, Objective(95, 0.005), SPACE, id="it is out of reach"),
        pytest.param(LEARNT, 4, P95, replace(SPACE, max_batch=Range(1, 4)), id="nor the user"),
        pytest.param(replace(LEARNT, source=CurveSource.EARLIER), 4, P95, SPACE, id="unsure"),
    ],
)
def test_nothing_is_recommended(
    learnt: LearntCurve, batch: int, objective: Objective, space: Space
) -> None:
    assert advise(served(learnt, batch), objective, space) is None


ALONE = curve(0.005, 0.0, 1)
APART = replace(ALONE, curve=replace(ALONE.curve, gap_seconds=0.004))


def alone(rows: int, learnt: LearntCurve = APART) -> Served:
    """One whose requests are executed one by one, each of so many rows at most."""
    return Served("m", Configuration(1, 1), learnt, rows)


@pytest.mark.parametrize(
    ("rows", "learnt", "confidence", "gain"),
    [
        # 1 in 5 ms are 200/s; 4 in half of what they take one by one, 12.5 ms, are 320/s.
        pytest.param(8, ALONE, Confidence.LOW, 0.6, id="and no more is known"),
        # 1 in 9 ms are 111/s; 4 in 16.5 ms are 242/s, and in proportion, in 24 ms, 167/s.
        pytest.param(8, APART, Confidence.MEDIUM, 1.18, id="and time goes by between them"),
    ],
)
def test_batching_is_to_be_switched_on_where_requests_are_executed_one_by_one(
    rows: int, learnt: LearntCurve, confidence: Confidence, gain: float
) -> None:
    advice = advise(alone(rows, learnt), P95, SPACE)
    assert advice is not None
    assert advice.is_worth_telling
    assert (advice.knob, advice.now, advice.to) == (Knob.BATCHING, "1", str(rows))
    assert advice.confidence is confidence
    assert advice.gain == pytest.approx(gain, abs=0.1)
    assert (advice.least_gain > 0) is (confidence is Confidence.MEDIUM)


@pytest.mark.parametrize(
    ("served", "space"),
    [
        pytest.param(alone(1, ALONE), SPACE, id="a request holds one row"),
        pytest.param(alone(8), replace(SPACE, max_batch=Range(1, 4)), id="the user has a limit"),
        pytest.param(alone(1), replace(SPACE, max_batch=Range(1, 1)), id="the model cannot"),
    ],
)
def test_batching_is_not_to_be_switched_on(served: Served, space: Space) -> None:
    advice = advise(served, P95, space)
    assert advice is None or not advice.is_worth_telling


COSTLY = LearntContention("digest", 0.2, 1, 2, 1200)


def of_instances(now: int, known: LearntContention | None, batch: int = 4) -> Served:
    """One of which the times are known with as many instances as it has."""
    seconds = 1.0 if known is None else known.times(now)
    learnt = curve(0.004 * seconds, 0.001 * seconds, batch)
    learnt = replace(learnt, instances=now, contention=known)
    return Served("m", Configuration(batch, now), learnt)


NO_LARGER = replace(SPACE, max_batch=Range(1, 4))


def test_more_instances_are_recommended_once_it_is_known_what_they_cost_each_other() -> None:
    advice = advise(of_instances(1, COSTLY), P95, NO_LARGER)
    assert advice is not None
    assert advice.is_worth_telling
    assert (advice.knob, advice.now, advice.to) == (Knob.INSTANCES, "1", "2")
    # 2 in 1.2 times as long do 1.67 times as much: that was seen, whatever the view.
    assert advice.gain == pytest.approx(0.67, abs=0.04)
    assert advice.confidence is Confidence.MEDIUM
    assert advice.evidence == (
        "a batch takes 1.2 times as long with 2 instances as with 1, learnt from 1200 batches"
    )


def test_one_more_is_worth_a_try_on_a_canary_where_nothing_is_known_of_several() -> None:
    advice = advise(of_instances(1, None), P95, replace(NO_LARGER, tries_instances=True))
    assert advice is not None
    assert advice.is_worth_telling
    assert (advice.knob, advice.now, advice.to) == (Knob.INSTANCES, "1", "2")
    # Twice as much if they share nothing, 2 / 1.5 expected, 2 / 2.5 where they hinder each other.
    assert advice.most_gain == pytest.approx(1.0, abs=0.1)
    assert advice.gain == pytest.approx(0.33, abs=0.05)
    assert advice.least_gain == pytest.approx(-0.2, abs=0.06)
    assert advice.confidence is Confidence.LOW
    assert advice.evidence == "what instances cost each other is not known yet: a canary tells"


@pytest.mark.parametrize(
    ("now", "space"),
    [
        pytest.param(1, NO_LARGER, id="nothing is tried on a canary"),
        pytest.param(
            2, replace(NO_LARGER, instances=Range(1, 2), tries_instances=True), id="no more may be"
        ),
    ],
)
def test_no_other_number_is_worth_a_try(now: int, space: Space) -> None:
    assert advise(of_instances(now, None), P95, space) is None


def test_batches_that_are_known_to_gain_go_before_instances_that_may() -> None:
    advice = advise(served(), P95, replace(SPACE, tries_instances=True))
    assert advice is not None
    assert advice.is_worth_telling
    assert advice.knob is Knob.MAX_BATCH_SIZE


@pytest.mark.parametrize(
    ("served", "limit", "knob"),
    [
        pytest.param(
            served(curve(0.001, 0.005, 4), delay=0.005),
            0.2,
            Knob.MAX_QUEUE_DELAY,
            id="a queue delay that gains nothing",
        ),
        # 38 % are expected of batches of 2, and 39 % of 2 instances.
        pytest.param(alone(2, ALONE), 0.05, Knob.BATCHING, id="batching that gains less"),
    ],
)
def test_one_more_instance_that_may_gain_comes_last(
    served: Served, limit: float, knob: Knob
) -> None:
    objective, tries = Objective(95, limit), replace(SPACE, tries_instances=True)
    advice = advise(served, objective, tries)
    assert advice is not None
    assert advice.is_worth_telling
    assert advice.knob is knob
    nothing_else = replace(
        tries,
        max_batch=Range(1, served.now.max_batch),
        least_queue_delay_seconds=served.now.queue_delay_seconds,
    )
    guess = advise(served, objective, nothing_else)
    assert guess is not None
    assert (guess.knob, guess.gain > advice.gain) == (Knob.INSTANCES, True)


def test_of_a_number_that_was_not_tried_the_gain_is_less_sure() -> None:
    advice = advise(of_instances(2, replace(COSTLY, sigma=0.02)), P95, NO_LARGER)
    assert advice is not None
    assert (advice.knob, advice.to) == (Knob.INSTANCES, "4")
    # 4 / 1.06 is 1.92 times 2 / 1.02; of 4 sigma may be 0.29, and 4 / 1.87 is a twelfth more.
    assert advice.gain == pytest.approx(0.92, abs=0.05)
    assert 0 < advice.least_gain < 0.1


def test_fewer_are_recommended_where_they_hinder_each_other() -> None:
    hindering = LearntContention("digest", 1.5, 1, 2, 1200)
    advice = advise(of_instances(2, hindering), P95, NO_LARGER)
    assert advice is not None
    assert (advice.knob, advice.now, advice.to) == (Knob.INSTANCES, "2", "1")


@pytest.mark.parametrize(
    ("served", "space"),
    [
        pytest.param(of_instances(1, None), NO_LARGER, id="nothing is known of two"),
        pytest.param(
            of_instances(1, COSTLY), replace(NO_LARGER, instances=Range(1, 1)), id="the user's"
        ),
        pytest.param(
            of_instances(4, COSTLY), NO_LARGER, id="more than twice what was seen is believed of"
        ),
        pytest.param(
            of_instances(1, replace(COSTLY, sigma=0.95)), NO_LARGER, id="they share nearly all"
        ),
        pytest.param(
            of_instances(2, COSTLY), NO_LARGER, id="of those that were not tried it is too unsure"
        ),
    ],
)
def test_no_other_number_of_instances_is_recommended(served: Served, space: Space) -> None:
    advice = advise(served, P95, space)
    assert advice is None or advice.knob is not Knob.INSTANCES or not advice.is_worth_telling


def test_a_queue_delay_is_only_ever_lowered() -> None:
    steady = curve(0.001, 0.005, 4)
    advice = advise(served(steady, delay=0.005), P95, SPACE)
    assert advice is not None
    assert (advice.knob, advice.now, advice.to, advice.gain) == (
        Knob.MAX_QUEUE_DELAY,
        "5ms",
        "0s",
        0,
    )
    assert advise(served(steady, delay=0.0), P95, SPACE) is None


@pytest.mark.parametrize(
    ("limit", "is_dropped"),
    [
        pytest.param(0.05, False, id="where it may keep several instances out of step"),
        pytest.param(0.2, True, id="where a queue has room"),
    ],
)
def test_the_queue_delay_of_several_instances_is_dropped(limit: float, is_dropped: bool) -> None:
    several = replace(served(curve(0.001, 0.005, 4)), now=Configuration(4, 4, 0.005))
    advice = advise(several, Objective(95, limit), SPACE)
    assert (advice is not None and advice.knob is Knob.MAX_QUEUE_DELAY) is is_dropped


def test_a_gain_that_is_not_worth_telling_may_be_worth_keeping() -> None:
    five = replace(SPACE, max_batch=Range(1, 5))
    advice = advise(served(curve(0.0022, 0.001, 4)), P95, five)
    assert advice is not None
    assert 0.05 < advice.gain < 0.1
    assert not advice.is_worth_telling
    assert standing(None, advice, is_calm=True, since=THEN) is None
    before = stood(replace(advice, gain=0.12, least_gain=0.01), advice)
    assert standing(before, advice, is_calm=True, since=LATER) is not None


# -------------------------------------------------------------------------------------- standing

ADVICE = Advice(
    "m", Knob.MAX_BATCH_SIZE, "4", "8", 0.6, 0.5, 0.7, Confidence.MEDIUM, "learnt from 500 batches"
)
NOW = Configuration(4, 1)
THEN, LATER = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"


def told(advice: Advice = ADVICE) -> TuningStatus:
    found = standing(None, advice, is_calm=True, since=THEN)
    assert found is not None
    return found


def stood(advice: Advice, own: Advice | Unknown | None, now: Configuration = NOW) -> Stood:
    """Of a model on which `advice` was told, and there is another now."""
    return Stood(told(advice), now, own)


def test_it_is_told_once_the_fleet_is_calm() -> None:
    assert standing(None, ADVICE, is_calm=False, since=THEN) is None
    status = told()
    assert (status.from_, status.to, status.gain_percent, status.since) == ("4", "8", 60, THEN)
    assert is_news(None, status)
    assert recommendation(status) == (
        "set maxBatchSize of m from 4 to 8: a pod is expected to sustain 60 % more within its "
        "objective (50 % to 70 %, confidence Medium), learnt from 500 batches"
    )


BATCHED = replace(ADVICE, knob=Knob.BATCHING, now="1")


def test_batching_is_told_as_what_is_to_be_written() -> None:
    assert recommendation(told(BATCHED)).startswith(
        "switch batching on for m (batching: {dynamic: {}}, maxBatchSize 8), whose requests are "
        "executed one by one: a pod is expected to sustain 60 % more"
    )
    assert setting(Knob.BATCHING, "1", "8") == "batches of up to 8 in place of single requests"
    assert stood(BATCHED, None, Configuration(8, 1)).was_followed
    assert not stood(BATCHED, None, Configuration(1, 1)).was_followed


SIXTEEN = replace(ADVICE, to="16")
OTHER = replace(ADVICE, model="n")
SOON = "2026-01-01T12:10:00Z"


@pytest.mark.parametrize(
    ("own", "decisive", "is_calm", "at"),
    [
        pytest.param(ADVICE, ADVICE, True, LATER, id="the same"),
        pytest.param(
            replace(ADVICE, gain=0.65), None, True, LATER, id="a gain that is nearly the same"
        ),
        pytest.param(SIXTEEN, SIXTEEN, False, LATER, id="another one while it scales"),
        pytest.param(SIXTEEN, SIXTEEN, True, SOON, id="another one within minutes"),
        pytest.param(ADVICE, OTHER, True, SOON, id="another model's within minutes"),
        pytest.param(ADVICE, None, True, LATER, id="none on the model that decides"),
        pytest.param(Unknown(), None, True, LATER, id="a curve that is not sure"),
        pytest.param(None, None, False, LATER, id="that it holds no more, while it scales"),
    ],
)
def test_one_that_stands_is_left_alone(
    own: Advice | Unknown | None, decisive: Advice | None, is_calm: bool, at: str
) -> None:
    before = stood(ADVICE, own)
    after = standing(before, decisive, is_calm=is_calm, since=at)
    assert after == before.status
    assert not is_news(before.status, after)


@pytest.mark.parametrize(
    ("own", "now", "is_calm"),
    [
        pytest.param(None, NOW, True, id="it holds no more"),
        pytest.param(Unknown(), Configuration(8, 1), False, id="it was followed"),
    ],
)
def test_it_is_dropped(own: Unknown | None, now: Configuration, is_calm: bool) -> None:
    assert standing(stood(ADVICE, own, now), None, is_calm=is_calm, since=LATER) is None


@pytest.mark.parametrize(
    ("own", "decisive", "since"),
    [
        pytest.param(replace(ADVICE, gain=1.2), None, THEN, id="the gain is another"),
        pytest.param(SIXTEEN, SIXTEEN, LATER, id="the setting is"),
        pytest.param(ADVICE, OTHER, LATER, id="the model that decides is"),
        pytest.param(None, OTHER, LATER, id="it holds no more, and another does"),
    ],
)
def test_another_takes_its_place_and_is_told(
    own: Advice | None, decisive: Advice | None, since: str
) -> None:
    before = stood(ADVICE, own)
    after = standing(before, decisive, is_calm=True, since=LATER)
    assert after is not None
    assert is_news(before.status, after)
    assert after.since == since


GUESS = replace(ADVICE, knob=Knob.INSTANCES, now="1", to="2", confidence=Confidence.LOW)


def test_a_guess_is_told_anew_once_it_is_known_and_no_more() -> None:
    evidence = "a batch takes 1.2 times as long with 2 instances as with 1"
    learnt = replace(GUESS, confidence=Confidence.MEDIUM, evidence=evidence)
    before = stood(GUESS, learnt)
    after = standing(before, learnt, is_calm=True, since=LATER)
    assert after is not None
    assert is_news(before.status, after)
    assert (after.confidence, after.evidence) == (Confidence.MEDIUM, evidence)
    assert after.since == THEN
    unsure_again = Stood(after, NOW, GUESS)
    assert standing(unsure_again, GUESS, is_calm=True, since=LATER) == after


@pytest.mark.parametrize(
    ("changes", "added", "spared"),
    [
        pytest.param([(0, 0)], 0, 0, id="none"),
        pytest.param([(2, 1), (1, 0)], 3, 1, id="more, with one that it would have spared"),
        pytest.param([(2, 2), (-1, 0)], 2, 1, id="fewer again"),
        pytest.param([(1, 1), (-3, 0), (1, 0)], 2, 0, id="none is there any more"),
    ],
)
def test_replicas_that_are_added_while_it_stands_are_counted(
    changes: Sequence[tuple[int, int]], added: int, spared: int
) -> None:
    after: TuningStatus | None = told()
    for change, of_these in changes:
        after = with_change(after, change, of_these)
    assert after is not None
    assert (after.replicas_added, after.replicas_spared) == (added, spared)


@pytest.mark.parametrize("own", [None, Unknown(), SIXTEEN], ids=["none", "unknown", "another"])
def test_while_replicas_are_there_in_its_place_none_takes_it(own: Advice | Unknown | None) -> None:
    before = stood(ADVICE, own)
    owed = replace(before, status=before.status.model_copy(update={"replicas_spared": 1}))
    assert standing(owed, OTHER, is_calm=True, since=LATER) == owed.status
    followed = replace(owed, now_set=Configuration(8, 1))
    assert standing(followed, None, is_calm=True, since=LATER) is None
