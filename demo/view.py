"""A moment of the demo as a live view for a terminal, or as one line for a log. Pure."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.state import EventLine, Moment, State, unready, within_objective
from load.results import SecondReport
from trireme.api.scaling_status import DecisionStatus

_BARS = "▁▂▃▄▅▆▇█"
_SPARKLINE_WIDTH = 48
_SHOWN_DECISIONS = 4
_SHOWN_EVENTS = 4

GOOD, BAD, DIM = "green", "bold red", "dim"


def sparkline(values: Sequence[float | None], width: int, top: float | None = None) -> str:
    """The values as bars from 0 to `top` (their largest, where None), oldest first.

    More values than `width` share columns, each showing its largest, so that a peak is never
    lost; unknown values are blanks.
    """
    columns = _columns(values, width)
    known = [value for value in columns if value is not None]
    highest = top if top is not None else max(known, default=0.0)
    if highest <= 0:
        return "".join(" " if value is None else _BARS[0] for value in columns)
    last = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[round(min(max(value, 0.0), highest) / highest * last)]
        for value in columns
    )


def _columns(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    columns: list[float | None] = []
    for column in range(width):
        # 100 values in 48 columns: column 0 has values 0 and 1, column 1 value 2 and 3, ...
        part = values[column * len(values) // width : (column + 1) * len(values) // width]
        columns.append(max((value for value in part if value is not None), default=None))
    return columns


def clock(seconds: float) -> str:
    """`2:05` for 125 seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def milliseconds(value: float | None) -> str:
    """`182 ms`, `1.9 s`, or a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def count(value: float | None) -> str:
    """A whole number, or a dash for what is not known."""
    return "–" if value is None else f"{value:.0f}"


def live(state: State) -> RenderableType:
    """The whole view."""
    return Group(
        Panel(_measures(state), title=_title(state), title_align="left", border_style="blue"),
        Panel(_decisions(state), title="Decisions", title_align="left", border_style="blue"),
        Panel(_events(state), title="Events", title_align="left", border_style="blue"),
    )


def _title(state: State) -> Text:
    name = state.agent.metadata.name if state.agent else "?"
    elapsed = f"{clock(len(state.moments))} of {clock(state.profile_seconds)}"
    title = Text(f"agent {name} in namespace {state.namespace} · {elapsed} · ")
    reason = unready(state.agent)
    return title.append(reason or "Ready", style="yellow" if reason else GOOD)


def _measures(state: State) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style=DIM, min_width=17)
    table.add_column(min_width=30)
    table.add_column(no_wrap=True)
    moments = state.moments
    now = moments[-1].load if moments else None
    target = state.target_ms

    def line(values: Sequence[float | None], top: float | None = None) -> str:
        return sparkline(values, _SPARKLINE_WIDTH, top)

    table.add_row(
        "requests",
        Text(f"{count(now.sent)}/s sent, {count(now.ok)}/s served" if now else "no load yet"),
        Text(line([moment.load.sent for moment in moments]), style="cyan"),
    )
    table.add_row(
        "p95 at client",
        _against(now.latency_ms.p95 if now and now.latency_ms else None, target),
        # The objective is at half the height, so that what breaks it stands out.
        _coloured(moments, line([_p95(moment) for moment in moments], _twice(target)), target),
    )
    observed = state.observed
    table.add_row(
        f"{(observed and observed.latency_kind) or 'latency'} at server",
        _against(observed.latency_milliseconds if observed else None, target),
        Text(f"at {observed.time[11:19]} UTC" if observed else "", style=DIM),
    )
    most = state.agent.spec.scaling.max if state.agent else None
    table.add_row(
        "pods",
        Text(f"{count(state.wanted)} wanted, {count(state.ready)} ready, {count(most)} at most"),
        Text(line([moment.ready for moment in moments], most), style="magenta"),
    )
    table.add_row(
        "waiting",
        Text(
            f"{count(observed.pending if observed else None)} in Triton, "
            f"{count(now.in_flight if now else None)} unanswered"
        ),
        Text(line([moment.load.in_flight for moment in moments]), style="yellow"),
    )
    lost = lost_so_far(moments)
    table.add_row("lost", Text(str(lost), style=BAD if lost else GOOD), "")
    return table


def _p95(moment: Moment) -> float | None:
    return moment.load.latency_ms.p95 if moment.load.latency_ms else None


def _twice(target: float | None) -> float | None:
    return None if target is None else 2 * target


def _against(value: float | None, target: float | None) -> Text:
    text = Text(milliseconds(value))
    if value is not None and target is not None:
        text.stylize(GOOD if value <= target else BAD)
    return text.append(f" of {milliseconds(target)}", style=DIM) if target is not None else text


def _coloured(moments: Sequence[Moment], bars: str, target: float | None) -> Text:
    """Bars red where the objective was broken."""
    if target is None:
        return Text(bars)
    broken = [float(within_objective(moment, target) is False) for moment in moments]
    text = Text()
    for bar, is_broken in zip(bars, _columns(broken, _SPARKLINE_WIDTH), strict=True):
        text.append(bar, style=BAD if is_broken else GOOD)
    return text


def lost_so_far(moments: Sequence[Moment]) -> int:
    """Requests that failed or could not be sent."""
    return sum(moment.load.failed + moment.load.not_sent for moment in moments)


def _decisions(state: State) -> RenderableType:
    if not state.decisions:
        return Text("none yet", style=DIM)
    return _lines(
        [
            (decision.time[11:19], decision.reason, decision.message, False)
            for decision in state.decisions[-_SHOWN_DECISIONS:]
        ]
    )


def _events(state: State) -> RenderableType:
    if not state.events:
        return Text("none yet", style=DIM)
    return _lines(
        [
            (f"{event.at:%H:%M:%S}", event.reason, _note(event), event.warning)
            for event in state.events[-_SHOWN_EVENTS:]
        ]
    )


def _note(event: EventLine) -> str:
    return event.note if event.count == 1 else f"{event.note} (×{event.count})"


def _lines(rows: Sequence[tuple[str, str, str, bool]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=DIM, no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for time, reason, words, warning in rows:
        table.add_row(time, Text(reason, style="yellow" if warning else ""), Text(words))
    return table


def plain(state: State) -> str:
    """The moment as one line."""
    if not state.moments:
        return f"waiting for the load; {unready(state.agent) or 'the agent is ready'}"
    now: SecondReport = state.moments[-1].load
    observed = state.observed
    return (
        f"{clock(now.second + 1):>5}  sent {now.sent}/s  served {now.ok}/s  "
        f"p95 {milliseconds(_p95(state.moments[-1]))} of {milliseconds(state.target_ms)}  "
        f"pods {count(state.ready)} of {count(state.wanted)}  "
        f"pending {count(observed.pending if observed else None)}  "
        f"unanswered {now.in_flight}  lost {lost_so_far(state.moments)}"
    )


def decision_line(decision: DecisionStatus) -> str:
    """A decision as one line."""
    return f"{decision.time[11:19]}  {decision.reason}: {decision.message}"
