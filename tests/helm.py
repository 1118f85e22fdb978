"""The real Helm, as a library: what `helm install` and `helm uninstall` do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python

CHART = Path(__file__).parent.parent / "charts" / "trireme"


def render(
    values: Mapping[str, Any] | None = None, *, release: str = "trireme", namespace: str = "trireme"
) -> dict[str, str]:
    """Trireme's chart as rendered manifests, by the template's file name.

    Raises helm_python.HelmError where the values break the chart's schema.
    """
    chart = helm_python.Chart.load(CHART)
    chart.validate_schema(dict(values or {}))
    rendered = chart.render(dict(values or {}), name=release, namespace=namespace)
    return {path.rpartition("/")[2]: text for path, text in sorted(rendered.items())}


def install(
    chart: Path,
    release: str,
    namespace: str,
    values: Mapping[str, Any],
    kubeconfig: Path,
    *,
    timeout_seconds: int = 300,
    wait: str = "watcher",
) -> None:
    """Install a chart, or upgrade the release where it exists, and wait until all of it is ready
    (with `wait` hookOnly: until it is applied).

    Raises helm_python.HelmError with Helm's own words where it does not become ready in time.
    """
    with helm_python.Config(kubeconfig_path=kubeconfig, namespace=namespace) as config:
        status = {found["name"]: found["status"] for found in config.list(all_states=True)}
        if status.get(release) == "deployed":
            config.upgrade(
                chart,
                release,
                dict(values),
                namespace=namespace,
                timeout=timeout_seconds,
                wait=wait,
            )
        else:
            # What was left half-way (pending, failed) Helm would refuse to upgrade for ever.
            config.uninstall(release, ignore_not_found=True, timeout=120, wait="watcher")
            config.install(
                chart,
                release,
                dict(values),
                namespace=namespace,
                create_namespace=True,
                timeout=timeout_seconds,
                wait=wait,
            )


def uninstall(
    release: str, namespace: str, kubeconfig: Path, *, timeout_seconds: int = 120
) -> None:
    """Uninstall a release and wait until its objects are gone; nothing where there is none."""
    with helm_python.Config(kubeconfig_path=kubeconfig, namespace=namespace) as config:
        config.uninstall(release, ignore_not_found=True, timeout=timeout_seconds, wait="watcher")
