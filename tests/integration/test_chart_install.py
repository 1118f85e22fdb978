"""The chart installed on a real API server: the operator's key, and what its rights let it do."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

import helm
from agents import agent_of
from kube import Kube, KubectlError
from trireme.api import names
from trireme.resources.control import OperatorKey, control_secret

NAMESPACE = "trireme-system"
ACCOUNT = f"--as=system:serviceaccount:{NAMESPACE}:trireme"


@pytest.fixture
def installed(api_server: Kube) -> Iterator[Kube]:
    """The namespace of an installed chart; nothing is run, since there are no nodes."""
    install(api_server)
    yield replace(api_server, namespace=NAMESPACE)
    helm.uninstall("trireme", NAMESPACE, api_server.kubeconfig)


def install(kube: Kube) -> None:
    values = {"crds": {"install": False}}  # it is there
    helm.install(helm.CHART, "trireme", NAMESPACE, values, kube.kubeconfig, wait="hookOnly")


def operator_key(kube: Kube) -> str:
    key: str = kube.get("secret", "trireme-control-key")["data"]["key"]
    return key


def test_the_operators_key_stays_through_upgrades_and_a_new_installation(installed: Kube) -> None:
    key = operator_key(installed)
    install(installed)
    assert operator_key(installed) == key
    helm.uninstall("trireme", NAMESPACE, installed.kubeconfig)
    assert operator_key(installed) == key
    install(installed)
    assert operator_key(installed) == key


def test_with_its_rights_the_operator_makes_an_agents_secret_and_cannot_read_it(
    installed: Kube,
) -> None:
    secret = control_secret(agent_of(), OperatorKey(bytes(32)))
    name = secret["metadata"]["name"]
    secret["metadata"]["namespace"] = installed.namespace
    text = json.dumps(secret)

    installed.run("create", ACCOUNT, "-f", "-", stdin=text)
    with pytest.raises(KubectlError, match="AlreadyExists"):
        installed.run("create", ACCOUNT, "-f", "-", stdin=text)
    for forbidden in (
        ("get", "secret", name),
        ("get", "secrets"),
        ("delete", "secret", name),
        ("patch", "secret", name, "-p", "{}"),
        ("apply", "--server-side", f"--field-manager={names.TEMPLATE_MANAGER}", "-f", "-"),
    ):
        with pytest.raises(KubectlError, match="Forbidden"):
            installed.run(*forbidden, ACCOUNT, stdin=text)
