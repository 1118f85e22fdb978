"""Random access within bounds: little is fetched, what is fetched is counted, and limits end it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_files import CountingReader
from trireme.admission.inspection.reader import BoundedReader, Budget, BytesReader, Limits
from trireme.errors import InspectionLimit, UnreadableModel

CONTENT = bytes(index * 7 % 251 for index in range(300_000))


def reader_of(content: bytes, limits: Limits | None = None) -> BoundedReader:
    return BoundedReader(CountingReader(content), Budget(limits or Limits()))


@given(
    st.lists(
        st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 100_000)), min_size=1, max_size=20
    )
)
def test_what_is_read_is_what_the_file_has_there(places: list[tuple[int, int]]) -> None:
    reader = reader_of(CONTENT)
    for offset, length in places:
        if offset + length <= len(CONTENT):
            assert reader.read(offset, length) == CONTENT[offset : offset + length]
        else:
            with pytest.raises(UnreadableModel, match="it ends at byte 300000"):
                reader.read(offset, length)


def test_reading_on_takes_few_fetches() -> None:
    counted = CountingReader(CONTENT)
    reader = BoundedReader(counted, Budget(Limits()))
    for offset in range(0, len(CONTENT) - 16, 16):
        reader.read(offset, 16)
    assert counted.reads <= 12
    assert counted.bytes_read <= len(CONTENT) + 12 * 16


def test_a_jump_fetches_little() -> None:
    counted = CountingReader(CONTENT)
    reader = BoundedReader(counted, Budget(Limits()))
    for offset in range(0, len(CONTENT) - 16, 30_000):
        reader.read(offset, 16)
    assert counted.bytes_read <= counted.reads * 8_192


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        pytest.param(Limits(fetched_bytes=10_000), "over 10000 bytes or", id="bytes"),
        pytest.param(Limits(fetches=3), "or 3 reads to read", id="fetches"),
        pytest.param(Limits(steps=10), "over 10 pieces", id="steps"),
    ],
)
def test_a_limit_ends_the_inspection_before_it_is_passed(limits: Limits, says: str) -> None:
    counted = CountingReader(CONTENT)
    reader = BoundedReader(counted, Budget(limits))
    with pytest.raises(InspectionLimit, match=says):
        all(reader.read(offset, 16) for offset in range(0, len(CONTENT) - 16, 10_000))
    assert counted.bytes_read <= limits.fetched_bytes
    assert counted.reads <= limits.fetches


def test_one_piece_that_is_too_long_is_not_read() -> None:
    counted = CountingReader(CONTENT)
    with pytest.raises(InspectionLimit, match="of 200000 bytes is too long"):
        BoundedReader(counted, Budget(Limits(text_bytes=100_000))).read(0, 200_000)
    assert counted.bytes_read == 0


def test_a_file_that_shrinks_while_it_is_read_is_told() -> None:
    class Shrunk(BytesReader):
        size = 100

    with pytest.raises(UnreadableModel, match="only 3 of 100 bytes could be read"):
        BoundedReader(Shrunk(b"abc"), Budget(Limits())).read(0, 8)


def test_heads_and_tails_of_short_files_are_the_files() -> None:
    reader = BoundedReader(BytesReader(b"abc"), Budget(Limits()))
    assert (reader.head(10), reader.tail(10), reader.tail(2)) == (b"abc", b"abc", b"bc")
