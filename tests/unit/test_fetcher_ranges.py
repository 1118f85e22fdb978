"""Blocks, and the journal of those that are there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.edge.stores.types import Object
from trireme.fetcher.ranges import entry, header, missing, spans, there

sizes, blocks = st.integers(0, 500), st.integers(1, 60)


def item(size: int, etag: str = '"v1"', ranged: bool = True) -> Object:
    return Object("m.onnx", "k/m.onnx", size, etag, ranged=ranged)


@given(sizes, blocks, st.booleans())
def test_blocks_cover_every_byte_once(size: int, block: int, ranged: bool) -> None:
    end = 0
    for number, span in enumerate(spans(item(size, ranged=ranged), block)):
        assert (span.index, span.offset) == (number, end)
        assert 0 < span.length <= (block if ranged else size)
        end += span.length
    assert end == size


@given(sizes, blocks, st.data())
def test_what_is_missing_is_what_no_whole_line_says_is_there(
    size: int, block: int, data: st.DataObject
) -> None:
    """A crash may cut the journal at any byte behind its first line."""
    wanted = item(size)
    all_spans = spans(wanted, block)
    order = data.draw(st.permutations(all_spans))
    journal = header(wanted, block) + "".join(map(entry, order))
    cut = data.draw(st.integers(len(header(wanted, block)), len(journal)))
    done = there(journal[:cut], wanted, block)
    assert done is not None
    whole = journal[:cut].count("\n") - 1
    assert done == {span.index for span in order[:whole]}
    assert {span.index for span in missing(wanted, done, block)} == {
        span.index for span in all_spans if span.index not in done
    }


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(item(100, '"v2"'), id="another version"),
        pytest.param(item(101), id="another size"),
        pytest.param(Object("m.onnx", "other", 100, '"v1"'), id="another object"),
    ],
)
def test_a_journal_of_something_else_counts_for_nothing(other: Object) -> None:
    assert there(header(item(100), 10) + "1\n", other, 10) is None


def test_of_an_object_without_a_version_nothing_is_kept() -> None:
    nameless = item(100, etag="")
    assert there(header(nameless, 10) + "1\n", nameless, 10) is None


@given(st.text())
def test_a_journal_may_hold_anything(text: str) -> None:
    wanted = item(100)
    done = there(header(wanted, 10) + text, wanted, 10)
    assert done is not None
    assert done <= set(range(10))
