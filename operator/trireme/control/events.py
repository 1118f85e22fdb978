"""Which Events a pass is worth: one for each thing that became different. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trireme.api.conditions import ConditionType, EventReason, Reason
from trireme.api.fetch import FetchReason
from trireme.api.status import AgentStatus, Condition
from trireme.edge.recorder import Event
from trireme.resources.change import Change, Effect

_RECONCILE = "Reconcile"

_REFUSALS: Mapping[str, EventReason] = {
    Reason.INVALID_SPEC: EventReason.INVALID_SPEC,
    Reason.SOURCE_NOT_FOUND: EventReason.SOURCE_NOT_FOUND,
    Reason.STABLE_UNKNOWN: EventReason.STABLE_UNKNOWN,
}


_IN_PLACE = frozenset({Reason.UPDATING_IN_PLACE, Reason.IN_PLACE_UPDATE_FAILED})
_WITHOUT_ROLLOUT = frozenset({Reason.UPDATING_IN_PLACE, Reason.TRYING_CANARY})


@dataclass(frozen=True, slots=True)
class Story:
    """What the conditions do not tell of the present state.

    `change` is the difference from what ran before, as far as it is known, `pods` how many there
    are, and `warnings` what is odd in a spec that was accepted.
    """

    repository_digest: str
    live_digest: str = ""
    change: Change | None = None
    pods: int = 0
    warnings: str = ""


def transitions(before: AgentStatus, after: Iterable[Condition], story: Story) -> list[Event]:
    """The Events between two statuses of one agent, in the order an SRE would tell them."""
    old = {condition.type: condition for condition in before.conditions}
    new = {condition.type: condition for condition in after}
    accepted = old.get(ConditionType.ACCEPTED), new[ConditionType.ACCEPTED]
    events = [*_accepted(*accepted), *_warned(*accepted, story.warnings)]
    events += _rollout_started(before, old, new, story)
    events += _apply_failed(old.get(ConditionType.STALLED), new[ConditionType.STALLED])
    events += _models(old.get(ConditionType.MODELS_READY), new[ConditionType.MODELS_READY])
    events += _in_place_failed(old.get(ConditionType.STALLED), new[ConditionType.STALLED])
    events += _finished(before, old.get(ConditionType.RECONCILING), new[ConditionType.READY], story)
    return events


def _accepted(old: Condition | None, new: Condition) -> list[Event]:
    if new.status == "True":
        if old is not None and old.status == "True":
            return []
        note = f"generation {new.observed_generation} is accepted"
        return [Event(EventReason.ACCEPTED, note, _RECONCILE)]
    if new.status == "Unknown" or (
        old is not None and (old.status, old.message) == (new.status, new.message)
    ):
        return []
    reason = _REFUSALS.get(new.reason, EventReason.FETCH_FAILED)
    return [Event(reason, new.message, _RECONCILE, warning=True)]


def _warned(old: Condition | None, new: Condition, warnings: str) -> list[Event]:
    if not warnings or (old is not None and old.message == new.message):
        return []
    return [Event(EventReason.SPEC_WARNING, warnings, _RECONCILE, warning=True)]


def _rollout_started(
    before: AgentStatus,
    old: dict[str, Condition],
    new: dict[str, Condition],
    story: Story,
) -> list[Event]:
    """A generation that replaces pods is told once, whether by another repository or by another
    template. An agent that only just came replaces nothing, nor does one that takes a refused edit
    back.
    """
    if not before.repository_digest:
        return []
    rolling = new[ConditionType.RECONCILING]
    another = before.repository_digest != story.repository_digest
    rested = _is(old, ConditionType.ACCEPTED, "True") and _is(
        old, ConditionType.RECONCILING, "False"
    )
    began = rested and rolling.reason == Reason.ROLLING_OUT
    if not another and not (began and before.observed_generation != rolling.observed_generation):
        return []
    note = f"rolling out generation {rolling.observed_generation}"
    if another:
        old_digest = before.repository_digest[:8]
        note += f": repository {story.repository_digest[:8]} in place of {old_digest}"
    if story.change is not None and story.change.effect in (Effect.GATEWAY, Effect.ROLLOUT):
        note += f"; changed: {story.change.named(story.change.effect)}"
    return [Event(EventReason.ROLLOUT_STARTED, note, _RECONCILE)]


def _is(conditions: dict[str, Condition], kind: ConditionType, status: str) -> bool:
    return kind in conditions and conditions[kind].status == status


def _apply_failed(old: Condition | None, new: Condition) -> list[Event]:
    if new.reason != Reason.APPLY_FAILED or (old is not None and old.message == new.message):
        return []
    return [Event(EventReason.APPLY_FAILED, new.message, _RECONCILE, warning=True)]


def _models(old: Condition | None, new: Condition) -> list[Event]:
    reason = _model_failure(new)
    had_failed = old is not None and _model_failure(old) is not None
    if reason is not None and (old is None or old.message != new.message):
        return [Event(reason, new.message, _RECONCILE, warning=True)]
    if had_failed and new.status == "True":
        return [Event(EventReason.MODELS_READY, new.message, _RECONCILE)]
    return []


def _model_failure(condition: Condition) -> EventReason | None:
    """The Event that a condition ModelsReady is worth, if models cannot be fetched or loaded."""
    if condition.reason in set(FetchReason):
        return EventReason.FETCH_FAILED
    failed = condition.reason == Reason.MODEL_LOAD_FAILED
    return EventReason.MODEL_LOAD_FAILED if failed else None


def _in_place_failed(old: Condition | None, new: Condition) -> list[Event]:
    if new.reason != Reason.IN_PLACE_UPDATE_FAILED or (
        old is not None and old.message == new.message
    ):
        return []
    return [Event(EventReason.IN_PLACE_UPDATE_FAILED, new.message, _RECONCILE, warning=True)]


def _finished(
    before: AgentStatus, old: Condition | None, ready: Condition, story: Story
) -> list[Event]:
    """A rollout, or a change in place, that has come to its end."""
    if ready.status != "True" or old is None:
        return []
    events = []
    if old.status == "True" and old.reason not in _WITHOUT_ROLLOUT:
        note = f"generation {ready.observed_generation} is rolled out: {ready.message}"
        events.append(Event(EventReason.ROLLOUT_FINISHED, note, _RECONCILE))
    if note := _in_place(before, old, story):
        events.append(Event(EventReason.IN_PLACE_UPDATE, note, _RECONCILE))
    return events


def _in_place(before: AgentStatus, old: Condition, story: Story) -> str:
    """What was changed in place, in words; empty where nothing was."""
    pods = "1 pod" if story.pods == 1 else f"{story.pods} pods"
    if before.live_digest == story.live_digest:
        taken_back = old.reason in _IN_PLACE
        return f"the change in place is taken back in {pods}, no restart" if taken_back else ""
    replaced = before.repository_digest != story.repository_digest or (
        story.change is not None and story.change.effect is Effect.ROLLOUT
    )
    if replaced or not before.live_digest:
        return ""
    what = story.change.named(Effect.IN_PLACE) if story.change else ""
    return f"{what or 'the configuration'} changed: applied in place to {pods}, no restart"
