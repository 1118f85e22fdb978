"""Faults of text that some template engine should have filled in. Pure."""

from collections.abc import Iterator

from trireme.admission.words import below, shown_uri, unless_secret
from trireme.api.agent import AgentSpec
from trireme.errors import Fault

_MARKS = (("${", "}"), ("{{", "}}"))


def template_is_unfilled(spec: AgentSpec) -> Iterator[Fault]:
    """`${…}` and `{{…}}` parse everywhere and mean nothing to Triton.

    `$$TRITON_MODEL_DIRECTORY` is Triton's own and is passed by. So is the pod template, whose
    containers may run shell scripts.
    """
    fields = spec.model_dump(by_alias=True, exclude={"server": {"pod_template"}})
    for path, text in _texts("spec", fields):
        unfilled = _unfilled(text)
        if unfilled is not None:
            is_secret = unless_secret(path, text) is None
            is_uri = path.endswith((".uri", ".endpoint"))
            shown = shown_uri(text) if is_uri else text
            yield Fault(
                path,
                None if is_secret else shown,
                f"{'a template' if is_secret else unfilled} was not filled in",
                "Render the template before applying it",
            )


def _unfilled(text: str) -> str | None:
    """The first part that a template engine would fill in; None where there is none.

    No regular expression: of a text of marks that open and none that closes, one takes a time that
    grows with the square of its length.
    """
    found = []
    for opens, closes in _MARKS:
        begin = text.find(opens)
        end = text.find(closes, begin + len(opens)) if begin >= 0 else -1
        if end >= 0:
            found.append((begin, text[begin : end + len(closes)]))
    return min(found)[1] if found else None


def _texts(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Every text below a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(below(path, key), each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts(below(path, index), each)
