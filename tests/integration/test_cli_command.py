"""What a person tells an agent, over real HTTP to a server that answers as the API does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from typer.testing import CliRunner, Result

from trireme.cli import app


class Api(BaseHTTPRequestHandler):
    """Knows one AgentDeployment, team-a/echo; keeps what it was asked."""

    requests: list[tuple[str, str, object]] = []

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append((self.path, self.headers["Content-Type"], body))
        known = self.path.endswith("/namespaces/team-a/agentdeployments/echo")
        answer = json.dumps({} if known else {"message": 'agentdeployments "none" not found'})
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Api]]:
    """The server, and a kubeconfig whose context is in namespace team-a."""
    Api.requests.clear()
    server = HTTPServer(("127.0.0.1", 0), Api)
    thread = Thread(target=server.serve_forever)
    thread.start()
    config = {
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        ],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [
            {"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}
        ],
        "current-context": "x",
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    yield Api
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


@pytest.mark.parametrize("command", ["resume", "promote", "abort"])
def test_it_annotates_the_agent_in_the_contexts_namespace(api: type[Api], command: str) -> None:
    result = run(command, "echo")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"agentdeployment.trireme.dev/echo told to {command}\n"
    ((path, kind, body),) = api.requests
    assert path == "/apis/trireme.dev/v1alpha1/namespaces/team-a/agentdeployments/echo"
    assert kind == "application/merge-patch+json"
    assert body == {"metadata": {"annotations": {"trireme.dev/command": command}}}


def test_an_agent_that_does_not_exist_is_said_in_the_apis_words(api: type[Api]) -> None:
    result = run("resume", "none", "-n", "other")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'agentdeployments "none" not found (HTTP 404)\n'
    assert "/namespaces/other/" in api.requests[0][0]
