"""`python -m bench [NAME ...]`, run among the cluster's addresses; all of them without a name."""

import argparse
import os
from pathlib import Path

from bench import gateway, operator_cost, step
from installation import fresh_namespace, install

BENCHMARKS = {"step": step.run, "gateway": gateway.run, "operator": operator_cost.run}


def main() -> None:
    """Run the named benchmarks, each in a namespace of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*BENCHMARKS, []], help="which; default: all")
    chosen = parser.parse_args().name or list(BENCHMARKS)
    kubeconfig = Path(os.environ["KUBECONFIG"])
    system = install(kubeconfig)
    for name in chosen:
        kube = fresh_namespace(kubeconfig, f"bench-{name}")
        print(BENCHMARKS[name](kube, system), flush=True)
        kube.run("delete", "namespace", kube.namespace, "--wait")


if __name__ == "__main__":
    main()
