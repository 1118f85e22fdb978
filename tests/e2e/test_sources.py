"""(m) Models that are fetched: from S3 by a Secret's keys, from HTTPS by a Secret's authority.

One agent for all cases, a pipeline over two models, which each test finds ready with one pod. The
encoder doubles and the head adds nothing, so that of every version twice the input is right.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from e2e.agents import server_pods, slow_agent
from e2e.load import Load
from e2e.store import ModelStore, packed
from e2e.volumes import bound_claim
from installation import fresh_namespace
from kube import Kube, Object, merged
from trireme.api import names
from trireme.api.fetch import FetchReason, FetchResult, FetchSource, ModelResult

NAME = "agent"
CLAIM: Object = {"claimName": "cache"}
NODE: Object = {"node": True}
ENCODER = b"""
import json, pathlib
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        folder = pathlib.Path(args["model_repository"], args["model_version"])
        self.factor = json.loads((folder / "factor.json").read_text())

    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(
                "h", self.factor * pb_utils.get_input_tensor_by_name(r, "x").as_numpy())])
            for r in requests
        ]
"""
HEAD = b"""
import pathlib
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        folder = pathlib.Path(args["model_repository"], args["model_version"])
        self.bias = np.fromfile(folder / "bias.bin", np.float32)[:16]

    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(
                "y", self.bias + pb_utils.get_input_tensor_by_name(r, "h").as_numpy())])
            for r in requests
        ]
"""


@dataclass(frozen=True)
class HeadVersion:
    """An archive that holds a version of the head, and what it holds."""

    path: str
    archive: bytes
    files: Mapping[str, bytes]

    @property
    def sha256(self) -> str:
        """The digest that the spec pins it by."""
        return hashlib.sha256(self.archive).hexdigest()


def head_version(path: str, bias_bytes: int) -> HeadVersion:
    files = {"model.py": HEAD, "bias.bin": bytes(bias_bytes)}
    return HeadVersion(path, packed(files, "w:gz" if path.endswith("gz") else "w"), files)


FIRST = head_version("head/1.tar.gz", 64)
SECOND = head_version("head/2.tar", 4_000_000)  # more than what the store holds back
THIRD = head_version("head/3.tar.gz", 128)
ENCODER_FILES = {"model.py": ENCODER, "factor.json": b"2"}
STORED = {head.path: head.archive for head in (FIRST, SECOND, THIRD)} | {
    f"encoder/1/{path}": content for path, content in ENCODER_FILES.items()
}


@dataclass(frozen=True)
class Served:
    """The agent under test."""

    kube: Kube
    store: ModelStore

    def manifest(
        self, head: HeadVersion, sha256: str = "", pods: int = 1, cache: Object = CLAIM
    ) -> Object:
        """The agent with a version of its head, by its own digest unless another is given."""
        agent, _ = slow_agent(NAME, min=pods, max=pods)
        encoder = {
            "uri": self.store.s3("encoder/1/"),
            "endpoint": self.store.endpoint,
            "region": "us-east-1",
            "secretRef": {"name": self.store.s3_access},
        }
        archive = {
            "uri": self.store.https(head.path),
            "sha256": sha256 or head.sha256,
            "secretRef": {"name": self.store.https_trust},
        }
        steps = [
            {"model": "encoder", "inputs": {"x": "x"}, "outputs": {"h": "h"}},
            {"model": "head", "inputs": {"h": "h"}, "outputs": {"y": "y"}},
        ]
        tensors = {"inputs": [_tensor("x")], "outputs": [_tensor("y")]}
        spec = {
            "download": {"cpu": "50m", "memory": "256Mi", "cache": cache},
            "models": [_model("encoder", encoder, "x", "h"), _model("head", archive, "h", "y")],
            "pipelines": [{"name": "pipeline", "maxBatchSize": 4, "steps": steps, **tensors}],
            "objectives": [{"model": "pipeline", "latency": {"percentile": 95, "target": "1s"}}],
        }
        return merged(agent, {"spec": spec})

    def current_head(self) -> HeadVersion:
        """The version of the head that the agent was given last."""
        source = self.kube.get("agd", NAME)["spec"]["models"][1]["source"]
        return next(h for h in (FIRST, SECOND, THIRD) if h.sha256 == source["sha256"])

    def apply(self, manifest: Object) -> None:
        """Apply it, without waiting."""
        self.kube.apply(manifest)

    def until_ready(self, pods: int = 1) -> None:
        """Wait until the spec as it is now is rolled out, and there are so many pods in all."""
        self.kube.until("Ready", lambda: self.kube.is_ready(NAME), 180, NAME)
        self.kube.until("its pods", lambda: len(server_pods(self.kube, NAME)) == pods, 180, NAME)
        self.kube.until("ready ones", lambda: self.kube.ready_pods(NAME) == pods, 180, NAME)

    def load(self, name: str) -> Load:
        """Requests for the pipeline, which are on."""
        load = Load(self.kube, name, NAME, "pipeline", "1800s@20")
        self.kube.until("load is on", load.started)
        return load

    def fetched(self) -> list[dict[str, ModelResult]]:
        """What each pod's fetcher ended with, by model, the oldest pod first."""
        pods = server_pods(self.kube, NAME)
        pods.sort(key=lambda pod: pod["metadata"]["creationTimestamp"])
        return [_fetched(pod) for pod in pods]

    def condition(self, kind: str) -> tuple[str, str, str]:
        """One condition: status, reason and message."""
        return self.kube.conditions(NAME).get(kind, ("", "", ""))


@pytest.fixture(scope="module")
def served(system: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    kube = fresh_namespace(system.kubeconfig, "e2e-sources")
    with bound_claim(kube, system, CLAIM["claimName"]):
        store = ModelStore(kube, STORED, tmp_path_factory.mktemp("tls"))
        served = Served(kube, store)
        served.apply(served.manifest(FIRST))
        kube.until("a status", lambda: kube.get("agd", NAME).get("status"), 180, NAME)
        served.until_ready()
        yield served
        kube.run("delete", "namespace", kube.namespace, "--wait=false")


def test_models_of_two_stores_answer_as_one_and_nobody_is_told_the_keys(
    served: Served, system: Kube
) -> None:
    load = served.load("first")
    (fetched,) = served.fetched()
    assert fetched["encoder"].source is fetched["head"].source is FetchSource.NETWORK
    assert fetched["encoder"].digest == _digest(ENCODER_FILES)
    assert fetched["head"].digest == _digest(FIRST.files)
    load.stop()
    load.all_answered()

    told = [
        served.kube.run("get", "agd,all,cm,pvc,events,events.events.k8s.io", "-o", "json"),
        served.kube.run(
            *("logs", f"--selector={names.OWNER}={NAME}", "--all-containers", "--tail=-1")
        ),
        system.run("logs", "--selector=app.kubernetes.io/name=trireme", "--tail=-1"),
    ]
    assert served.store.s3("encoder/1/") in told[0]  # the plan's ConfigMap
    assert "encoder version 1: " in told[1]  # the fetcher's own words
    for key in served.store.keys.values():
        for written in (key, base64.b64encode(key.encode()).decode()):
            assert not any(written in text for text in told), written


def test_a_new_version_is_fetched_in_sight_and_rolled_out_and_no_request_fails(
    served: Served,
) -> None:
    load = served.load("second")
    served.store.hold()
    served.apply(served.manifest(SECOND))
    progress = ("False", "Fetching", "head: 2.0 of 4.0 MB")
    served.kube.until("progress", lambda: served.condition("ModelsReady") == progress, 180, NAME)
    assert served.condition("Available")[0] == "True"
    models = {m["name"]: m for m in served.kube.get("agd", NAME)["status"]["models"]}
    assert models["head"]["message"] == "fetching: 2.0 of 4.0 MB"

    served.store.release()
    served.until_ready()
    load.stop()
    load.all_answered()
    (fetched,) = served.fetched()
    assert fetched["head"].digest == _digest(SECOND.files)


def test_other_bytes_than_the_spec_says_are_told_with_a_remedy_and_what_serves_stays(
    served: Served,
) -> None:
    load = served.load("third")
    (before,) = server_pods(served.kube, NAME)
    wrong = hashlib.sha256(b"another file").hexdigest()
    served.apply(served.manifest(THIRD, wrong))

    def told() -> bool:
        return served.condition("ModelsReady")[:2] == ("False", "ChecksumMismatch")

    served.kube.until("ChecksumMismatch", told, 180, NAME)
    message = served.condition("ModelsReady")[2]
    for part in ("head version 1", wrong, THIRD.sha256, FetchReason.CHECKSUM.remedy):
        assert part in message, message
    assert served.condition("Ready")[:2] == ("False", "ChecksumMismatch")
    assert served.condition("Stalled")[:2] == ("True", "ChecksumMismatch")
    assert served.condition("Available")[0] == "True"
    event = ("FetchFailed", message)
    served.kube.until("the Event", lambda: event in served.kube.events(NAME), 180, NAME)
    uids = [pod["metadata"]["uid"] for pod in server_pods(served.kube, NAME)]
    assert before["metadata"]["uid"] in uids

    served.apply(served.manifest(THIRD))
    served.until_ready()
    assert served.condition("Stalled")[0] == "False"
    load.stop()
    load.all_answered()
    (fetched,) = served.fetched()
    assert fetched["head"].digest == _digest(THIRD.files)


def test_another_pod_starts_from_its_nodes_cache_when_the_store_is_gone(served: Served) -> None:
    head = served.current_head()
    served.apply(served.manifest(head, cache=NODE))
    served.until_ready()
    (fetched,) = served.fetched()
    assert not fetched["encoder"].note
    assert not fetched["head"].note
    volumes = [
        volume for pod in server_pods(served.kube, NAME) for volume in pod["spec"]["volumes"]
    ]
    assert not any({"hostPath", "persistentVolumeClaim"} & volume.keys() for volume in volumes)

    served.store.stop()
    served.apply(served.manifest(head, pods=2, cache=NODE))
    served.until_ready(pods=2)
    _all_came_from_the_cache(served.fetched()[-1], head)


def test_another_pod_starts_from_a_claims_cache_when_the_store_is_gone(served: Served) -> None:
    head = served.current_head()
    served.store.stop()
    served.apply(served.manifest(head, pods=2))
    served.until_ready(pods=2)
    _all_came_from_the_cache(served.fetched()[-1], head)


def _all_came_from_the_cache(fetched: Mapping[str, ModelResult], head: HeadVersion) -> None:
    assert fetched["encoder"].source is fetched["head"].source is FetchSource.CACHE
    assert fetched["encoder"].digest == _digest(ENCODER_FILES)
    assert str(fetched["encoder"].note).startswith("the cached copy is used, unchecked for age")
    assert fetched["head"].digest == _digest(head.files)
    assert not fetched["head"].note


def _model(name: str, source: Object, takes: str, gives: str) -> Object:
    return {
        "name": name,
        "source": source,
        "backend": "python",
        "maxBatchSize": 4,
        "inputs": [_tensor(takes)],
        "outputs": [_tensor(gives)],
        "batching": {"dynamic": {}},
        "warmup": [{"batchSize": 1}],
    }


def _tensor(name: str) -> Object:
    return {"name": name, "dataType": "FP32", "dims": [16]}


def _fetched(pod: Object) -> dict[str, ModelResult]:
    (container,) = pod["status"]["initContainerStatuses"]
    result = FetchResult.model_validate_json(container["state"]["terminated"]["message"])
    return {model.model: model for model in result.models}


def _digest(files: Mapping[str, bytes]) -> str:
    """The sha256 of what `sha256sum` prints for the files."""
    lines = [f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
