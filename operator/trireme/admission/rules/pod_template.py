"""Faults of spec.server.podTemplate: what it overrides or takes for itself. Pure.

What may not be overridden is no list of its own: it is whatever `resources` computes for this
spec. The fragment may add to the template; it may not change or delete what is there.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from trireme.admission.rules.pod_shape import TEMPLATE, field_type, item_type
from trireme.admission.words import below, unless_secret
from trireme.api import names
from trireme.api.agent import AgentDeployment, AgentSpec, Metadata
from trireme.api.models import Model
from trireme.api.pipelines import Pipeline
from trireme.errors import Fault
from trireme.modelrepo.plan import model_config, pipeline_config
from trireme.modelrepo.proto import ModelConfig, json_format
from trireme.modelrepo.repository import ModelDirectory, Mounted, Repository
from trireme.modelrepo.sources import mounted, served_versions
from trireme.resources.options import Discovery, ResourceOptions
from trireme.resources.pod_sets import pod_sets
from trireme.resources.server import pod_template
from trireme.resources.strategic_merge import MERGE_KEYS, RETAIN_KEYS

PATH = "spec.server.podTemplate"
Owner = TypeVar("Owner", Model, Pipeline)

_TYPED = {
    "args": "spec.server.args",
    "env": "spec.server.env",
    "image": "spec.server.image",
    "imagePullPolicy": "spec.server.imagePullPolicy",
    "imagePullSecrets": "spec.server.imagePullSecrets",
    "lifecycle": "spec.server.drainTime",
    "nodeSelector": "spec.server.placement.nodeSelector",
    "priorityClassName": "spec.server.placement.priorityClassName",
    "resources": "spec.server.resources",
    "serviceAccountName": "spec.server.serviceAccountName",
    "startupProbe": "spec.server.startupTimeout",
    "terminationGracePeriodSeconds": "spec.server.drainTime and spec.server.exitTimeout",
    "tolerations": "spec.server.placement.tolerations",
    "topologySpreadConstraints": "spec.server.placement.spread",
}
"""Fields of a pod or container that the API has fields of its own for."""


def template_overrides_what_is_computed(spec: AgentSpec) -> Iterator[Fault]:
    """Such as the image, the probes or the grace period: the parts fit one another."""
    if spec.server.pod_template:
        yield from _mapping_overrides(PATH, TEMPLATE, _computed(spec), spec.server.pod_template)


def _computed(spec: AgentSpec) -> dict[str, Any]:
    """The template Trireme makes of a spec without its fragment; names and digests do not matter
    here, and neither do the models' files, nor a `config` that is none, which has its own fault.
    """
    server = spec.server.model_copy(update={"pod_template": {}})
    spec = spec.model_copy(
        update={
            "server": server,
            "models": [_plannable(model, model_config) for model in spec.models],
            "pipelines": [_plannable(each, pipeline_config) for each in spec.pipelines],
        }
    )
    directories = (
        *(ModelDirectory(m.name, model_config(m), {}, _mounts(m)) for m in spec.models),
        *(ModelDirectory(p.name, pipeline_config(p), {}, {}) for p in spec.pipelines),
    )
    agent = AgentDeployment.model_construct(metadata=Metadata(name="agent"), spec=spec)
    return pod_template(
        pod_sets(agent)[0],
        Repository(directories, digest="0" * 64, live_digest="0" * 64),
        ResourceOptions(
            gateway_image="", discovery=Discovery.NONE, node_cache_url="http://node-cache"
        ),
    )


def _mounts(model: Model) -> dict[int, Mounted]:
    places = {each.version: mounted(each.source) for each in served_versions(model)}
    return {version: place for version, place in places.items() if place is not None}


def _plannable(owner: Owner, config: Callable[[Owner], ModelConfig]) -> Owner:
    """A model or pipeline that has a configuration, if need be without its `config`."""
    try:
        config(owner)
    except json_format.ParseError:
        return owner.model_copy(update={"config": {}})
    return owner


def _mapping_overrides(
    path: str,
    kind: str,
    computed: Mapping[str, Any],
    fragment: Mapping[str, Any],
    fields: tuple[str, ...] = (),
) -> Iterator[Fault]:
    """`kind` is what Kubernetes calls this mapping, `fields` are the names on the way here."""
    for key, value in fragment.items():
        here, within, inner = below(path, key), (*fields, key), field_type(kind, key) or ""
        item = item_type(inner)
        if key.startswith(f"{names.GROUP}/"):
            continue  # template_takes_reserved_labels says so
        if key == "$patch":
            yield Fault(here, value, "directives could delete what Trireme computes", "Remove it")
        elif item and key in MERGE_KEYS and isinstance(value, list):
            yield from _list_overrides(here, item, computed.get(key, []), value, within)
        elif isinstance(value, Mapping) and isinstance(computed.get(key, {}), Mapping):
            yield from _mapping_overrides(here, inner, computed.get(key, {}), value, within)
        elif key in computed and value != computed[key] and _replaces(computed[key], value):
            yield _overridden(here, value, within)


def _list_overrides(
    path: str,
    kind: str,
    computed: list[dict[str, Any]],
    items: list[Any],
    fields: tuple[str, ...],
) -> Iterator[Fault]:
    """Items are matched by the field that identifies them, as the merge will do."""
    identity = MERGE_KEYS[fields[-1]]
    by_identity = {item[identity]: item for item in computed}
    for index, item in enumerate(items):
        here = below(path, index)
        if not isinstance(item, Mapping) or isinstance(item.get(identity), Mapping | list):
            continue  # pod_shape says so
        if item.get(identity) is None:
            yield Fault(here, None, f"the item has no {identity}", f"Give it its {identity}")
        elif fields[-1] in RETAIN_KEYS and item != by_identity.get(item[identity], item):
            name = item[identity]
            yield Fault(here, name, f"{name} is computed by Trireme", "Rename it")
        else:
            computed_item = by_identity.get(item[identity], {})
            yield from _mapping_overrides(here, kind, computed_item, item, fields)


def _replaces(computed: object, value: object) -> bool:
    """Whether a value may stand in another's place, or deletes it; else pod_shape refuses it."""
    return value is None or all(
        isinstance(computed, shape) == isinstance(value, shape) for shape in (Mapping, list)
    )


def _overridden(path: str, value: object, fields: tuple[str, ...]) -> Fault:
    typed = next((_TYPED[field] for field in reversed(fields) if field in _TYPED), None)
    remedy = f"Set {typed} instead" if typed else "Remove it"
    message = f"{fields[-1]} is computed by Trireme"
    return Fault(path, unless_secret(path, value), message, remedy)


def template_replaces_the_program(spec: AgentSpec) -> Iterator[Fault]:
    """The server starts by its image's own entry point."""
    for path, container in containers(spec):
        if container.get("name") == names.SERVER_CONTAINER and "command" in container:
            yield Fault(
                below(path, "command"),
                None,
                "the server starts by its image's entry point",
                "Remove it, and put flags into spec.server.args",
            )


def template_takes_reserved_labels(spec: AgentSpec) -> Iterator[Fault]:
    """Selectors and the operator itself read them."""
    metadata = mapping(spec.server.pod_template.get("metadata"))
    for field in ("labels", "annotations"):
        for key in mapping(metadata.get(field)):
            if key.startswith(f"{names.GROUP}/"):
                yield Fault(
                    below(PATH, "metadata", field, key),
                    key,
                    f"{field} of {names.GROUP} are Trireme's own",
                    "Use a prefix of your own",
                )


def containers(spec: AgentSpec) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each container of the fragment with its path."""
    pod = mapping(spec.server.pod_template.get("spec"))
    for field in ("initContainers", "containers"):
        for index, container in numbered(pod.get(field)):
            yield below(PATH, "spec", field, index), container


def mapping(value: object) -> Mapping[str, Any]:
    """A mapping, or an empty one for what is none, which is pod_shape's to refuse."""
    return value if isinstance(value, Mapping) else {}


def numbered(value: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """A list's mappings with their indices; what else is in it is pod_shape's to refuse."""
    for index, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, Mapping):
            yield index, item
