"""An agent's past demand of several series: what one of them does not tell is not zero."""

from math import inf, nan

import pytest

from trireme.autoscaler.past_demand import Answers, Past, by_gateway, by_servers, models_of
from trireme.autoscaler.queries import Query

M = {"model": "m"}
WELL, BADLY = Query.SERVER_REQUESTS, Query.SERVER_FAILURES


def past(*rates: float | None, **labels: str) -> Past:
    """A value each minute; None where there is none."""
    return Past(labels, {60 * at: rate for at, rate in enumerate(rates) if rate is not None})


@pytest.mark.parametrize(
    ("answers", "rates"),
    [
        pytest.param(
            {WELL: [past(5, 6, 7, model="m")], BADLY: [past(1, 0, 2, model="m")]},
            {0: 6, 60: 6, 120: 9},
            id="what ended well and badly",
        ),
        pytest.param(
            {WELL: [past(5, 6, model="m")], BADLY: []},
            {0: 5, 60: 6},
            id="a counter that never was has counted nothing",
        ),
        pytest.param(
            {WELL: [past(5, 6, 7, model="m")], BADLY: [past(1, None, 2, model="m")]},
            {0: 6, 120: 9},
            id="failures that are missing for a while are not none",
        ),
        pytest.param(
            {WELL: [past(5, None, 7, model="m")], BADLY: [past(1, 1, 2, model="m")]},
            {0: 6, 120: 9},
            id="nor are answers",
        ),
        pytest.param(
            {WELL: [past(nan, 6, inf, model="m")], BADLY: [past(1, 1, 1, model="m")]},
            {60: 7},
            id="what is no number is not known",
        ),
        pytest.param({WELL: [past(5, model="other")]}, {}, id="another model's are not asked for"),
    ],
)
def test_of_servers(answers: Answers, rates: dict[int, float]) -> None:
    assert by_servers(answers, "m") == rates


@pytest.mark.parametrize(
    ("model", "rates"),
    [
        pytest.param("m", {0: 9, 60: 40, 120: 8}, id="as many as the servers have of streams"),
        pytest.param(None, {0: 9, 60: 1, 120: 8}, id="the gateway's alone, of no model"),
    ],
)
def test_of_a_gateway(model: str | None, rates: dict[int, float]) -> None:
    answers = {
        Query.GATEWAY_ARRIVALS: [past(9, 1, 8, None)],
        WELL: [past(5, 39, None, 70, model="m")],
        BADLY: [past(1, 1, None, 0, model="m")],
    }
    assert by_gateway(answers, model) == rates


def test_the_models_that_were_asked() -> None:
    answers = {WELL: [past(1, model="b"), past(1, model="a")], BADLY: [past(0, model="b")]}
    assert models_of(answers) == ["a", "b"]
