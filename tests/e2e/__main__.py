"""Install what the end-to-end tests stand on, as a user installs it: Prometheus and Trireme.

    python -m cluster exec -- python -m e2e

The metrics server is applied, too, which one of the tests waits for: it takes half a minute.
"""

import os
from pathlib import Path

from installation import install
from kube import Kube

_METRICS_SERVER = Path(__file__).with_name("metrics-server.yaml")
_VALUES = {
    "nodeCache": {
        "enabled": True,
        "size": "1Gi",
        "hostPath": "/var/local/trireme-node-cache",
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    }
}


def main() -> None:
    """Install all of it, or bring it up to date."""
    kubeconfig = Path(os.environ["KUBECONFIG"])
    Kube(kubeconfig, "kube-system").run("apply", "-f", str(_METRICS_SERVER))
    install(kubeconfig, _VALUES)


if __name__ == "__main__":
    main()
