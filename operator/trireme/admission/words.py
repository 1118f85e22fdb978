"""How faults are worded: paths as kubectl writes them, nearest names, lists of names. Pure."""

import difflib
import re
from collections.abc import Iterable
from itertools import islice

_MOST_COMPARED = 1_000  # names that one is likened to: each takes some microseconds
_MOST_LISTED = 64  # more than the fields of any type; names of a spec's own may be thousands
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SECRET_PLACE = re.compile(
    r"\.(env|httpHeaders)(\[\d+\](\.(?!name$).*)?)?$|\.(volumeAttributes|options)\b"
)


def below(path: str, *parts: str | int) -> str:
    """The path of a field below another: `spec.models[0].parameters[a.b]`.

    Indices, and keys that are no plain names, are in brackets. An empty `path` is the whole object.
    """
    for part in parts:
        is_plain = isinstance(part, str) and _PLAIN_KEY.fullmatch(part)
        path += f".{part}" if is_plain else f"[{part}]"
    return path.removeprefix(".")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant, whatever its case; None where none is near."""
    by_folded = {each.casefold(): each for each in islice(known, _MOST_COMPARED)}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, or `nothing`."""
    return ", ".join(names) or "nothing"


def some(names: Iterable[str], most: int = 8) -> str:
    """The first few names, and how many more there are: `a, b and 3 more`; for long lists."""
    names = list(names)
    more = len(names) - most
    return listed(names) if more <= 0 else f"{listed(names[:most])} and {more} more"


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A remedy: the nearest of the known names, else `otherwise` and them."""
    known = list(known)
    found = nearest(name, known)
    return f"Did you mean {found}?" if found else f"{otherwise} {some(known, _MOST_LISTED)}"


def unless_secret(path: str, value: object) -> object:
    """A value out of a part of a pod, for a fault; None where it may be or hold a secret.

    Variables have secrets for values, and so may headers and the options of drivers; a mapping or a
    list may hold such.
    """
    is_simple = isinstance(value, str | int | float)
    return None if not is_simple or _SECRET_PLACE.search(path) else value


def shown_uri(uri: str) -> str:
    """A URI for a fault: without user, password and query, where secrets are."""
    scheme, slashes, rest = re.split(r"[?#]", uri, maxsplit=1)[0].partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{place.rpartition('@')[2]}{slash}{path}"
