"""`trireme replay`: past decisions computed anew from what they were made from."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from trireme import __version__
from trireme.autoscaler.records import Replayed, from_line
from trireme.autoscaler.records import replay as replayed
from trireme.cli.told import read_agent
from trireme.errors import ClusterError, UnreadableRecord

_DIFFERS, _FAILED = 1, 2  # as `diff` ends


@dataclass(slots=True)
class _Tally:
    """What became of the lines."""

    agreed: int = 0
    differed: int = 0
    foreign: int = 0
    skipped: int = 0
    faults: list[str] = field(default_factory=list)


def replay(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|AGENT", help="JSON lines or a log (- for standard input), or an agent."
        ),
    ],
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", help="The agent's namespace; else the kube-context's."),
    ] = None,
) -> None:
    """Compute recorded decisions anew: each must come out as it was.

    FILE holds records as the operator logs them; other lines are passed over, so that a whole log
    will do. Of an AGENT the operator is asked, by port-forward, what it remembers. Ends with 0
    where all agree, 1 where one differs, 2 where there is none or one cannot be read.
    """
    tally = _Tally()
    for line in _told(_lines(source, namespace), tally):
        typer.echo(line)
    for fault in tally.faults:
        typer.echo(fault, err=True)
    typer.echo(_summary(tally), err=True)
    if tally.faults or not tally.agreed + tally.differed:
        raise typer.Exit(_FAILED)
    if tally.differed:
        raise typer.Exit(_DIFFERS)


def _lines(source: str, namespace: str | None) -> Iterable[str]:
    if source == "-":
        return sys.stdin
    path = Path(source)
    # A folder here may have the name of an agent; an agent's name has no slash.
    if namespace is None and path.exists() and ("/" in source or not path.is_dir()):
        try:
            return path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            _fail(f"{source}: {error.strerror}")
    try:
        _, lines, unavailable = asyncio.run(read_agent(source, namespace))
    except ClusterError as error:
        _fail(f"{source} is no file, and {error}" if namespace is None else str(error))
    if unavailable is not None:
        _fail(str(unavailable))
    return lines


def _told(lines: Iterable[str], tally: _Tally) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            read = from_line(line)
        except UnreadableRecord as error:
            tally.faults.append(f"line {number}: {error}")
            continue
        if read is None:
            tally.skipped += 1
            continue
        found = replayed(read, __version__)
        tally.agreed += found.difference is None
        tally.differed += found.difference is not None
        tally.foreign += not found.is_own
        yield _line(found)


def _line(found: Replayed) -> str:
    record, decision = found.record, found.record.decision
    at = decision.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    change = f"{decision.current} → {decision.replicas}"
    verdict = "agreed" if found.difference is None else f"DIFFERS, {found.difference}"
    other = "" if found.is_own else f" (decided by version {record.version})"
    name = f"{record.namespace}/{record.agent}"
    reasons = ", ".join([decision.reason, *(each.reason for each in decision.settings)])
    return f"{at}  {name}  {change}  {reasons}  {found.input_digest}  {verdict}{other}"


def _summary(tally: _Tally) -> str:
    parts = [f"{tally.agreed} agreed", f"{tally.differed} differed"]
    if tally.foreign:
        parts.append(f"{tally.foreign} of another version, computed by {__version__}")
    if tally.faults:
        parts.append(f"{len(tally.faults)} could not be read")
    if tally.skipped:
        parts.append(f"{tally.skipped} lines are no records")
    return ", ".join(parts)


def _fail(words: str) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(_FAILED)
