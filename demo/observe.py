"""Gathers the state from the cluster while the load runs, and shows each moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Event, Thread

from rich.console import Console
from rich.live import Live

from demo.cluster import NO_ANSWER, Cluster
from demo.errors import DemoError
from demo.state import State, load_ended, load_started, with_agent, with_load
from demo.view import decision_line, live, plain
from load.results import SecondReport, Summary, parse_line

_PLAIN_EVERY_SECONDS = 5
_LOOK_EVERY_SECONDS = 1.0

Line = SecondReport | Summary


def observe(cluster: Cluster, console: Console, state: State, agent: str, job: str) -> State:
    """Watch until the load's summary has come; returns the last state.

    Raises DemoError where the load ended without a summary.
    """
    lines: SimpleQueue[Line] = SimpleQueue()
    stop = Event()
    follower = Thread(
        target=_follow, args=(cluster, job, state.namespace, lines.put, stop), daemon=True
    )
    follower.start()
    try:
        with _display(console) as show:
            while state.summary is None:
                state = with_load(_look(cluster, state, agent, job), _drain(lines))
                if state.summary is None and not follower.is_alive():
                    state = with_load(state, _drain(lines))
                    if state.summary is None:
                        raise DemoError("the load ended without a summary: see its pod's log")
                show(state)
    finally:
        stop.set()
    return _look(cluster, state, agent, job)


def _look(cluster: Cluster, state: State, name: str, job: str) -> State:
    """The state with the cluster's part as it now is; where the API does not answer, as it was."""
    try:
        state = with_agent(state, cluster.agent(name, state.namespace))
        pod = cluster.job_pod(job, state.namespace)
        return replace(
            state,
            events=cluster.events(name, state.namespace),
            load_started=(pod and load_started(pod)) or state.load_started,
        )
    except NO_ANSWER:
        return state


def _drain(lines: "SimpleQueue[Line]") -> Iterator[Line]:
    """What has come, waiting for the first line, so that the view keeps the load's own pace."""
    try:
        yield lines.get(timeout=_LOOK_EVERY_SECONDS)
        while True:
            yield lines.get_nowait()
    except Empty:
        return


def _follow(
    cluster: Cluster, job: str, namespace: str, put: Callable[[Line], None], stop: Event
) -> None:
    """Read the load's log from its beginning again and again, until it held the summary or its pod
    has ended.
    """
    while not stop.wait(_LOOK_EVERY_SECONDS):
        try:
            pod = cluster.job_pod(job, namespace)
            if pod is None or load_started(pod) is None:
                continue
            ended = load_ended(pod)  # asked before reading: what is read then is the whole log
            for text in cluster.log_lines(pod["metadata"]["name"], namespace):
                if (line := parse_line(text)) is not None:
                    put(line)
                    ended = ended or isinstance(line, Summary)
            if ended:
                return
        except NO_ANSWER:
            continue


@contextmanager
def _display(console: Console) -> Iterator[Callable[[State], None]]:
    """How a state is shown: live in a terminal, else a line each 5 s and at each decision."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as view:
            yield lambda state: view.update(live(state), refresh=True)
        return

    shown_decisions = shown_moments = 0

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(state: State) -> None:
        nonlocal shown_decisions, shown_moments
        for decision in state.decisions[shown_decisions:]:
            say(f"       {decision_line(decision)}")
        shown_decisions = len(state.decisions)
        if len(state.moments) // _PLAIN_EVERY_SECONDS > shown_moments // _PLAIN_EVERY_SECONDS:
            say(plain(state))
        shown_moments = len(state.moments)

    yield show
