"""What server-side apply and deletion do to objects that went, by a real API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes.aio import client, config

from kube import Kube
from trireme.api import kinds
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError

CONFLICT, INVALID = 409, 422


@asynccontextmanager
async def cluster_of(team: Kube) -> AsyncIterator[Cluster]:
    configuration = client.Configuration()
    await config.load_kube_config(str(team.kubeconfig), client_configuration=configuration)
    async with client.ApiClient(configuration) as api:
        yield Cluster(api)


async def applied(team: Kube, text: str, uid: str | None = None) -> dict[str, Any]:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": team.namespace, "name": "it"},
        "data": {"text": text},
    }
    async with cluster_of(team) as cluster:
        return await cluster.apply(manifest, "trireme", uid)


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


async def test_a_deletion_of_one_object_leaves_its_successor(team: Kube) -> None:
    uid = (await applied(team, "one"))["metadata"]["uid"]
    async with cluster_of(team) as cluster:
        of_it = (kinds.CONFIG_MAP, team.namespace, "it")
        await cluster.delete(*of_it, uid)
        assert team.find("configmap", "it") is None
        await applied(team, "another")
        await cluster.delete(*of_it, uid)
        assert team.get("configmap", "it")["data"] == {"text": "another"}
        await cluster.delete(*of_it)
        assert team.find("configmap", "it") is None
        await cluster.delete(*of_it)
