"""`python -m demo`: Trireme on a cluster, scaling under load, and a summary at the end.

Exits with 0 where every request was served, 1 where one was lost or the demo could not go on.
"""

import shutil
import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from cluster import DEFAULT_NAME
from demo import steps
from demo.cluster import NO_ANSWER, Cluster, kubeconfig_file
from demo.errors import DemoError
from demo.observe import observe
from demo.summary import report, result_of
from load.arrivals import parse_profile

_OUR_CONTEXT = f"kind-{DEFAULT_NAME}"
_LOG_COLUMNS = 120


class Choice(StrEnum):
    """Whose cluster it is."""

    KIND = "kind"  # our own: nothing on it is anybody else's
    CURRENT = "current"  # the user's


def main(
    cluster: Annotated[
        Choice, typer.Option(help="kind: our own; current: the kubeconfig's current context.")
    ] = Choice.KIND,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before touching it.")] = False,
    namespace: Annotated[str, typer.Option(help="The agent's namespace; made.")] = "demo",
    prometheus_url: Annotated[
        str, typer.Option(help="An existing Prometheus, as pods reach it; none is installed then.")
    ] = "",
    registry: Annotated[
        str, typer.Option(help="Where the nodes pull the images; empty: they have them.")
    ] = "",
    profile: Annotated[
        str, typer.Option(help="Another load, such as 60s@25,120s@90 (requests a second).")
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Undo the demo.")] = False,
) -> None:
    """Install Prometheus and Trireme, apply an agent, drive load at it and show it scale."""
    # Rich takes 80 columns where there is no terminal; logs are wider.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _LOG_COLUMNS)
    options = steps.Options(namespace, prometheus_url, registry, profile)
    try:
        if profile:
            parse_profile(profile)
        kubeconfig = kubeconfig_file()
        reached = Cluster(kubeconfig)
        if cluster is Choice.KIND and not reached.context.startswith(_OUR_CONTEXT):
            raise DemoError(
                f"the current kube-context is {reached.context!r}, not our {_OUR_CONTEXT!r}: "
                f"run make demo, or mean it with --cluster current"
            )
        if cluster is Choice.CURRENT and not yes:
            _ask(reached.context, options, remove)
        progress = steps.Progress(console)
        if remove:
            steps.remove(reached, progress, kubeconfig, options)
            return
        steps.install(reached, progress, kubeconfig, options)
        code = _run(reached, console, progress, options)
    except (DemoError, ValueError, *NO_ANSWER) as error:
        console.print("✗", str(error), style="bold red", markup=False)
        raise typer.Exit(1) from error
    # The launcher of our own cluster puts a kubectl on the path that reaches it from anywhere.
    kubectl = (shutil.which("kubectl") if cluster is Choice.KIND else None) or "kubectl"
    console.print(
        f"\nTo look around:\n"
        f"  {kubectl} get agd,pods --namespace {namespace}\n"
        f"  {kubectl} events --namespace {namespace} --for agentdeployment/demo\n"
        f"  {kubectl} explain agd.spec.scaling",
        markup=False,
        soft_wrap=True,
    )
    raise typer.Exit(code)


def _ask(context: str, options: steps.Options, remove: bool) -> None:
    """Tell what will be done to somebody's cluster, and go on only with a yes."""
    prometheus = "" if options.prometheus_url else ", Prometheus into namespace monitoring"
    what = (
        f"remove the demo's agent, Trireme{prometheus and ' and its Prometheus'}"
        if remove
        else f"install Trireme{prometheus} and an agent into namespace {options.namespace}"
    )
    typer.confirm(f"The current kube-context is {context!r}. Shall the demo {what}?", abort=True)


def _run(
    cluster: Cluster, console: Console, progress: steps.Progress, options: steps.Options
) -> int:
    agent = steps.apply_agent(cluster, progress, options)
    job, state = steps.start_load(cluster, progress, options)
    try:
        state = observe(cluster, console, state, agent, job)
    except KeyboardInterrupt:
        steps.stop_load(cluster, options)
        raise DemoError("interrupted: the load is stopped, the agent stays") from None
    result = result_of(state)
    if result is None:
        raise DemoError("the load ended without a summary")
    console.print()
    console.print(report(result))
    return result.exit_code


if __name__ == "__main__":
    typer.run(main)
