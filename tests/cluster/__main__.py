"""The launcher on the command line: `PYTHONPATH=tests python -m cluster up`."""

import argparse
import os
import sys
from pathlib import Path

import cluster
from cluster import cache, engine, images
from cluster.errors import ClusterError
from cluster.kind import Kind
from cluster.progress import say


def main() -> None:
    """Do what the command line asks for; say plainly what could not be done."""
    arguments = _parser().parse_args()
    try:
        arguments.act(arguments)
    except ClusterError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; `up` goes on from here, `down` removes what there is")


def _up(arguments: argparse.Namespace) -> None:
    made = cluster.up(arguments.name, arguments.nodes, arguments.image)
    say(f"The cluster is ready. Reach it with [bold]{made.kubeconfig.parent}/bin/kubectl[/]")
    say("or run a program among its addresses: python -m cluster exec -- PROGRAM …")


def _down(arguments: argparse.Namespace) -> None:
    cluster.down(arguments.name)


def _exec(arguments: argparse.Namespace) -> None:
    found = cluster.find(arguments.name)
    argv = found.command(arguments.command)
    environment = {**os.environ, **found.env}
    os.execvpe(argv[0], argv, environment)  # noqa: S606


def _kubeconfig(arguments: argparse.Namespace) -> None:
    print(cluster.find(arguments.name).kubeconfig)


def _images(arguments: argparse.Namespace) -> None:
    with cache.only_one():
        tags = images.build(engine.find_or_start(), arguments.image or images.DEFAULT)
    print("\n".join(tags))


def _context(arguments: argparse.Namespace) -> None:
    with cache.only_one():
        images.lay_out(images.KNOWN[arguments.image], arguments.into, engine=None)


def _load(arguments: argparse.Namespace) -> None:
    with cache.only_one():
        cluster.find(arguments.name).load(arguments.image)


def _status(arguments: argparse.Namespace) -> None:
    found = cluster.find(arguments.name)
    print(found.run(["kubectl", "get", "nodes,pods", "--all-namespaces", "--output=wide"]))
    print(Kind(found.engine, found.name).last_words())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=cluster.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=cluster.DEFAULT_NAME, help="which cluster")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser(
        "up", parents=[named], help="start a cluster, or mend and reuse the one there is"
    )
    up.add_argument("--nodes", type=int, default=1)
    up.add_argument(
        "--image",
        action="append",
        metavar="IMAGE",
        help=f"bring this image, and no other by default; one of {', '.join(images.KNOWN)}, "
        f"or any by its full name (repeatable; default: {', '.join(images.DEFAULT)})",
    )
    up.set_defaults(act=_up)

    down = commands.add_parser(
        "down", parents=[named], help="remove the cluster and all that was started for it"
    )
    down.set_defaults(act=_down)

    run = commands.add_parser(
        "exec", parents=[named], help="run a program among the cluster's addresses"
    )
    run.add_argument("command", nargs="+", metavar="PROGRAM")
    run.set_defaults(act=_exec)

    kubeconfig = commands.add_parser(
        "kubeconfig", parents=[named], help="print where the credentials are"
    )
    kubeconfig.set_defaults(act=_kubeconfig)

    build = commands.add_parser("images", help="build images without loading them")
    build.add_argument("image", nargs="*", metavar="IMAGE")
    build.set_defaults(act=_images)

    context = commands.add_parser("context", help="lay out an image's build context")
    context.add_argument("image", choices=sorted(images.KNOWN))
    context.add_argument("into", type=Path)
    context.set_defaults(act=_context)

    load = commands.add_parser(
        "load", parents=[named], help="build images if need be and bring them to the nodes"
    )
    load.add_argument("image", nargs="+", metavar="IMAGE")
    load.set_defaults(act=_load)

    status = commands.add_parser(
        "status", parents=[named], help="show the nodes, the pods and their last words"
    )
    status.set_defaults(act=_status)
    return parser


if __name__ == "__main__":
    main()
