"""The operator's own metrics: an agent's series go with it, and no other's."""

from trireme.edge.metrics import Metrics


def told(metrics: Metrics, agent: str) -> set[str]:
    """What is told of an agent."""
    lines = metrics.text().decode().splitlines()
    return {line for line in lines if f'agent="{agent}"' in line and "_created" not in line}


def tell(metrics: Metrics, agent: str) -> None:
    """All that there is to tell of an agent."""
    key = ("team", agent)
    metrics.desired_replicas.labels(*key).set(3)
    metrics.set_classes(*key, {"spot": 2, "firm": 1})
    metrics.decisions.labels(*key, "ScaledUp").inc()
    metrics.decisions.labels(*key, "Held").inc()
    metrics.signals_available.labels(*key).set(1)
    metrics.signals_read_directly.labels(*key).set(0)
    metrics.lead_time.labels(*key).set(62)
    metrics.start_stage.labels(*key, "load").set(19)
    metrics.set_canary(*key, "Progressing", 0.05)
    for track in ("stable", "canary"):
        metrics.count_answers(*key, track, 10, 1, 0, 2)


def test_of_an_agent_that_is_gone_nothing_is_told() -> None:
    metrics = Metrics()
    for agent in ("gone", "stays"):
        tell(metrics, agent)
    before = told(metrics, "stays")
    assert len(before) == len(told(metrics, "gone")) == 19
    metrics.forget("team", "gone")
    assert told(metrics, "gone") == set()
    assert told(metrics, "stays") == before
    metrics.forget("team", "never-there")


def test_a_canary_has_one_phase_and_its_counters_stay() -> None:
    metrics = Metrics()
    tell(metrics, "echo")
    metrics.set_canary("team", "echo", "Promoted", 1.0)
    phases = {line for line in told(metrics, "echo") if "canary_phase" in line}
    assert phases == {'trireme_canary_phase{agent="echo",namespace="team",phase="Promoted"} 1.0'}
    metrics.forget_canary("team", "echo")
    left = {line.partition("{")[0] for line in told(metrics, "echo") if "canary" in line}
    assert left == {
        f"trireme_canary_{counted}_total" for counted in ("requests", "failures", "refused", "late")
    }


def test_a_node_class_that_goes_is_told_of_no_more() -> None:
    metrics = Metrics()
    for pods in ({"spot": 2, "firm": 1}, {"firm": 3}):
        metrics.set_classes("team", "echo", pods)
    assert told(metrics, "echo") == {
        'trireme_agent_class_desired_replicas{agent="echo",namespace="team",node_class="firm"} 3.0'
    }
