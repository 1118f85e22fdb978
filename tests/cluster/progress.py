"""Say what is being done, how far it is, and how long it usually takes.

Plain lines, since the same words serve a terminal and the log of a continuous integration
run, and since steps run side by side.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

_console = Console(stderr=True, highlight=False, soft_wrap=True)
_HEARTBEAT_SECONDS = 20.0


@contextmanager
def step(what: str, usually_seconds: float = 0, log: Path | None = None) -> Iterator[None]:
    """Announce a step, show a sign of life while it runs, and say how long it took.

    A step that is over before the first heartbeat and usually is, is told in one line.
    """
    started = time.monotonic()
    over = threading.Event()
    if log is not None:
        log.unlink(missing_ok=True)  # the last time's would be told as this one's
    usual = f", usually {usually_seconds:.0f} s" if usually_seconds else ""
    if usually_seconds > _HEARTBEAT_SECONDS:
        say(f"[cyan]…[/] {what}{usual}")

    def beat() -> None:
        while not over.wait(_HEARTBEAT_SECONDS):
            elapsed = time.monotonic() - started
            at = f": {last_lines(log, 1)[:100]}" if log and log.exists() else ""
            _console.print(f"  {what}: {elapsed:.0f} s{usual}{at}", markup=False, style="dim")

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    except BaseException:
        say(f"[red]✗[/] {what} ({time.monotonic() - started:.0f} s)")
        raise
    finally:
        over.set()
        heart.join()
    say(f"[green]✓[/] {what} ({time.monotonic() - started:.0f} s)")


def say(line: str) -> None:
    """Print one line for the person who waits."""
    _console.print(line)


def last_lines(log: Path, count: int = 20) -> str:
    """Return the last lines of a log, or the empty string where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 200 * count))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-count:])
