"""The command line: one file a command, here is what puts them together.

Exit status: 0 good, 1 the specs given have faults, 2 wrong usage; `diff` ends as diff does. What a
command was asked for goes to standard output, everything else to standard error.
"""

import typer

from trireme.cli.abort import abort
from trireme.cli.compare import compare
from trireme.cli.crd import crd
from trireme.cli.deliver import deliver
from trireme.cli.diff import diff
from trireme.cli.explain import explain
from trireme.cli.fetch import fetch
from trireme.cli.import_ import import_
from trireme.cli.inspect import inspect
from trireme.cli.node_cache import node_cache
from trireme.cli.optimize import optimize
from trireme.cli.optimize_job import optimize_job
from trireme.cli.promote import promote
from trireme.cli.render import render
from trireme.cli.replay import replay
from trireme.cli.resume import resume
from trireme.cli.run import run
from trireme.cli.simulate import simulate
from trireme.cli.top import top
from trireme.cli.tune import tune
from trireme.cli.validate import validate
from trireme.cli.version import version
from trireme.errors import InvalidSettings

app = typer.Typer(
    name="trireme",
    help="Keep Triton-served agents within their latency objective on Kubernetes.",
    epilog="Pods run fetch, inspect, optimize-job, deliver, node-cache and compare.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
# An agent in the cluster.
app.command()(explain)
app.command()(top)
app.command()(replay)
app.command()(promote)
app.command()(abort)
app.command()(resume)
# A spec.
app.command("import")(import_)
app.command()(validate)
app.command()(diff)
app.command()(render)
# At a desk.
app.command()(tune)
app.command()(optimize)
app.command()(simulate)
# The operator.
app.command()(run)
app.command()(crd)
app.command()(version)
# What pods run, and nobody types.
app.command(hidden=True)(fetch)
app.command(hidden=True)(inspect)
app.command("optimize-job", hidden=True)(optimize_job)
app.command(hidden=True)(deliver)
app.command("node-cache", hidden=True)(node_cache)
app.command(hidden=True)(compare)


def main() -> None:
    """Run the command line, as `trireme` or as the kubectl plugin `kubectl trireme`."""
    try:
        app()
    except InvalidSettings as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
