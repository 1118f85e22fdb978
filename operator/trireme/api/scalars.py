"""The scalar spellings of the API, parsed once: durations, ratios, quantities.

Each is an annotated type for pydantic models. In Python a duration is a `timedelta` and a ratio a
`float` from 0 to 1; in YAML they are text with a unit (`100ms`, `0.1%`), so nobody has to guess.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, TypeGuard

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(us|ms|s|m|h))+$"
RATIO_PATTERN = r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

_LONGEST_TEXT = 32
_LONGEST_DURATION = timedelta(hours=8760)  # a year; each field's own bound is far below

_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_UNITS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h)")


def parse_duration(text: object) -> timedelta:
    """Read `1m30s`, `250ms`, `1.5h`.

    Raises ValueError where the text is no such duration; a bare number is refused, since it has
    no unit.
    """
    if isinstance(text, timedelta):
        return text
    if not _is_written_as(text, DURATION_PATTERN):
        raise ValueError(
            f"{_told(text)} is not a duration: write it with a unit, such as 100ms or 5m"
        )
    micros = sum(Decimal(n) * _MICROSECONDS[unit] for n, unit in _DURATION_PART.findall(text))
    if micros > _LONGEST_DURATION // timedelta(microseconds=1):
        longest = format_duration(_LONGEST_DURATION)
        raise ValueError(f"{_told(text)} is too long a duration: write {longest} or less")
    return timedelta(microseconds=int(micros))


@lru_cache(maxsize=1024)
def format_duration(value: timedelta) -> str:
    """Write a duration in the largest units that keep it exact: 90 s is `1m30s`, 0 is `0s`."""
    micros = round(value / timedelta(microseconds=1))
    parts = []
    for unit in ("h", "m", "s", "ms", "us"):
        count, micros = divmod(micros, _MICROSECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_ratio(text: object) -> float:
    """Read `0.1%` as 0.001. Raises ValueError where the text is no percentage from 0 to 100."""
    if not _is_written_as(text, RATIO_PATTERN):
        raise ValueError(f"{_told(text)} is not a percentage from 0% to 100%: write it as 0.1%")
    return float(Decimal(text[:-1]) / 100)


def format_ratio(value: float) -> str:
    """Write a ratio as a percentage, without trailing zeros: 0.001 is `0.1%`."""
    percent = Decimal(str(value)) * 100
    return f"{percent.normalize():f}%"


def parse_quantity(text: object) -> str:
    """Read a Kubernetes quantity (`4`, `500m`, `16Gi`), kept as text.

    Raises ValueError for anything else.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not _is_written_as(text, QUANTITY_PATTERN):
        raise ValueError(f"{_told(text)} is not a quantity: write it as 4, 500m or 16Gi")
    return text


def quantity_value(text: str) -> Decimal:
    """What a quantity is in units: `500m` is 0.5, `1Ki` is 1024."""
    number = text.rstrip("".join(_UNITS))
    return Decimal(number) * _UNITS[text[len(number) :]]


def _told(value: object) -> str:
    """What was received; of a mapping, a list or a URI only that, since secrets may be in it."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "a URI" if isinstance(value, str) and "://" in value else repr(value)


def _is_written_as(text: object, pattern: str) -> TypeGuard[str]:
    """Whether this is text of the pattern, and no longer than the schema lets it be."""
    return (
        isinstance(text, str)
        and len(text) <= _LONGEST_TEXT
        and re.fullmatch(pattern, text) is not None
    )


def _text_schema(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, "maxLength": _LONGEST_TEXT}


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_text_schema(DURATION_PATTERN)),
]
Ratio = Annotated[
    float,
    BeforeValidator(parse_ratio),
    PlainSerializer(format_ratio, return_type=str),
    WithJsonSchema(_text_schema(RATIO_PATTERN)),
]
Quantity = Annotated[
    str,
    BeforeValidator(parse_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "pattern": QUANTITY_PATTERN,
            "maxLength": _LONGEST_TEXT,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
