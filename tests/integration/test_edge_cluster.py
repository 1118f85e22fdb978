"""What server-side apply does to objects that went, by a real API server."""

from typing import Any

import pytest
from kubernetes.aio import client, config

from kube import Kube
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError

CONFLICT, INVALID = 409, 422


async def applied(team: Kube, text: str, uid: str | None = None) -> dict[str, Any]:
    configuration = client.Configuration()
    await config.load_kube_config(str(team.kubeconfig), client_configuration=configuration)
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": team.namespace, "name": "it"},
        "data": {"text": text},
    }
    async with client.ApiClient(configuration) as api:
        return await Cluster(api).apply(manifest, "trireme", uid)


async def test_an_apply_for_one_object_changes_that_one(team: Kube) -> None:
    uid = (await applied(team, "one"))["metadata"]["uid"]
    assert (await applied(team, "two", uid))["data"] == {"text": "two"}


async def test_an_apply_for_an_object_that_is_gone_makes_none(team: Kube) -> None:
    uid = (await applied(team, "one"))["metadata"]["uid"]
    team.run("delete", "configmap", "it")
    with pytest.raises(ClusterError) as gone:
        await applied(team, "two", uid)
    assert gone.value.status == CONFLICT
    assert team.find("configmap", "it") is None


async def test_an_apply_for_an_object_that_is_gone_leaves_its_successor(team: Kube) -> None:
    uid = (await applied(team, "one"))["metadata"]["uid"]
    team.run("delete", "configmap", "it")
    await applied(team, "another")
    with pytest.raises(ClusterError) as gone:
        await applied(team, "two", uid)
    assert gone.value.status == INVALID
    assert team.get("configmap", "it")["data"] == {"text": "another"}
