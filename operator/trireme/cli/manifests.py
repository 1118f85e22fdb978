"""Kubernetes manifests as YAML text, in and out. Pure."""

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import yaml


class ManifestError(ValueError):
    """A text that is not YAML, or not a sequence of objects; says where."""


class _Loader(yaml.SafeLoader):
    """Reads YAML as kubectl does: `y` is true, dates stay text, a key is text whatever it looks
    like. Stricter in one thing: a key may stand only once.
    """

    bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            text = str(key.value)
            if text in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {text} stands twice", key.start_mark
                )
            seen.add(text)
        return {_key(key): value for key, value in super().construct_mapping(node, deep).items()}


def _key(key: Hashable) -> str:
    """A key as JSON has it: 1 is "1", and true, which `y` is, is "true"."""
    return str(key).lower() if isinstance(key, bool) else str(key)


_UNICODE_BREAKS = "\x85\u2028\u2029"


class _Dumper(yaml.SafeDumper):
    """Writes each value out where it stands, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if any(mark in text for mark in _UNICODE_BREAKS):
        style = '"'  # in every other style PyYAML reads them back as a space or a line feed
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
# kubectl takes these for booleans and PyYAML does not: read as such, quoted where text is meant.
for _dialect in (_Loader, _Dumper):
    _dialect.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def from_yaml(text: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a text of one or more YAML documents; empty documents are left out.

    Raises ManifestError, which names line and column, where the text is not YAML, has a key twice,
    or holds something that is not an object.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ManifestError(f"{where}{error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: PyYAML's own, of 0b_ and the like
        raise ManifestError(str(error)) from error
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ManifestError(f"an object is expected, and {document!r:.60} was found")
        yield document


def to_yaml(*objects: Mapping[str, Any]) -> str:
    """One YAML document for each object, keys in the order they are in."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
