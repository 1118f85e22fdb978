"""Traces: what is accepted, what is said of the rest, and the rate that comes out."""

import numpy as np
import pytest

from trireme.errors import InvalidTrace
from trireme.simulator.traces import Traffic, parse, scaled_to, traffic_of, window


def lines(*rows: str, header: str = "seconds,requests") -> list[str]:
    return [f"{row}\n" for row in (header, *rows)]


def test_bins_are_read() -> None:
    trace = parse(lines("0,7", "3,0", "6,5"), "t.csv")
    assert (trace.bin_seconds, trace.requests.tolist(), trace.seconds) == (3.0, [7, 0, 5], 9)


def test_arrivals_are_counted_by_the_second() -> None:
    trace = parse(lines("0.000", "0.052", "2.9", header="seconds"), "t.csv")
    assert (trace.bin_seconds, trace.requests.tolist()) == (1.0, [2, 0, 1])


def test_blank_lines_and_carriage_returns_are_no_mistake() -> None:
    trace = parse(["seconds,requests\r\n", "0,1\r\n", "60,2\r\n", "\r\n"], "t.csv")
    assert trace.requests.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            lines("0,1", header="time,count"),
            "t.csv, line 1: the header is 'time,count', and should be 'seconds,requests' for "
            "requests per bin or 'seconds' for one arrival per line",
            id="another header",
        ),
        pytest.param(
            [],
            "t.csv, line 1: the header is '', and should be 'seconds,requests' for requests per "
            "bin or 'seconds' for one arrival per line",
            id="an empty file",
        ),
        pytest.param(
            lines("0,1", "1,x"),
            "t.csv, line 3: requests is 'x', and must be a number, 0 or more",
            id="a word",
        ),
        pytest.param(
            lines("0,1", "1,-2"),
            "t.csv, line 3: requests is '-2', and must be a number, 0 or more",
            id="a negative number",
        ),
        pytest.param(
            lines("0,1", "1,nan"),
            "t.csv, line 3: requests is 'nan', and must be a number, 0 or more",
            id="not a number",
        ),
        pytest.param(
            lines("0,1", "1,2,3"),
            "t.csv, line 3: '1,2,3' is not two values, seconds and requests",
            id="three values",
        ),
        pytest.param(
            lines("0,1"), "t.csv, line 2: there are 1 bins, and a trace needs two", id="one bin"
        ),
        pytest.param(
            lines("0,1", "0,1"),
            "t.csv, line 3: seconds is 0, and must be more than 0",
            id="a bin twice",
        ),
        pytest.param(
            lines("0,1", "60,1", "180,1"),
            "t.csv, line 4: seconds is 180, and should be 120: bins are 60 s long here and follow "
            "one another without a gap",
            id="a gap",
        ),
        pytest.param(
            lines("0,1", "0.25,1", "0.5,1"),
            "t.csv, line 4: it covers less than a second, and a trace needs one",
            id="too short",
        ),
        pytest.param(
            lines("0,0", "60,0"), "t.csv, line 2: there is no request in any bin", id="no request"
        ),
        pytest.param(
            lines(header="seconds"), "t.csv, line 1: there is no arrival", id="no arrival"
        ),
        pytest.param(
            lines("1.0", "0.5", header="seconds"),
            "t.csv, line 3: seconds is 0.5, and must not be less than 1 before",
            id="arrivals out of order",
        ),
        pytest.param(
            lines("0.0", "1e12", header="seconds"),
            "t.csv, line 3: seconds is '1e12', and a trace is a year long at most",
            id="a trace too long to hold",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_and_value(text: list[str], message: str) -> None:
    with pytest.raises(InvalidTrace) as raised:
        parse(text, "t.csv")
    assert str(raised.value) == message


def test_short_bins_become_a_moving_average_of_a_minute() -> None:
    counts = [0] * 180
    counts[90] = 90
    rate = traffic_of(
        parse(lines(*(f"{t},{n}" for t, n in enumerate(counts))), "t")
    ).rate_per_second
    assert len(rate) == 180
    # 90 requests in one second are 1.5 per second over the minute around it, and nothing beyond.
    assert rate[59] == 0
    assert rate[61:120] == pytest.approx(1.5)
    assert rate[122] == 0
    assert rate.sum() == pytest.approx(90)


def test_at_its_ends_the_average_is_over_what_there_is() -> None:
    rate = traffic_of(parse(lines(*(f"{t},4" for t in range(100))), "t")).rate_per_second
    assert rate == pytest.approx(4)


def test_bins_of_three_seconds_are_averaged_too() -> None:
    rate = traffic_of(parse(lines(*(f"{t},{6 if t < 90 else 0}" for t in range(0, 180, 3))), "t"))
    assert len(rate.rate_per_second) == 180
    assert rate.rate_per_second[:60] == pytest.approx(2)
    assert rate.rate_per_second[90] == pytest.approx(1, abs=0.02)
    assert rate.rate_per_second.sum() == pytest.approx(180)


def test_long_bins_are_interpolated_from_middle_to_middle() -> None:
    rate = traffic_of(parse(lines("0,60", "60,180"), "t")).rate_per_second
    assert len(rate) == 120
    assert rate[0] == rate[29] == 1
    assert rate[59:61] == pytest.approx([2 - 1 / 60, 2 + 1 / 60])
    assert rate[90] == rate[119] == 3


def test_the_peak_is_scaled() -> None:
    traffic = scaled_to(Traffic("t", np.array([1.0, 4.0, 2.0])), 100.0)
    assert traffic.rate_per_second.tolist() == [25, 100, 50]


def test_a_window_is_the_seed_s_and_says_where_it_begins() -> None:
    traffic = Traffic("t", np.arange(1000.0))
    first, again, other = (window(traffic, 100, seed) for seed in (1, 1, 2))
    assert first.rate_per_second.tolist() == again.rate_per_second.tolist()
    assert first.start_seconds != other.start_seconds
    assert first.rate_per_second[0] == first.start_seconds
    assert len(first.rate_per_second) == 100


def test_every_window_can_be_drawn() -> None:
    traffic = Traffic("t", np.arange(5.0))
    assert {window(traffic, 3, seed).start_seconds for seed in range(50)} == {0, 1, 2}


def test_a_trace_no_longer_than_the_window_stays_whole() -> None:
    traffic = Traffic("t", np.arange(5.0))
    assert window(traffic, 5, 1) is traffic
    assert window(traffic, 9, 1) is traffic
