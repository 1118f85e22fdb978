"""The process that `aot_inductor` starts: compiles an archive of torch.export into another file.

A process of its own, so that a compile that takes too long can be ended.
"""

import sys

import torch

# torch compiles its headers ahead, twice, for the compiles to come; here there is one.
_ONCE = {"aot_inductor.precompile_headers": False}


def main(exported: str, compiled: str) -> None:
    """Compile, by the C++ compiler there is."""
    with torch.no_grad():
        torch._inductor.aoti_compile_and_package(
            torch.export.load(exported), package_path=compiled, inductor_configs={**_ONCE}
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
