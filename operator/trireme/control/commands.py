"""What a person tells a running agent by an annotation: who follows it, and what is said of a word
that nobody can follow. Pure.

The autoscaler takes its own word off the resource, the canary loop every other one.
"""

from trireme.api import names
from trireme.api.conditions import EventReason
from trireme.api.scaling import ScalingMode
from trireme.control.store import AgentView
from trireme.edge.recorder import Event

_KNOWN = (names.PROMOTE, names.ABORT, names.RESUME)
_LONGEST_SHOWN = 80  # characters of a word: an Event has room for 1024


def word_for_rollout(view: AgentView) -> str | None:
    """What stands there for the canary loop to take; None where nothing does. Until the reconciler
    has looked into the spec as it is, it is not known which canary is meant, nor which mode.
    """
    metadata = (view.body or {}).get("metadata", {})
    if view.judged != metadata.get("generation") or resumes(view):
        return None
    return _word(view)


def resumes(view: AgentView) -> bool:
    """Whether the autoscaler is told to take the size back, where the size is its own to set."""
    if view.accepted is None or _word(view) != names.RESUME:
        return False
    return view.accepted.agent.spec.scaling.mode is ScalingMode.AUTOMATIC


def refusal(view: AgentView, word: str) -> Event:
    """The answer to a word that nobody can follow."""
    if word not in _KNOWN:
        shown = repr(word[:_LONGEST_SHOWN])
        words = f"{shown} is no command: known are {', '.join(_KNOWN)}"
    elif view.accepted is None:
        words = f"told to: {word}: no spec was accepted yet, so there is no size to take back"
    else:
        mode = view.accepted.agent.spec.scaling.mode
        words = (
            f"told to: {word}: in mode {mode} Trireme sets no size, so there is none to take back"
        )
    return Event(EventReason.COMMAND_REFUSED, words, "Command", warning=True)


def _word(view: AgentView) -> str | None:
    annotations = (view.body or {}).get("metadata", {}).get("annotations") or {}
    word: str | None = annotations.get(names.COMMAND)
    return word
