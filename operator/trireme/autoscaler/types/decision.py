"""How many replicas, and why. Pure."""

from dataclasses import field
from datetime import datetime

from trireme.api.conditions import Reason
from trireme.autoscaler.codec import WRITTEN_IF_SET
from trireme.autoscaler.types.observation import KnownKnob, SettingNews
from trireme.autoscaler.values import frozen
from trireme.autoscaler.wording import Words


@frozen
class ClassSize:
    """How many pods of a node class there were to be, and are to be."""

    name: str
    current: int
    replicas: int


@frozen
class Alternative:
    """A knob with which `replicas` would do, fewer than are decided on."""

    knob: KnownKnob
    replicas: int


@frozen
class Decision:
    """How many replicas, and why.

    `replicas` is what is to be written (equal to `current` for no change), `proposed` what the
    objectives asked for before policies and bounds (None where nothing could be proposed).
    `reason` is an AutoscalingActive reason; `message` tells an SRE what was seen, what was wanted
    and what bound it. `model` names the objective whose proposal won. `classes` are the sizes by
    node class, empty of an agent without. `alternative` is there where replicas are bought that a
    knob would spare, and `settings` is what became of Trireme's own since the decision before.
    """

    at: datetime
    current: int
    replicas: int
    proposed: int | None
    reason: Reason
    message: Words
    model: str | None
    classes: tuple[ClassSize, ...] = ()
    alternative: Alternative | None = field(default=None, metadata=WRITTEN_IF_SET)
    settings: tuple[SettingNews, ...] = field(default=(), metadata=WRITTEN_IF_SET)
