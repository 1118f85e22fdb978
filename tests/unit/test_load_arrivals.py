"""The arrival process."""

from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.arrivals import RateProfile, Step, parse_profile, parse_trace, poisson_arrivals

profiles = st.lists(
    st.builds(
        Step, st.floats(0.1, 20, allow_nan=False), st.sampled_from([0.0, 0.5, 3.0, 40.0, 150.0])
    ),
    min_size=1,
    max_size=5,
).map(lambda steps: RateProfile(tuple(steps)))


@given(profiles, st.integers(0, 2**32))
def test_arrivals_ascend_and_fall_only_where_the_rate_is_above_zero(
    profile: RateProfile, seed: int
) -> None:
    arrivals = list(poisson_arrivals(profile, seed))
    assert all(before <= after for before, after in pairwise(arrivals))
    assert all(0 <= at < profile.seconds and profile.rate_at(at) > 0 for at in arrivals)


@given(profiles, st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_arrivals(profile: RateProfile, seed: int) -> None:
    assert list(poisson_arrivals(profile, seed)) == list(poisson_arrivals(profile, seed))


@given(st.integers(0, 2**32))
def test_each_step_has_as_many_arrivals_as_a_poisson_process_of_its_rate(seed: int) -> None:
    profile = RateProfile((Step(50, 20), Step(10, 400)))
    arrivals = list(poisson_arrivals(profile, seed))
    first = sum(at < 50 for at in arrivals)
    # The means are 1000 and 4000; 6.5 standard deviations are exceeded once in 10^10 seeds.
    assert abs(first - 1000) < 6.5 * sqrt(1000)
    assert abs(len(arrivals) - first - 4000) < 6.5 * sqrt(4000)


def test_gaps_are_exponential_not_regular() -> None:
    arrivals = list(poisson_arrivals(RateProfile((Step(1000, 10),)), seed=7))
    gaps = [after - before for before, after in pairwise(arrivals)]
    mean = sum(gaps) / len(gaps)
    deviation = sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(mean, rel=0.05)  # as of an exponential distribution


def test_a_profile_is_read_from_text() -> None:
    profile = parse_profile("60s@40, 1m30s@160,500ms@0")
    assert profile == RateProfile((Step(60, 40), Step(90, 160), Step(0.5, 0)))
    assert profile.seconds == 150.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("60s", "there is no @", id="a step without a rate"),
        pytest.param("60@40", "write it with a unit", id="a duration without a unit"),
        pytest.param("60s@fast", "could not convert", id="a rate that is no number"),
        pytest.param("60s@-1", "a rate from 0 on", id="a negative rate"),
        pytest.param("10s@1,0s@40", "'0s@40'", id="a step that takes no time, named"),
        pytest.param("", "'' is no step", id="nothing"),
    ],
)
def test_a_profile_that_cannot_be_read_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        parse_profile(text)
    assert words in str(refusal.value)


def test_the_rate_at_a_time_is_that_of_its_step_and_zero_after_the_end() -> None:
    profile = parse_profile("10s@1,10s@2")
    assert [profile.rate_at(at) for at in (0, 9.9, 10, 19.9, 20)] == [1, 1, 2, 2, 0]


@given(profiles, st.floats(0.05, 100))
def test_a_cut_profile_is_the_beginning_of_the_whole(profile: RateProfile, cut: float) -> None:
    short = profile.cut(cut)
    assert short.seconds == pytest.approx(min(cut, profile.seconds))
    middles = [short.seconds * part / 10 for part in range(10)]
    assert [short.rate_at(at) for at in middles] == [profile.rate_at(at) for at in middles]


def test_a_trace_of_counts_becomes_rates() -> None:
    trace = ["seconds,requests", "0,120", "60,0", "120,600"]
    assert parse_trace(trace) == RateProfile((Step(60, 2), Step(60, 0), Step(60, 10)))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param(["t,n", "0,1", "1,2"], "seconds,requests", id="other columns"),
        pytest.param(["seconds,requests", "0,1"], "two bins", id="a single bin"),
        pytest.param([], "seconds,requests", id="an empty file"),
    ],
)
def test_a_trace_that_cannot_be_read_is_refused(lines: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_trace(lines)
