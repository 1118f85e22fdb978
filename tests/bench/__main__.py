"""`python -m bench [NAME ...]`, run among the cluster's addresses; else the short ones."""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import gateway, operator_cost, optimized, predict, step, tuned, tuner
from bench.peers import benchmark as peers
from bench.peers.runs import SHAPES
from installation import fresh_namespace, install
from kube import Kube

SHORT: dict[str, Callable[[Kube, Kube], str]] = {
    "step": step.run,
    "gateway": gateway.run,
    "operator": operator_cost.run,
}
LONG: dict[str, Callable[[Kube, Kube], str]] = {
    "predict": predict.run,  # 40 minutes
    "peers": peers.run,  # half an hour
    "optimized": optimized.run,  # a quarter of an hour
    "tuned": tuned.run,  # 20 minutes
    "tuner": tuner.run,  # 50 minutes
}


def main() -> None:
    """Run the named benchmarks, each in a namespace of its own."""
    known = SHORT | LONG
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*known, []], help="which; default: short ones")
    parser.add_argument("--only", nargs="+", choices=SHAPES, help="of peers: these loads")
    arguments = parser.parse_args()
    if arguments.only:
        known["peers"] = partial(peers.run, only=arguments.only)
    chosen = arguments.name or list(SHORT)
    kubeconfig = Path(os.environ["KUBECONFIG"])
    system = install(kubeconfig)
    for name in chosen:
        kube = fresh_namespace(kubeconfig, f"bench-{name}")
        print(known[name](kube, system), flush=True)
        kube.run("delete", "namespace", kube.namespace, "--wait")


if __name__ == "__main__":
    main()
