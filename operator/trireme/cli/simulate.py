"""`trireme simulate`: what autoscalers would have made of recorded traffic."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trireme.cli import simulated_agent
from trireme.cli.simulation_options import (
    NAMES,
    classes_of,
    failures_of,
    least_sustained,
    moment,
    names_of,
    objective_of,
    ratio_of,
    refuse_of_pipelines,
    seconds_of,
    shape_of,
)
from trireme.cli.simulation_progress import progress_bar
from trireme.cli.simulation_scenario import (
    OVER_PEAK,
    bounds_from,
    hours_from,
    lead_time_from,
    pod_from,
    required,
    room_from,
    rules_from,
    schedules_from,
)
from trireme.cli.simulation_tables import (
    MOMENT,
    as_object,
    class_object,
    print_classes,
    print_table,
)
from trireme.cli.simulation_traffic import measured, recorded
from trireme.simulator import class_comparison, comparison
from trireme.simulator.class_comparison import ClassScenario, ClassScore
from trireme.simulator.comparison import Score
from trireme.simulator.pods import Balancer
from trireme.simulator.scenario import Scenario, with_peak
from trireme.simulator.served import ServingPod
from trireme.simulator.shapes import Shape, made
from trireme.simulator.traces import window


@dataclass(frozen=True, slots=True)
class Drawer:
    """What writes pictures into a folder, and says which."""

    policies: Callable[[Scenario, Sequence[Score], Sequence[Score], Path], list[Path]]
    classes: Callable[[ClassScenario, Sequence[ClassScore], Path], list[Path]]


_TRACE_PEAK = 20  # replicas that a trace's highest rate takes, unless said
_MOST_REPLICAS = 10_000
_OF_THE_PAST = ("agent", "model", "days", "until", "step", "fill_gaps")
_OF_EACH_CLASS = ("instances", "noise", "lead_time", "lead_time_variation")
_OF_ONE_CLASS = {
    "curve": "each class has its own in --node-class: leave it out",
    "lead_time": "each class has its own in --node-class: leave it out",
    "balancer": "what comes to node classes is shared out by what their pods sustain: leave it "
    "out, or say --curve and --lead-time of one class in their place",
    "events": "pods of node classes are simulated second by second: leave it out, or say --curve "
    "and --lead-time of one class in their place",
}


class Output(StrEnum):
    """How the comparison is printed."""

    TABLE = "table"  # for people
    JSON = "json"  # one list, on standard output


def simulate(
    context: typer.Context,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Recorded traffic: a CSV of seconds,requests per bin, or of seconds per arrival.",
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[=DURATION]",
            help=f"Instead: made up, one of {', '.join(Shape)}; an hour unless said.",
        ),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Instead: what an agent was asked, by this Prometheus."),
    ] = None,
    filename: Annotated[
        typer.FileText | None,
        typer.Option(
            "-f",
            "--filename",
            metavar="FILE",
            encoding="utf-8",
            help="An agent, as kubectl get agd NAME -o yaml prints it: its objective, its bounds, "
            "its rules, and what was learnt of its pods; - reads standard input.",
        ),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            metavar="NAMESPACE/NAME", help="Which agent, with --prometheus; of -f the file's."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Which of its models, where it has no gateway, or is asked by streams; of -f the "
            "objective's."
        ),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0.01, max=366, help="How much of its past, up to --until.")
    ] = 14,
    until: Annotated[
        datetime | None,
        typer.Option(metavar="TIME", formats=[MOMENT], help="In UTC; now unless said."),
    ] = None,
    step: Annotated[
        str, typer.Option(metavar="DURATION", help="Between two values of its past.")
    ] = "60s",
    fill_gaps: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="Draw a straight line where values are missing for so long at most.",
        ),
    ] = "0s",
    curve: Annotated[
        str | None,
        typer.Option(
            metavar="A,C,B",
            help="What a batch of b requests takes, A + C b, and the largest b: 6ms,2ms,16.",
        ),
    ] = None,
    slo: Annotated[
        str | None, typer.Option("--slo", metavar="pN=DURATION", help="The objective: p95=100ms.")
    ] = None,
    lead_time: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="From the order of a pod to its first answer: 30s."),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(
            metavar="TIME",
            formats=[MOMENT],
            help="When the trace begins, in UTC; the agent's schedules need it.",
        ),
    ] = None,
    node_class: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,PRICE,A,C,B,LEAD",
            help="In the place of both: pods of one class of nodes, and what one costs for an "
            "hour. Several times: their cheapest mix, beside fleets of each alone.",
        ),
    ] = None,
    peak_replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST_REPLICAS,
            help="Scale the traffic so that so many pods, of the first class, sustain its highest "
            "rate. Unless said: 20, with -f half of the agent's max, an agent's past not at all.",
        ),
    ] = None,
    policies: Annotated[
        str, typer.Option(metavar="NAME,...", help=f"Which to compare, of {NAMES}.")
    ] = "trireme,hpa-rps,hpa-p95,keda,kpa",
    instances: Annotated[
        int, typer.Option(min=1, max=64, help="Instances of the model in each pod.")
    ] = 1,
    noise: Annotated[
        str, typer.Option(metavar="PERCENT", help="How batches' times vary around the curve: 10%.")
    ] = "0%",
    lead_time_variation: Annotated[
        str, typer.Option(metavar="PERCENT", help="How lead times vary around theirs: 30%.")
    ] = "0%",
    min_replicas: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="What no policy goes below; 1, or the min of the agent and of its schedules. With "
            "0 the last pod goes, too, and what comes starts one.",
        ),
    ] = None,
    max_replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST_REPLICAS,
            help="Nor above; by default twice the peak's, or the max of the agent and of its "
            "schedules.",
        ),
    ] = None,
    gpu_budget: Annotated[
        int | None,
        typer.Option(min=1, help="The GPUs that the agent of -f may have of its budget."),
    ] = None,
    balancer: Annotated[
        Balancer, typer.Option(help="How requests are spread; the gateway is power-of-two.")
    ] = Balancer.POWER_OF_TWO,
    length: Annotated[
        str | None,
        typer.Option("--window", metavar="DURATION", help="Only a part of the trace so long: 48h."),
    ] = None,
    failures: Annotated[
        str,
        typer.Option(
            metavar="WHAT,...",
            help="deaths=0.02 of each pod an hour, outages=3x10m of the metrics in all.",
        ),
    ] = "",
    events: Annotated[
        bool,
        typer.Option(
            "--events",
            help="Serve every request by itself, batch by batch: for short times and small fleets.",
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Of all that is drawn; the same seed, the same answer.")
    ] = 1,
    output: Annotated[Output, typer.Option("-o", "--output", help="table or json.")] = Output.TABLE,
    plots: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Write PNGs into this directory, with each policy's target swept.",
        ),
    ] = None,
) -> None:
    """Compare autoscalers on recorded traffic, in virtual time. Told are cost and late requests.

    The trace's rate is smoothed over a minute and scaled; pods are simulated second by second. Each
    policy's GPU-hours are put beside a clairvoyant's: a bound that none can go below and keep the
    SLO minute by minute, and the cost of a schedule that keeps it in the same simulation. Of node
    classes costs are in the unit of the prices, beside what the cheapest mix at each moment
    costs. With -o json the answer is a list of objects, one a policy.
    """
    names = names_of(policies)
    draw = _drawer() if plots is not None else None
    spread = ratio_of("--noise", noise)
    variation = ratio_of("--lead-time-variation", lead_time_variation)
    classes = classes_of(node_class or (), instances, spread, variation)
    told = None if filename is None else simulated_agent.read(filename, model)
    objective = told.objective if told and slo is None else objective_of(required(slo, "--slo"))
    if told is not None and told.has_classes and not classes and curve is None:
        _refuse(
            context,
            _OF_EACH_CLASS,
            "each class has its own in the file: leave it out, or say --node-class, or --curve and "
            "--lead-time of one class",
        )
        classes = told.classes()
    pods: list[tuple[str, ServingPod]]
    begins: datetime | None
    if classes:
        for option, words in _OF_ONE_CLASS.items():
            _refuse(context, (option,), words)
        pods = [(f"--node-class {each.name}", each.pod) for each in classes]
    else:
        if told is not None and curve is None:
            _refuse(context, ("instances", "noise"), "the agent's are taken: say --curve, too")
        if told is not None and lead_time is None:
            _refuse(context, ("lead_time_variation",), "it is the agent's: say --lead-time, too")
        pods = [("--curve", pod_from(curve, told, instances, spread))]
        lead = lead_time_from(lead_time, told, variation)
    refuse_of_pipelines([pod for _, pod in pods], names, events)
    fails = failures_of(failures)
    part = None if length is None else int(seconds_of("--window", length))
    if part is not None and part < 60:
        raise typer.BadParameter(f"{length} is too short: write 1m or more", param_hint="--window")
    if sum(source is not None for source in (trace, shape, prometheus)) != 1:
        raise typer.BadParameter(
            "say one of them: where the traffic is from",
            param_hint="--trace, --shape, --prometheus",
        )
    if prometheus is None:
        words = "it is of an agent's past: leave it out, or say --prometheus"
        _refuse(context, [each for each in _OF_THE_PAST if each != "model" or not told], words)
    least_of_pod = least_sustained(objective, pods)
    _, pod = pods[0]
    if prometheus is not None:
        asked = agent or (told.name if told else None)
        of_model = told.asked.model if told else model
        alone = told is not None and told.has_several_objectives
        words = "an agent's past has its own times: leave it out, or say --until"
        _refuse(context, ("start",), words)
        traffic, begins = measured(prometheus, asked, of_model, alone, days, until, step, fill_gaps)
    else:
        of_agent = max(told.bounds.most // OVER_PEAK, 1) if told else _TRACE_PEAK
        peak_replicas = peak_replicas or of_agent
        traffic = recorded(trace) if trace is not None else made(*shape_of(shape or ""))
        begins = None if start is None else moment("--start", start)
    if peak_replicas is not None:
        traffic = with_peak(traffic, pod, objective, peak_replicas)
    bounds = bounds_from(min_replicas, max_replicas, told, traffic, least_of_pod)
    if part is not None:
        traffic = window(traffic, part, seed)
    hours = hours_from(begins, traffic, schedules_from(min_replicas, max_replicas, told))
    rules = rules_from(told, bounds)
    room = room_from(gpu_budget, told, classes, hours.widest(bounds).least)
    for words in told.otherwise() if told else ():
        typer.echo(f"-f: simulated otherwise: {words}", err=True)
    if classes:
        of_classes = ClassScenario(
            traffic, classes, objective, bounds, seed, rules, fails, hours, room
        )
        told_classes = _compare_classes(of_classes, names, output)
        if draw is not None and plots is not None:
            _say_written(draw.classes(of_classes, told_classes, plots))
        return
    on = Scenario(
        traffic,
        pod,
        objective,
        lead,
        bounds,
        seed,
        balancer,
        fails,
        by_events=events,
        rules=rules,
        hours=hours,
        room=room,
    )
    with progress_bar(
        len(names) * (1 if draw is None else 1 + len(comparison.MULTIPLES)) + 1
    ) as bar:
        scores = comparison.compare(on, names, bar)
        if draw is not None and plots is not None:
            swept = [
                score
                for name in names
                for score in comparison.sweep(on, scores[0].optimum, name, bar)
            ]
            written = draw.policies(on, scores, swept, plots)
    if output is Output.JSON:
        typer.echo(json.dumps([as_object(score) for score in scores], indent=2))
    else:
        print_table(on, scores)
    if draw is not None:
        _say_written(written)


def _refuse(context: typer.Context, options: Sequence[str], words: str) -> None:
    """Nothing that was said is passed over."""
    given = [
        f"--{name.replace('_', '-')}"
        for name in options
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(words, param_hint=", ".join(given))


def _say_written(paths: Sequence[Path]) -> None:
    for path in paths:
        typer.echo(f"wrote {path}", err=True)


def _compare_classes(
    on: ClassScenario, names: Sequence[str], output: Output
) -> Sequence[ClassScore]:
    """Costs by node class, as figures or for people."""
    with progress_bar(1 + len(names) * len(on.classes)) as bar:
        scores = [*class_comparison.compare(on, names, bar)]
    if output is Output.JSON:
        typer.echo(json.dumps([class_object(score) for score in scores], indent=2))
    else:
        print_classes(on, scores)
    return scores


def _drawer() -> Drawer:
    """What draws: an extra, since most who simulate want figures only."""
    try:
        from trireme.cli.simulation_plots import draw, draw_classes
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"needs {error.name}, which is not installed: pip install '.[plots]' in a checkout",
            param_hint="--plots",
        ) from error
    return Drawer(draw, draw_classes)
