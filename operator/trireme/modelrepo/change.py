"""What differs between two repositories, model by model. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trireme.modelrepo.plan import ENSEMBLE, LIVE_FIELDS
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.repository import ModelDirectory, Repository


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of a repository that is not as it was: `models[encoder].instance_group`, in Triton's
    own names, `models[encoder].files`, or a whole model or pipeline that came or went.

    `live` says that Triton changes it in place.
    """

    path: str
    live: bool


def differences(before: Repository, after: Repository) -> tuple[Difference, ...]:
    """Every part that differs, in the order of the models, those that went first; none where the
    order alone does.
    """
    old = {model.name: model for model in before.models}
    new = {model.name: model for model in after.models}
    gone = [model for model in before.models if model.name not in new]
    come = [model for model in after.models if model.name not in old]
    return (
        *(Difference(_path(model), live=False) for model in (*gone, *come)),
        *(
            difference
            for model in after.models
            if model.name in old
            for difference in _within(old[model.name], model)
        ),
    )


def _within(before: ModelDirectory, after: ModelDirectory) -> Iterator[Difference]:
    path = _path(after)
    old, new = _fields(before.config), _fields(after.config)
    for field in ModelConfig.DESCRIPTOR.fields:
        if old.get(field.name) != new.get(field.name):
            yield Difference(f"{path}.{field.name}", field.name in LIVE_FIELDS)
    for part in ("files", "mounts"):
        if getattr(before, part) != getattr(after, part):
            yield Difference(f"{path}.{part}", live=False)


def _fields(config: ModelConfig) -> dict[str, Any]:
    """What is set, by name; an empty message that is set is not the same as none."""
    return {field.name: value for field, value in config.ListFields()}


def _path(model: ModelDirectory) -> str:
    return f"{'pipelines' if model.config.platform == ENSEMBLE else 'models'}[{model.name}]"
