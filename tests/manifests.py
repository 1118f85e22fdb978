"""Reading multi-document YAML files as a cluster would hold them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class Manifests:
    """The AgentDeployments of a file, and its ConfigMaps' files by ConfigMap name."""

    agents: list[dict[str, Any]]
    sources: Mapping[str, Mapping[str, bytes]]


def read_manifests(file: Path) -> Manifests:
    documents = [each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each]
    sources = {
        each["metadata"]["name"]: {key: text.encode() for key, text in each["data"].items()}
        for each in documents
        if each["kind"] == "ConfigMap"
    }
    agents = [each for each in documents if each["kind"] == "AgentDeployment"]
    return Manifests(agents, sources)
