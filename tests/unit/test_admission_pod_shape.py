"""What is handed on to Kubernetes: fields and types that it would refuse are refused before."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents import agent_of, pods_of, repository_of
from specs import valid_body
from trireme.admission import pod_fields
from trireme.admission.check import check
from trireme.admission.parse import parse_agent
from trireme.resources.options import ResourceOptions
from trireme.resources.server import deployment

ROOT = Path(__file__).parents[2]
PATH = "spec.server.podTemplate"
TRITON = f"{PATH}.spec.containers[0]"


def refused(edits: dict[str, Any]) -> dict[str, str]:
    """Each refused path with its remedy."""
    faults = check(parse_agent(valid_body(edits)).spec)
    assert len({fault.path for fault in faults}) == len(faults)  # nothing is said twice
    return {fault.path: fault.remedy for fault in faults}


def pod(**fields: Any) -> dict[str, Any]:
    return {PATH: {"spec": fields}}


def container(**fields: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "triton", **fields}])


@pytest.mark.parametrize(
    ("edits", "path", "remedy"),
    [
        pytest.param(
            pod(toleratons=[]), f"{PATH}.spec.toleratons", "Did you mean tolerations?", id="a slip"
        ),
        pytest.param(
            container(volumeMount=[]),
            f"{TRITON}.volumeMount",
            "Did you mean volumeMounts?",
            id="a slip in a container",
        ),
        pytest.param(
            {PATH: {"containers": []}},
            f"{PATH}.containers",
            "Write it below spec",
            id="a field of the pod at the top",
        ),
        pytest.param(
            pod(volumes=[{"name": "a", "emptydir": {}}]),
            f"{PATH}.spec.volumes[0].emptydir",
            "Did you mean emptyDir?",
            id="another case",
        ),
        pytest.param(
            {"spec.server.placement.tolerations": [{"key": "gpu", "opertor": "Exists"}]},
            "spec.server.placement.tolerations[0].opertor",
            "Did you mean operator?",
            id="a slip in a toleration",
        ),
        pytest.param(
            {"spec.server.env": [{"name": "A", "valueFrom": {"secretRef": {}}}]},
            "spec.server.env[0].valueFrom.secretRef",
            "Did you mean secretKeyRef?",
            id="a slip in a variable's source",
        ),
    ],
)
def test_a_field_that_kubernetes_does_not_have_is_refused_with_the_nearest(
    edits: dict[str, Any], path: str, remedy: str
) -> None:
    assert refused(edits) == {path: remedy}


@pytest.mark.parametrize(
    ("edits", "path"),
    [
        pytest.param({PATH: {"spec": "x"}}, f"{PATH}.spec", id="text for a mapping"),
        pytest.param(pod(containers={}), f"{PATH}.spec.containers", id="a mapping for a list"),
        pytest.param(pod(volumes=[3]), f"{PATH}.spec.volumes[0]", id="a number for an item"),
        pytest.param(pod(volumes=[None]), f"{PATH}.spec.volumes[0]", id="nothing for an item"),
        pytest.param(
            pod(containers=[{"name": ["a"]}]),
            f"{PATH}.spec.containers[0].name",
            id="a list as name",
        ),
        pytest.param(
            pod(volumes=[{"name": None, "emptyDir": {}}]), f"{PATH}.spec.volumes[0]", id="no name"
        ),
        pytest.param(container(stdin="no"), f"{TRITON}.stdin", id="text for a boolean"),
        pytest.param(
            pod(runtimeClassName=True), f"{PATH}.spec.runtimeClassName", id="a boolean for text"
        ),
        pytest.param(
            container(env=[{"name": "A", "value": 1}]),
            f"{TRITON}.env[0].value",
            id="a number for text",
        ),
        pytest.param(
            pod(activeDeadlineSeconds="5"),
            f"{PATH}.spec.activeDeadlineSeconds",
            id="text for a number",
        ),
        pytest.param(
            {PATH: {"metadata": {"labels": {"a": 1}}}},
            f"{PATH}.metadata.labels.a",
            id="a label that YAML read as a number",
        ),
        pytest.param(
            pod(overhead={"cpu": {}}), f"{PATH}.spec.overhead.cpu", id="a mapping for a quantity"
        ),
        pytest.param(
            {"spec.server.placement.tolerations": [{"tolerationSeconds": "5"}]},
            "spec.server.placement.tolerations[0].tolerationSeconds",
            id="text for a number in a toleration",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_once(edits: dict[str, Any], path: str) -> None:
    assert list(refused(edits)) == [path]


def test_null_deletes_what_is_not_computed_whatever_its_type() -> None:
    assert refused(pod(affinity=None, volumes=None)) == {f"{PATH}.spec.volumes": "Remove it"}
    assert refused({PATH: {"metadata": None}}) == {f"{PATH}.metadata": "Remove it"}


def test_every_field_that_trireme_computes_is_in_the_table() -> None:
    template = deployment(
        pods_of(agent_of()), repository_of(), ResourceOptions("envoy"), initial_replicas=1
    )["spec"]["template"]
    assert set(template["spec"]) <= set(pod_fields.FIELDS["PodSpec"])
    assert set(template["spec"]["containers"][0]) <= set(pod_fields.FIELDS["Container"])


def test_the_table_is_what_the_generator_makes() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "tools" / "pod_fields.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    committed = Path(pod_fields.__file__).read_text(encoding="utf-8")
    assert committed == made.stdout, "run make generate"
