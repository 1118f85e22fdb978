"""What server-side apply and deletion do to objects that went, by a real API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client, config

from kube import Kube, objects
from trireme.api import kinds, names
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError

ECHO = Path(__file__).parents[2] / "examples" / "echo.yaml"
NOT_FOUND, CONFLICT, INVALID = 404, 409, 422


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


async def told(team: Kube, metadata: dict[str, Any], digest: str) -> None:
    """A status is written, of the agent with this metadata."""
    async with cluster_of(team) as cluster:
        await cluster.apply_status(
            kinds.AGENT_DEPLOYMENT, metadata, {"repositoryDigest": digest}, names.STATUS_MANAGER
        )


def made(team: Kube) -> dict[str, Any]:
    """The metadata of an agent that was just made."""
    team.apply(*objects(ECHO))
    metadata: dict[str, Any] = team.get("agd", "echo")["metadata"]
    return metadata


def digest_of(team: Kube) -> str:
    found: str = team.get("agd", "echo").get("status", {}).get("repositoryDigest", "")
    return found


async def test_a_status_is_written_of_the_agent_that_it_is_of(team: Kube) -> None:
    await told(team, made(team), "one")
    assert digest_of(team) == "one"


async def test_a_status_of_an_agent_that_is_gone_makes_none(team: Kube) -> None:
    before = made(team)
    team.run("delete", "agd", "echo")
    with pytest.raises(ClusterError) as gone:
        await told(team, before, "one")
    assert gone.value.status == NOT_FOUND
    assert team.find("agd", "echo") is None


async def test_a_status_of_an_agent_that_is_gone_is_not_its_successors(team: Kube) -> None:
    before = made(team)
    team.run("delete", "agd", "echo")
    made(team)
    with pytest.raises(ClusterError) as another:
        await told(team, before, "one")
    assert another.value.status == CONFLICT
    assert digest_of(team) == ""


async def test_a_status_is_written_of_an_agent_that_changed_since_it_was_read(team: Kube) -> None:
    before = made(team)
    team.run("label", "agd", "echo", "is=changed")
    await told(team, before, "one")
    assert digest_of(team) == "one"


async def test_a_command_that_was_consumed_is_not_taken_from_a_successor(team: Kube) -> None:
    before = made(team)
    team.run("delete", "agd", "echo")
    made(team)
    team.run("annotate", "agd", "echo", f"{names.COMMAND}=resume")
    patch = {"metadata": {"uid": before["uid"], "annotations": {names.COMMAND: None}}}
    async with cluster_of(team) as cluster:
        with pytest.raises(ClusterError) as another:
            await cluster.merge(kinds.AGENT_DEPLOYMENT, team.namespace, "echo", patch)
    assert another.value.status == INVALID
    assert team.get("agd", "echo")["metadata"]["annotations"][names.COMMAND] == "resume"


async def test_a_label_of_more_objects_than_a_page_holds_is_told_of_all(
    team: Kube,
) -> None:
    metadata = {"namespace": team.namespace, "labels": {"of": "many"}}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    async with cluster_of(team) as cluster:
        made = [
            await cluster.create({**manifest, "metadata": {**metadata, "name": f"it-{number}"}})
            for number in range(501)
        ]
        await applied(team, "without the label")
        found = await cluster.label_values(kinds.CONFIG_MAP, team.namespace, "of")
        everywhere = await cluster.label_values(kinds.CONFIG_MAP, None, "of")
        none = await cluster.label_values(kinds.CONFIG_MAP, team.namespace, "of-none")
    assert none == {}
    assert found == everywhere == {each["metadata"]["uid"]: "many" for each in made}
