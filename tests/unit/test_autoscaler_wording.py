"""Words that are put together when somebody reads them, and ages in short."""

from datetime import timedelta

import pytest

from trireme.autoscaler.wording import Words, age


def test_words_are_put_together_once_and_for_a_reader_only() -> None:
    made: list[str] = []

    def put_together() -> str:
        made.append("2 pods kept")
        return made[-1]

    words = Words(put_together)
    assert made == []
    assert [f"{words}", str(words), repr(words)] == ["2 pods kept", "2 pods kept", "'2 pods kept'"]
    assert len(made) == 1


@pytest.mark.parametrize(
    ("other", "is_equal"),
    [
        pytest.param(Words(lambda: "2 pods kept"), True, id="put together otherwise"),
        pytest.param("2 pods kept", True, id="a text"),
        pytest.param(Words("3 pods kept"), False, id="other words"),
        pytest.param(2, False, id="no text at all"),
    ],
)
def test_words_equal_what_reads_the_same(other: object, is_equal: bool) -> None:
    words = Words("2 pods kept")
    assert (words == other) is is_equal
    assert (hash(words) == hash(other)) is is_equal


@pytest.mark.parametrize(
    ("seconds", "two_units", "one_unit"),
    [
        (-3, "0s", "0s"),
        (4.4, "4s", "4s"),
        (200, "3m20s", "3m"),
        (3_600, "1h", "1h"),
        (7_530, "2h5m", "2h"),
        (90_059, "1d1h", "1d"),
        (86_400 + 59, "1d", "1d"),
    ],
)
def test_an_age_is_told_in_its_largest_units(seconds: float, two_units: str, one_unit: str) -> None:
    passed = timedelta(seconds=seconds)
    assert (age(passed), age(passed, 1)) == (two_units, one_unit)
