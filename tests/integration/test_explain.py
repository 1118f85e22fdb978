"""What a user reads of the API before the manual: kubectl's own answers."""

from kube import Kube


def test_explain_tells_the_scaling_modes(api_server: Kube) -> None:
    def explained() -> str:  # the API server publishes its schema a moment after the CRD
        return api_server.run("explain", "agd.spec.scaling", check=False)

    api_server.until("the schema is published", explained, 60)
    text = " ".join(explained().split())
    assert "How the number of pods is decided." in text
    assert "Automatic: Trireme decides from the objectives." in text
