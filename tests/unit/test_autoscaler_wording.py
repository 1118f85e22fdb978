"""Words that are put together when somebody reads them."""

import pytest

from trireme.autoscaler.wording import Words


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
