"""Scalars that several parts of a model have in common, with their bounds."""

from typing import Annotated

from pydantic import Field

from trireme.api import names
from trireme.api.schema import LARGEST_INT

_LARGEST_EXACT = 2**53 - 1  # what JSON and YAML hand on without loss


_LARGEST_VERSION = 10**18  # so that a time stamp may be one


Name = Annotated[str, Field(min_length=1, max_length=1024)]


Text = Annotated[str, Field(max_length=65536)]


Int32 = Annotated[int, Field(ge=0, le=LARGEST_INT)]


Dimension = Annotated[int, Field(ge=-1, le=_LARGEST_EXACT)]


Dims = Annotated[list[Dimension], Field(max_length=64)]


Version = Annotated[int, Field(ge=1, le=_LARGEST_VERSION)]


ModelName = Annotated[str, Field(pattern=names.MODEL_NAME_PATTERN, max_length=128)]


FilePath = Annotated[str, Field(max_length=1024, pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")]
