"""How long pods take to start, from the starts that were seen."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.direct import Sample
from trireme.autoscaler.lead_time import (
    LOAD_METRIC,
    Measured,
    Part,
    Stages,
    Starts,
    Times,
    lead_time,
    loads,
    measured,
    noted,
    p95,
    parts,
    parts_told,
    stages,
    with_parts,
)
from trireme.autoscaler.types.observation import LeadTime
from unit.autoscaling import NOW, seconds


def times(
    scheduled: float = 1, started: float = 31, ready: float = 61, fetching: float = 20
) -> Times:
    """A start by its seconds since the pod was made."""
    return Times(
        created=NOW,
        scheduled=NOW + seconds(scheduled),
        started=NOW + seconds(started),
        ready=NOW + seconds(ready),
        fetching=timedelta(seconds=fetching),
    )


def start(load: float) -> Stages:
    return Stages(schedule=1, pull=4, fetch=0, load=load)


def known(*loads: float, template: str = "one", before: Measured | None = None) -> Starts:
    return Starts(template, len(loads), tuple(start(load) for load in loads), before)


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(times(), Stages(1, 10, 20, 30), id="each second belongs to one stage"),
        pytest.param(times(fetching=0), Stages(1, 30, 0, 30), id="nothing is fetched"),
        pytest.param(
            times(scheduled=600, started=630, ready=660),
            Stages(600, 10, 20, 30),
            id="a node that was made for the pod is part of it",
        ),
        pytest.param(
            times(scheduled=900, started=930, ready=960),
            Stages(900, 10, 20, 30),
            id="as slow as a node may come",
        ),
        pytest.param(
            times(scheduled=901, started=930, ready=960),
            None,
            id="one that waited longer waited for room",
        ),
        pytest.param(
            times(scheduled=-2, started=28, ready=58),
            Stages(0, 8, 20, 30),
            id="the scheduler's clock is behind the API server's",
        ),
        pytest.param(
            times(scheduled=5, started=4, ready=34),
            Stages(5, 0, 0, 29),
            id="the kubelet's clock is behind the scheduler's",
        ),
        pytest.param(
            times(fetching=40), Stages(1, 0, 30, 30), id="no stage is longer than where it lies"
        ),
    ],
)
def test_where_the_time_of_a_start_goes(seen: Times, found: Stages | None) -> None:
    assert stages(seen) == found


@given(
    st.tuples(st.integers(-100, 900), st.integers(-100, 900), st.integers(-100, 900)),
    st.integers(0, 2000),
)
def test_the_stages_are_never_negative_and_make_up_the_whole(
    ends: tuple[int, int, int], fetching: int
) -> None:
    scheduled, started, ready = ends
    found = stages(times(scheduled, started, ready, fetching))
    assert found is not None
    assert min(found.schedule, found.pull, found.fetch, found.load) >= 0
    assert found.total == max(0, *ends)


@pytest.mark.parametrize(
    ("starts", "planned"),
    [
        pytest.param([60], 60, id="the only one"),
        pytest.param([60, 40, 50], 60, id="of few the longest"),
        pytest.param([*range(1, 20)], 19, id="of 19 the longest"),
        pytest.param([*range(1, 21)], 19, id="of 20 the longest but one"),
        pytest.param([*range(1, 51)], 48, id="of 50 the longest but two"),
    ],
)
def test_what_is_planned_with(starts: list[float], planned: float) -> None:
    assert p95(starts) == planned


_TIMES = st.lists(st.floats(0, 3600), min_size=1, max_size=50)


@given(_TIMES, st.data())
def test_a_start_that_takes_longer_never_makes_the_plan_shorter(
    starts: list[float], data: st.DataObject
) -> None:
    slower = data.draw(st.integers(0, len(starts) - 1))
    longer = [each + 60 * (at == slower) for at, each in enumerate(starts)]
    assert p95(longer) >= p95(starts)


@given(_TIMES)
def test_at_most_one_start_of_twenty_takes_longer_than_is_planned(starts: list[float]) -> None:
    assert p95(starts) in starts
    assert 20 * sum(each > p95(starts) for each in starts) <= len(starts)


def test_nothing_is_known_before_a_pod_was_seen_to_start() -> None:
    assert lead_time(None) is None
    assert noted(None, "one", []) is None


def test_the_first_start_is_the_whole_knowledge() -> None:
    found = noted(None, "one", [start(55)])
    assert lead_time(found) == LeadTime(p95_seconds=60, median_seconds=60, samples=1)


def test_the_last_fifty_starts_count() -> None:
    found = noted(known(*[995] * 50), "one", [start(15)] * 47)
    assert lead_time(found) == LeadTime(p95_seconds=1000, median_seconds=20, samples=97)
    found = noted(found, "one", [start(15)])
    assert lead_time(found) == LeadTime(p95_seconds=20, median_seconds=20, samples=98)


@pytest.mark.parametrize(
    ("new", "planned", "typical"),
    [
        pytest.param([15], 100, 20, id="one start does not outweigh what was"),
        pytest.param([15] * 4, 100, 20, id="four do not"),
        pytest.param([15] * 5, 20, 20, id="five do"),
        pytest.param([295], 300, 300, id="a longer one counts at once"),
    ],
)
def test_what_was_known_of_another_template_is_one_start_until_there_are_five(
    new: list[float], planned: float, typical: float
) -> None:
    found = noted(known(95, 95, 55), "two", [start(load) for load in new])
    assert lead_time(found) == LeadTime(planned, typical, samples=len(new))


def test_of_two_templates_before_only_the_last_is_remembered() -> None:
    second = noted(known(995), "two", [start(95)] * 5)
    third = noted(second, "three", [start(15)])
    assert lead_time(third) == LeadTime(p95_seconds=100, median_seconds=20, samples=1)


def test_a_template_that_nothing_started_of_changes_nothing() -> None:
    assert noted(known(55), "two", []) == known(55)


def test_the_stages_that_are_told_are_medians_each_by_itself() -> None:
    starts = Starts(
        "one", 3, (Stages(0, 30, 5, 20), Stages(90, 2, 6, 21), Stages(1, 3, 40, 19)), None
    )
    assert measured(starts).stages == Stages(schedule=1, pull=3, fetch=6, load=20)


def test_what_was_measured_before_is_told_until_a_pod_starts() -> None:
    before = Measured(p95_seconds=62, median_seconds=41, stages=Stages(1, 10, 0, 30))
    assert measured(Starts("one", 17, (), before)) == before
    assert lead_time(Starts("one", 17, (), before)) == LeadTime(62, 41, samples=17)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        pytest.param(None, {}, id="no init container to tell it by"),
        pytest.param(timedelta(seconds=8), {Part.IMAGE: 8}, id="since the last init container"),
        pytest.param(timedelta(seconds=-1), {Part.IMAGE: 0}, id="never negative"),
    ],
)
def test_what_a_pod_tells_of_its_parts(image: timedelta | None, told: dict[Part, float]) -> None:
    assert parts_told(replace(times(), image=image)) == told


def test_a_part_is_the_median_over_the_starts_that_it_is_known_of() -> None:
    found = known(10, 20, 30)
    for seconds_of_image in (4.0, 9.0, 5.0):
        found = with_parts(found, {Part.IMAGE: seconds_of_image})
    found = with_parts(found, {Part.NODE: 40.0})
    assert parts(found) == {Part.IMAGE: 5, Part.NODE: 40}


def test_the_last_fifty_of_a_part_count() -> None:
    found = known(10)
    for seconds_of_image in [90.0] * 50 + [4.0] * 50:
        found = with_parts(found, {Part.IMAGE: seconds_of_image})
    assert parts(found) == {Part.IMAGE: 4}


def test_what_is_planned_with_ends_with_the_first_request_where_that_is_known() -> None:
    found = with_parts(known(55, 35, 45), {Part.IMAGE: 4.0, Part.FIRST_REQUEST: 2.0})
    assert lead_time(found) == LeadTime(p95_seconds=62, median_seconds=52, samples=3)


def test_parts_of_another_template_count_as_one_start() -> None:
    before = known(55)
    for seconds_of_image in (4.0, 4.0, 4.0):
        before = with_parts(before, {Part.IMAGE: seconds_of_image})
    found = noted(before, "two", [start(55)])
    assert found is not None
    assert parts(found) == {Part.IMAGE: 4}
    assert parts(with_parts(found, {Part.IMAGE: 10.0})) == {Part.IMAGE: 7}


def load(model: str, version: str, seconds: float) -> Sample:
    return Sample(LOAD_METRIC, (("model", model), ("version", version)), seconds)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param([], {}, id="a release that does not tell"),
        pytest.param(
            [load("encoder", "1", 14.2), load("policy", "1", 0.5)],
            {"encoder": 14.2, "policy": 0.5},
            id="each model's",
        ),
        pytest.param(
            [load("encoder", "1", 14.2), load("encoder", "2", 15.0)],
            {"encoder": 15.0},
            id="of versions, loaded beside each other, the longest",
        ),
        pytest.param(
            [load("encoder", "1", math.nan), load("policy", "1", -1.0)], {}, id="no time at all"
        ),
        pytest.param([Sample(LOAD_METRIC, (), 3.0)], {}, id="of nobody knows which model"),
        pytest.param([Sample("nv_other", (("model", "m"),), 3.0)], {}, id="another metric"),
    ],
)
def test_what_a_server_tells_of_its_loads(told: list[Sample], found: dict[str, float]) -> None:
    assert loads(told) == found
