"""Strategic merge of a fragment into a pod template. Pure.

The rules are the Kubernetes API's: maps are merged key by key, null deletes a key, lists are
replaced, but for those whose items have an identity. Source: the patchStrategy and patchMergeKey
tags of PodSpec and Container in k8s.io/api/core/v1.
"""

from collections.abc import Mapping
from typing import Any

from trireme.resources.metadata import Manifest

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "schedulingGates": "name",
    "evictionResponders": "name",
    "resourceClaims": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""Lists whose items have an identity, and the field that holds it."""

RETAIN_KEYS = frozenset({"volumes", "resourceClaims"})
"""Lists whose items are unions (patchStrategy retainKeys): an item of the fragment takes the place
of the one it names, since a volume that is an emptyDir and a claim at once is none."""

_DIRECTIVE = "$patch"  # delete or replace, as in kubectl patch


def strategic_merge(base: Manifest, fragment: Mapping[str, Any]) -> Manifest:
    """`base` with `fragment` merged into it; neither is changed.

    An item new to a list comes after those that were there. Items keep the base's order.
    """
    if fragment.get(_DIRECTIVE) == "replace":
        return {key: value for key, value in fragment.items() if key != _DIRECTIVE}
    merged = dict(base)
    for key, value in fragment.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged_value(key, merged.get(key), value)
    return merged


def _merged_value(key: str, base: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return strategic_merge(base if isinstance(base, dict) else {}, value)
    if key in MERGE_KEYS and isinstance(value, list):
        return _merged_list(key, base if isinstance(base, list) else [], value)
    return value


def _merged_list(key: str, base: list[Manifest], items: list[Manifest]) -> list[Manifest]:
    merge_key = MERGE_KEYS[key]
    merged = {item[merge_key]: item for item in base}
    for item in items:
        identity = item[merge_key]
        if item.get(_DIRECTIVE) == "delete":
            merged.pop(identity, None)
        elif key in RETAIN_KEYS:
            merged[identity] = item
        else:
            merged[identity] = strategic_merge(merged.get(identity, {}), item)
    return list(merged.values())
