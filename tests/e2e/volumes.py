"""A claim that is bound: the local cluster has nothing that provisions volumes.

Its volume is a folder of a node, which a pod beside the operator makes and removes. The kubelet
gives it to the group of the pods that mount it, as it does with disks.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kube import Kube
from trireme.resources.security import SERVER_UID

_FOLDERS = "/var/local/trireme"
_AT_THE_NODE = "volumes"


@contextmanager
def bound_claim(kube: Kube, system: Kube, name: str) -> Iterator[None]:
    """A PersistentVolumeClaim of this name, with an empty volume of 1 GiB while this lasts.

    It is waited for until it is bound: a pod that came before was not looked at again by the
    scheduler of Kubernetes 1.34 for a minute and a half.
    """
    volume = f"{kube.namespace}-{name}"
    folder = f"{_FOLDERS}/{volume}"
    system.apply(_pod())
    system.run("wait", "pod", _AT_THE_NODE, "--for=condition=Ready", "--timeout=180s")
    node = system.get("pod", _AT_THE_NODE)["spec"]["nodeName"]
    _clear(system, folder)
    # While a pod that reads has it mounted, the kubelet gives it to no group: whoever writes then
    # needs the servers' group to have it before.
    make = f"mkdir {folder} && chgrp {SERVER_UID} {folder} && chmod 2775 {folder}"
    system.run("exec", _AT_THE_NODE, "--", "sh", "-c", make)
    system.run("delete", "pv", volume, "--ignore-not-found")
    kube.apply(_volume(volume, folder, node), _claim(name, volume))
    kube.run("wait", "pvc", name, "--for=jsonpath={.status.phase}=Bound", "--timeout=180s")
    try:
        yield
    finally:
        system.run("delete", "pv", volume, "--wait=false")
        _clear(system, folder)
        system.run("delete", "pod", _AT_THE_NODE, "--now")


def put(kube: Kube, system: Kube, name: str, files: Mapping[str, bytes]) -> None:
    """Files on a claim's volume, by their paths there."""
    for path, content in files.items():
        target = f"{_FOLDERS}/{kube.namespace}-{name}/{path}"
        write = 'mkdir -p "$(dirname "$0")" && base64 -d >"$0"'
        text = base64.b64encode(content).decode()
        command = ("sh", "-c", write, target)
        system.run("exec", "--stdin", _AT_THE_NODE, "--", *command, stdin=text)


def _clear(system: Kube, folder: str) -> None:
    system.run("exec", _AT_THE_NODE, "--", "rm", "-rf", folder)


def _volume(name: str, folder: str, node: str) -> dict[str, Any]:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def _claim(name: str, volume: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": volume,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def _pod() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _AT_THE_NODE},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": _AT_THE_NODE,
                    "image": "trireme/operator:dev",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": "folders", "mountPath": _FOLDERS}],
                }
            ],
            "volumes": [
                {
                    "name": "folders",
                    "hostPath": {"path": _FOLDERS, "type": "DirectoryOrCreate"},
                }
            ],
        },
    }
