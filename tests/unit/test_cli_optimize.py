"""`trireme optimize` where its extra is not installed, as it is not in this environment."""

from typer.testing import CliRunner

from trireme.cli import app


def test_it_says_which_extra_it_needs() -> None:
    command = ["optimize", "model.onnx", "--samples", "samples.npz", "--into", "out"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    told = " ".join(result.output.replace("│", " ").split())
    assert "which is not installed: pip install '.[optimizer]' in a checkout" in told
