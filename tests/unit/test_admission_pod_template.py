"""What a podTemplate may add, and what it may not override."""

from typing import Any

import pytest

from specs import valid_body
from trireme.admission.check import check
from trireme.admission.parse import parse_agent

PATH = "spec.server.podTemplate"
TRITON = f"{PATH}.spec.containers[0]"
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def refused(template: dict[str, Any]) -> dict[str, str]:
    """Each refused path with its remedy."""
    body = valid_body({"spec.server.podTemplate": template})
    return {fault.path: fault.remedy for fault in check(parse_agent(body).spec)}


def container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "triton", **fields}]}}


def test_a_template_may_add_what_trireme_leaves_open() -> None:
    template = {
        "metadata": {
            "labels": {"team": "search", "env": "prod", "ports": "many"},  # fields' names elsewhere
            "annotations": {"example.com/cost": "a"},
        },
        "spec": {
            "affinity": {"nodeAffinity": {}},
            "runtimeClassName": "nvidia",
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "securityContext": {"supplementalGroups": [3000]},
            "volumes": [{"name": "cache", "emptyDir": {}}],
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
            "initContainers": [
                {
                    "name": "warm",
                    "image": "example.com/warm:1",
                    "restartPolicy": "Always",
                    "securityContext": RESTRICTED,
                }
            ],
            "containers": [
                {
                    "name": "triton",
                    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
                    "resources": {"claims": [{"name": "gpu"}]},
                    "env": [{"name": "EXTRA", "value": "${HOME}"}],
                },
                {
                    "name": "log-shipper",
                    "image": "example.com/logs:1",
                    "args": ["{{ .line }}"],
                    "securityContext": RESTRICTED,
                },
            ],
        },
    }
    assert refused(template) == {}


@pytest.mark.parametrize(
    ("template", "path", "remedy"),
    [
        pytest.param(
            container(image="example.com/other:1"),
            f"{TRITON}.image",
            "Set spec.server.image instead",
            id="the image",
        ),
        pytest.param(
            container(args=["--log-verbose=1"]),
            f"{TRITON}.args",
            "Set spec.server.args instead",
            id="the arguments",
        ),
        pytest.param(
            container(readinessProbe={"httpGet": {"path": "/v2"}}),
            f"{TRITON}.readinessProbe.httpGet.path",
            "Remove it",
            id="a probe",
        ),
        pytest.param(
            container(livenessProbe=None),
            f"{TRITON}.livenessProbe",
            "Remove it",
            id="a probe deleted by null",
        ),
        pytest.param(
            container(resources={"limits": {"memory": "1Gi"}}),
            f"{TRITON}.resources.limits.memory",
            "Set spec.server.resources instead",
            id="the memory limit",
        ),
        pytest.param(
            container(volumeMounts=[{"name": "shm", "mountPath": "/dev/shm"}]),  # noqa: S108
            f"{TRITON}.volumeMounts[0].name",
            "Remove it",
            id="the mount of shared memory",
        ),
        pytest.param(
            {"spec": {"volumes": [{"name": "shared-memory", "emptyDir": {}}]}},
            f"{PATH}.spec.volumes[0]",
            "Rename it",
            id="a volume of the same name",
        ),
        pytest.param(
            {"spec": {"terminationGracePeriodSeconds": 5}},
            f"{PATH}.spec.terminationGracePeriodSeconds",
            "Set spec.server.drainTime and spec.server.exitTimeout instead",
            id="the grace period",
        ),
        pytest.param(
            {"spec": {"securityContext": {"runAsUser": 0}}},
            f"{PATH}.spec.securityContext.runAsUser",
            "Remove it",
            id="the user",
        ),
        pytest.param(
            container(**{"$patch": "delete"}),
            f"{TRITON}[$patch]",
            "Remove it",
            id="the whole container, by a directive",
        ),
        pytest.param(
            container(command=["sh"]),
            f"{TRITON}.command",
            "Remove it, and put flags into spec.server.args",
            id="the program",
        ),
        pytest.param(
            {"metadata": {"labels": {"trireme.dev/agent": "other"}}},
            f"{PATH}.metadata.labels[trireme.dev/agent]",
            "Use a prefix of your own",
            id="a label of a selector",
        ),
    ],
)
def test_what_trireme_computes_is_not_overridden(
    template: dict[str, Any], path: str, remedy: str
) -> None:
    assert refused(template) == {path: remedy}


@pytest.mark.parametrize(
    ("template", "path"),
    [
        pytest.param({"containers": []}, f"{PATH}.containers", id="fields of the pod at the top"),
        pytest.param({"spec": "x"}, f"{PATH}.spec", id="text where the pod should be"),
        pytest.param(
            {"spec": {"containers": {}}}, f"{PATH}.spec.containers", id="a mapping for a list"
        ),
        pytest.param(
            {"spec": {"containers": [{"image": "a"}]}},
            f"{PATH}.spec.containers[0]",
            id="a container without a name",
        ),
        pytest.param({"spec": {"volumes": [3]}}, f"{PATH}.spec.volumes[0]", id="a number"),
    ],
)
def test_a_template_of_the_wrong_shape_is_refused_before_it_is_merged(
    template: dict[str, Any], path: str
) -> None:
    assert list(refused(template)) == [path]
