"""What `kubectl apply` refuses at once, in the API server's words."""

import json

import pytest

from kube import Kube, KubectlError
from refusals import REFUSALS, Refusal, agent


def dry_run(kube: Kube, body: object) -> str:
    return kube.run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(body))


def test_the_object_that_the_refused_ones_are_made_from_is_accepted(kube: Kube) -> None:
    assert "created" in dry_run(kube, agent())


def test_every_refusal_says_what_to_change(kube: Kube) -> None:
    """One namespace for the whole table: each costs seconds."""
    said: dict[str, str] = {}
    for refusal in REFUSALS:
        with pytest.raises(KubectlError) as error:
            dry_run(kube, refusal.body())
        said[refusal.id] = str(error.value)
    silent: list[Refusal] = [r for r in REFUSALS if r.says not in said[r.id]]
    assert {r.id: said[r.id] for r in silent} == {}


def test_explain_reads_well(kube: Kube) -> None:
    text = kube.run("explain", "agd.spec.scaling")
    assert "Automatic: Trireme decides from the objectives." in text
    assert "Fewest pods in mode Automatic." in text


def test_defaults_are_stored_so_that_what_is_read_back_is_the_truth(kube: Kube) -> None:
    stored = json.loads(
        kube.run("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(agent()))
    )
    assert stored["spec"]["scaling"]["mode"] == "Automatic"
    assert stored["spec"]["gateway"]["resources"]["cpu"] == "100m"
    assert "replicas" not in stored["spec"]
