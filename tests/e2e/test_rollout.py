"""(c), (d): a change of the spec under load, and a bad one after a good one."""

from e2e.agents import server_pods, slow_agent, start
from e2e.load import Load
from kube import Kube, merged


def test_a_new_spec_is_rolled_out_under_load_and_no_request_fails(kube: Kube) -> None:
    agent, files = slow_agent("agent", min=2, max=2)
    name = start(kube, agent, files)
    load = Load(kube, "load", name, "policy", "1800s@20")
    kube.until("load is on", load.started)
    before = kube.get("agd", name)["status"]["repositoryDigest"]
    source = files["data"]["model.py"].replace("2 * torch.eye(16)", "torch.eye(16) + torch.eye(16)")
    kube.apply(merged(files, {"data": {"model.py": source}}))
    kube.apply(merged(agent, {"spec": {"server": {"env": [{"name": "GENERATION", "value": "2"}]}}}))

    def rolled_out() -> bool:
        status = kube.get("agd", name)["status"]
        return status["repositoryDigest"] != before and kube.is_ready(name)

    kube.until("the rollout ends", rolled_out, 300, name)
    kube.until("the old pods are gone", lambda: len(server_pods(kube, name)) == 2, 180, name)
    load.stop()
    load.all_answered()
    reasons = [reason for reason, _ in kube.events(name)]
    assert "RolloutStarted" in reasons
    assert "RolloutFinished" in reasons


def test_a_bad_spec_after_a_good_one_is_refused_with_every_fault_and_the_agent_keeps_serving(
    kube: Kube,
) -> None:
    agent, files = slow_agent("agent", min=1, max=1)
    name = start(kube, agent, files)
    generation = kube.get("deployment", name)["metadata"]["generation"]
    model = agent["spec"]["models"][0]
    bad = merged(model, {"warmup": [{"batchSize": 64}], "config": {"max_batch_sise": 4}})
    objective = merged(agent["spec"]["objectives"][0], {"model": "polcy"})
    kube.apply(merged(agent, {"spec": {"models": [bad], "objectives": [objective]}}))

    kube.until("refused", lambda: kube.conditions(name)["Accepted"][0] == "False", 180, name)
    conditions = kube.conditions(name)
    message = conditions["Accepted"][2]
    for part in ("spec.models[0].warmup[0].batchSize", "max_batch_sise", "polcy", "policy"):
        assert part in message, message
    assert conditions["Available"][0] == "True"
    assert conditions["Stalled"][:2] == ("True", "InvalidSpec")
    Load(kube, "load", name, "policy", "5s@10").all_answered()
    assert kube.get("deployment", name)["metadata"]["generation"] == generation
    told = [e for e in kube.all("events.events.k8s.io") if e["reason"] == "InvalidSpec"]
    assert [(e["note"][:100], e.get("series")) for e in told] == [(message[:100], None)]
