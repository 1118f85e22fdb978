"""Stand in for runc on a machine that may not hand out CAP_SYS_RESOURCE.

kind's nodes are privileged containers and so ask for every capability; where the machine
itself lacks this one, runc refuses them. Nothing in a node needs it, so it is taken out of
what runc is asked for. Run by the engine as `runtime.py RUNC ARGUMENTS…`; stands alone.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

_CAPABILITY = "CAP_SYS_RESOURCE"
_CAPABILITY_BIT = 24


def is_needed(status: str) -> bool:
    """Tell from the text of /proc/self/status whether this machine lacks the capability."""
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return not int(effective.split()[1], 16) >> _CAPABILITY_BIT & 1


def without_the_capability(process: dict[str, Any]) -> dict[str, Any]:
    """Return an OCI process that does not ask for the capability."""
    sets = process.get("capabilities") or {}
    kept = {name: [c for c in held if c != _CAPABILITY] for name, held in sets.items()}
    return {**process, "capabilities": kept}


def main(runc: str, *arguments: str) -> None:
    """Mend the file that describes the process to start, if there is one; become runc."""
    if bundle := _value_of(("--bundle", "-b"), arguments):
        config = Path(bundle, "config.json")
        spec = json.loads(config.read_text())
        _write(config, {**spec, "process": without_the_capability(spec["process"])})
    if "exec" in arguments and (file := _value_of(("--process", "-p"), arguments)):
        _write(Path(file), without_the_capability(json.loads(Path(file).read_text())))
    os.execv(runc, [runc, *arguments])  # noqa: S606


def _value_of(names: tuple[str, ...], arguments: tuple[str, ...]) -> str | None:
    for position, argument in enumerate(arguments[:-1]):
        if argument in names:
            return arguments[position + 1]
    return None


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content))


if __name__ == "__main__":
    main(*sys.argv[1:])
