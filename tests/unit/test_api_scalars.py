"""Durations, ratios and quantities: what is read, and what is refused with a word on the remedy."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.scalars import (
    format_duration,
    format_ratio,
    parse_duration,
    parse_quantity,
    parse_ratio,
    quantity_value,
)

A_YEAR = timedelta(hours=8760)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m30s", 90), ("250ms", 0.25), ("1.5h", 5400), ("1us", 1e-6), ("8760h", 31_536_000)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(st.timedeltas(timedelta(0), A_YEAR))
def test_a_duration_is_read_as_it_is_written(duration: timedelta) -> None:
    written = format_duration(duration)
    if len(written) <= 32:
        assert parse_duration(written) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5 s",
        "-1s",
        "1d",
        "s",
        "1s\n",
        "8760h1us",
        "99999999999h",
        "9" * 40 + "us",
        5,
        None,
    ],
)
def test_what_is_no_duration_of_an_agent_is_a_value_error(text: object) -> None:
    with pytest.raises(ValueError, match=r": write "):
        parse_duration(text)


@given(st.decimals(0, 100, places=3).map(lambda each: f"{each}%"))
def test_a_ratio_is_read(text: str) -> None:
    assert 0 <= parse_ratio(text) <= 1
    assert parse_ratio(format_ratio(parse_ratio(text))) == parse_ratio(text)


@pytest.mark.parametrize("text", ["0.1", "101%", "-1%", "%", "1%\n", 0.1, float("inf"), 1, None])
def test_what_is_no_percentage_is_a_value_error(text: object) -> None:
    with pytest.raises(ValueError, match=r": write it as 0\.1%"):
        parse_ratio(text)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("4", "4"),
        ("500m", "0.5"),
        ("1k", "1000"),
        ("1.5M", "1500000"),
        ("2G", "2000000000"),
        ("1E", "1000000000000000000"),
        ("1Ki", "1024"),
        ("16Gi", "17179869184"),
        ("1Ei", "1152921504606846976"),
    ],
)
def test_a_quantity_is_worth_what_its_unit_says(text: str, units: str) -> None:
    assert quantity_value(parse_quantity(text)) == Decimal(units)


@pytest.mark.parametrize(
    "text", ["", "16 GB", "-1", "1Gb", "1e3", "Gi", "1Gi\n", "9" * 40, True, 1.5, None]
)
def test_what_is_no_quantity_is_a_value_error(text: object) -> None:
    with pytest.raises(ValueError, match=r": write it as 4, 500m or 16Gi"):
        parse_quantity(text)
