"""The demo's manifests, fitted to a cluster. Pure, but for reading the files."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from trireme.api import names

Manifest = dict[str, Any]

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "demo" / "prometheus.yaml"
LOAD = ROOT / "demo" / "load.yaml"
AGENT = ROOT / "examples" / "demo-agent.yaml"

OURS = {names.MANAGED_BY: "trireme-demo"}
"""The label of the namespaces that the demo makes, and may delete."""

_LOCAL_PREFIX = "trireme/"


def read(path: Path) -> tuple[Manifest, ...]:
    """The objects of a YAML file, in its order."""
    return tuple(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def image(name: str, registry: str) -> str:
    """The image in a registry: `trireme/envoy:1.40` in `r.example.com/team` is
    `r.example.com/team/envoy:1.40`. Empty, or another's image, leaves it as it is.
    """
    if not registry or not name.startswith(_LOCAL_PREFIX):
        return name
    return f"{registry.rstrip('/')}/{name.removeprefix(_LOCAL_PREFIX)}"


def with_registry(manifest: Manifest, registry: str) -> Manifest:
    """The manifest with each `image` from that registry."""

    def fit(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: image(item, registry)
                if key == "image" and isinstance(item, str)
                else fit(item)
                for key, item in value.items()
            }
        return [fit(item) for item in value] if isinstance(value, list) else value

    fitted: Manifest = fit(manifest)
    return fitted


def with_profile(job: Manifest, profile: str) -> Manifest:
    """The load Job with another rate profile."""

    def fit(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: fit(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fit(item) for item in value]
        if isinstance(value, str) and value.startswith("--profile="):
            return f"--profile={profile}"
        return value

    fitted: Manifest = fit(job)
    return fitted


def profile_of(job: Manifest) -> str:
    """The rate profile that the load Job follows."""
    (text,) = (text for text in _arguments(job) if text.startswith("--profile="))
    return text.removeprefix("--profile=")


def _arguments(job: Manifest) -> Iterator[str]:
    for container in job["spec"]["template"]["spec"]["containers"]:
        yield from container["args"]


def namespace(name: str) -> Manifest:
    """The agent's namespace, in which only restricted pods are admitted."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {**OURS, "pod-security.kubernetes.io/enforce": "restricted"},
        },
    }


def is_ours(found: Manifest) -> bool:
    """Whether the demo made this object."""
    labels = found["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in OURS.items())


def one(objects: Iterable[Manifest], kind: str) -> Manifest:
    """The only object of a kind."""
    (found,) = (manifest for manifest in objects if manifest["kind"] == kind)
    return found
