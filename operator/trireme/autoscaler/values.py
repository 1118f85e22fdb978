"""Values that every round makes many of, for every agent. Pure.

To make a frozen dataclass takes a call for each of its fields, three to five times as long as one
that is not, and an agent has some hundred such fields in a round. So it is mypy alone that keeps
these from being changed.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """A dataclass with slots that is compared and hashed by its fields, and never changed."""
    return dataclass(slots=True, unsafe_hash=True)(kind)
