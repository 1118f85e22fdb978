"""What all tests share: golden files, the option that rewrites them, properties' examples, and what
begins first.
"""

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# A change must not be refused by luck: what a property is tried on follows from its test alone, as
# in Hypothesis' own profile for CI. `make explore` draws anew each time, and finds what these miss.
# No deadlines, since the machine may be busy.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", derandomize=False, max_examples=1000, deadline=None)
hypothesis.settings.load_profile("same")

GOLDEN = Path(__file__).parent / "golden"

Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite golden files with what is generated"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(path, text)`: `text` equals the file tests/golden/`path`."""

    def check(path: str, text: str) -> None:
        file = GOLDEN / path
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.is_file(), f"{file} is missing: run pytest --update-golden, and read the diff"
        assert text == file.read_text(encoding="utf-8")

    return check
