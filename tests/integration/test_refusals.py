"""What `kubectl apply` refuses at once and `kubectl explain` tells, in the API server's words."""

import json

import pytest

from kube import Kube, KubectlError
from refusals import REFUSALS, Refusal, agent


def dry_run(kube: Kube, body: object, *options: str) -> str:
    return kube.run("apply", "--dry-run=server", *options, "-f", "-", stdin=json.dumps(body))


def test_the_object_that_the_refused_ones_are_made_from_is_accepted(api_server: Kube) -> None:
    assert "created" in dry_run(api_server, agent())


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.id)
def test_a_refusal_says_what_to_change(api_server: Kube, refusal: Refusal) -> None:
    with pytest.raises(KubectlError) as error:
        dry_run(api_server, refusal.body())
    assert refusal.says in str(error.value)


def test_explain_reads_well(api_server: Kube) -> None:
    def explained() -> str:  # the API server publishes its schema a moment after the CRD
        return api_server.run("explain", "agd.spec.scaling", check=False)

    api_server.until("the schema is published", explained, 60)
    text = " ".join(explained().split())
    assert "How the number of pods is decided." in text
    assert "Automatic: Trireme decides from the objectives." in text
    assert "Fewest pods in mode Automatic." in text


def test_defaults_are_stored_so_that_what_is_read_back_is_the_truth(api_server: Kube) -> None:
    stored = json.loads(dry_run(api_server, agent(), "-o", "json"))
    assert stored["spec"]["scaling"]["mode"] == "Automatic"
    assert stored["spec"]["gateway"]["resources"]["cpu"] == "100m"
    assert "replicas" not in stored["spec"]
