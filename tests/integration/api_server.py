"""A real API server on loopback, without nodes or controllers: etcd and kube-apiserver alone.

Field ownership, CEL, defaults and conflicts are the API server's, which no fake gets right. The
programs are those of the local cluster, built once and cached.
"""

import json
import os
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from cluster import binaries
from integration.asked_directly import AskedDirectly, connected
from kube import Kube
from ports import free_port
from trireme.api.crd import crd

_START_SECONDS = 120  # the machine may be busy; alone it takes some five
_COLLECTED_LESS = {"GOGC": "200"}  # an eighth of what it computes, for 120 MB


@contextmanager
def running(folder: Path) -> Iterator[AskedDirectly]:
    """An API server with its files in `folder`; it ends with the context."""
    kubernetes, etcd = binaries.KUBERNETES.shared(), binaries.ETCD.shared()
    etcd_port, peer_port, port = free_port(), free_port(), free_port()
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    subprocess.run(
        ["openssl", "genrsa", "-out", folder / "sa.key", "2048"], check=True, capture_output=True
    )
    with ExitStack() as stack:
        _start(
            stack,
            folder / "etcd.log",
            str(etcd / "etcd"),
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
            "--unsafe-no-fsync",
        )
        _start(
            stack,
            folder / "apiserver.log",
            str(kubernetes / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            f"--cert-dir={folder}/certs",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--token-auth-file={folder}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/sa.key",
            f"--service-account-signing-key-file={folder}/sa.key",
            "--service-cluster-ip-range=10.99.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
        )
        url = f"https://127.0.0.1:{port}"
        _wait_ready(url, token, folder / "apiserver.log")
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(url, token)))
        server = stack.enter_context(connected(url, token))
        yield AskedDirectly(kubeconfig, "default", str(kubernetes / "kubectl"), server=server)


def _start(stack: ExitStack, log: Path, *command: str) -> None:
    output = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(
        command,
        env={**os.environ, **_COLLECTED_LESS},
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=log.parent,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)


def define_agents(server: Kube) -> None:
    """Make the CRD known, and wait until it is: its conditions come a moment after it, and what it
    is served by a moment after these.
    """
    definition = crd()
    server.run("apply", "--server-side", "-f", "-", stdin=json.dumps(definition))
    name = definition["metadata"]["name"]

    def is_established() -> bool:
        status = server.get("crd", name).get("status", {})
        found = {each["type"]: each["status"] for each in status.get("conditions") or []}
        return found.get("Established") == "True"

    def is_served() -> bool:
        server.run("get", name)
        return True

    server.until("the CRD is established", is_established, 60)
    server.until("its objects are served", is_served, 60)


def _wait_ready(url: str, token: str, log: Path) -> None:
    insecure = ssl._create_unverified_context()  # noqa: S323  # it made its own certificate just now
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}/readyz", headers=headers)  # noqa: S310  # loopback
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(request, context=insecure, timeout=5).close()  # noqa: S310  # loopback
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                lines = log.read_text(errors="replace").splitlines()[-20:]
                raise AssertionError(
                    "the API server does not start:\n" + "\n".join(lines)
                ) from None
            time.sleep(0.2)


def _kubeconfig(url: str, token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "clusters": [
            {"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": True}}
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
    }
