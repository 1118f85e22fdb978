"""What an inspection of one version's files is told, before pods are made of them.

The plan is an annotation of the pod that inspects; it holds no secret. The answer is the
container's termination message: a report (`admission.inspection.report`), or a `FetchResult` with
the failure.
"""

import hashlib

from pydantic import Field

from trireme.api.fetch import Fetch
from trireme.api.schema import ApiModel

_INSPECTION = 2
"""Raised when inspection learns to tell more, so that what was told before is asked again."""


class InspectPlan(ApiModel):
    """One version of one model; `backend` is what loads it, empty where nothing says it."""

    fetch: Fetch
    backend: str = Field("", max_length=128)

    @property
    def digest(self) -> str:
        """Of what is inspected, whatever model it is for: sha256, hex."""
        asked = self.model_copy(
            update={"fetch": self.fetch.model_copy(update={"model": "m", "version": 1})}
        )
        text = f"{_INSPECTION}\n{asked.model_dump_json(by_alias=True)}"
        return hashlib.sha256(text.encode()).hexdigest()
