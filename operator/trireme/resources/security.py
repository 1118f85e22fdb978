"""The restricted profile of the Pod Security Standards, as fields of a pod. Pure.

Source: kubernetes.io, "Pod Security Standards", profile Restricted.
"""

from trireme.resources.metadata import Manifest

SERVER_UID = 1000
"""triton-server, in NVIDIA's images: who server pods run as, and what reads their models."""


def pod_security(uid: int) -> Manifest:
    """A pod's securityContext: this user, never root; volumes belong to its group."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        "fsGroupChangePolicy": "OnRootMismatch",  # a large volume is not walked at every start
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """A container's securityContext: no capability, no way to gain one, nothing writable."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
