"""The store that models are fetched from (tests/store), in the test's namespace."""

import base64
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from certificates import Certificate, certificate
from kube import Kube, Object
from store import BUCKET, HTTPS_PORT, S3_PORT

_NAME = "store"
_IMAGE = "trireme/store:dev"
_STATE = "/state"


class ModelStore:
    """A pod that serves files, and the names of the two Secrets by which agents get at them."""

    s3_access = "s3-keys"
    https_trust = "store-authority"
    endpoint = f"http://{_NAME}:{S3_PORT}"

    def __init__(self, kube: Kube, files: Mapping[str, bytes], folder: Path) -> None:
        """Start it with these files, and wait until it serves them; `folder` is for its TLS."""
        self._kube = kube
        tls = certificate(folder, f"DNS:{_NAME}")
        kube.apply(*_objects(files, tls))
        kube.run("wait", "pod", _NAME, "--for=condition=Ready", "--timeout=180s")
        self.keys: dict[str, str] = json.loads(self._run("cat", f"{_STATE}/keys.json"))
        kube.apply(
            _secret(self.s3_access, self.keys),
            _secret(self.https_trust, {"ca.crt": tls.authority.read_text()}),
        )

    def s3(self, path: str) -> str:
        """The URI of a file or a prefix in the bucket."""
        return f"s3://{BUCKET}/{path}"

    def https(self, path: str) -> str:
        """The URL of a file."""
        return f"https://{_NAME}:{HTTPS_PORT}/{path}"

    def hold(self) -> None:
        """Let answers stop after 2.5 MB."""
        self._run("touch", f"{_STATE}/hold")

    def release(self) -> None:
        """Let them go on."""
        self._run("rm", f"{_STATE}/hold")

    def stop(self) -> None:
        """End it for good, if it is not ended yet."""
        self._kube.run("delete", "pod", _NAME, "--now", "--wait", "--ignore-not-found")

    def _run(self, *command: str) -> str:
        return self._kube.run("exec", _NAME, "--", *command)


def packed(files: Mapping[str, bytes], mode: Literal["w", "w:gz"]) -> bytes:
    """A tar of these files; `mode` is w or w:gz."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _objects(files: Mapping[str, bytes], tls: Certificate) -> list[Object]:
    content = base64.b64encode(packed(files, "w:gz")).decode()
    ports = {"s3": S3_PORT, "https": HTTPS_PORT}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _NAME},
            "binaryData": {"files.tar.gz": content},
        },
        _secret(
            f"{_NAME}-tls",
            {"tls.crt": tls.certificate.read_text(), "tls.key": tls.key.read_text()},
        ),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": _NAME},
            "spec": {
                "selector": {"app": _NAME},
                "ports": [{"name": name, "port": port} for name, port in ports.items()],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": _NAME, "labels": {"app": _NAME}},
            "spec": _pod_spec(),
        },
    ]


def _pod_spec() -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": _NAME,
                "image": _IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
                "readinessProbe": {
                    "exec": {"command": ["test", "-e", f"{_STATE}/keys.json"]},
                    "periodSeconds": 1,
                },
                "volumeMounts": [
                    {"name": "content", "mountPath": "/content"},
                    {"name": "tls", "mountPath": "/tls"},
                    {"name": "state", "mountPath": _STATE},
                ],
            }
        ],
        "volumes": [
            {"name": "content", "configMap": {"name": _NAME}},
            {"name": "tls", "secret": {"secretName": f"{_NAME}-tls", "defaultMode": 0o440}},
            {"name": "state", "emptyDir": {}},
        ],
    }


def _secret(name: str, data: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": dict(data),
    }
