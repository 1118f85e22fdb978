"""(a) What was applied is served, through the Service, and (h) goes without a trace."""

from e2e.agents import EXAMPLES, start
from e2e.load import Load
from kube import Kube, objects

CHILDREN = "deploy,rs,pods,svc,cm,sa,pdb"


def test_a_model_is_applied_becomes_ready_answers_and_is_deleted_without_a_trace(
    kube: Kube,
) -> None:
    before = {(o["kind"], o["metadata"]["name"]) for o in kube.all(CHILDREN)}
    agent, files = objects(EXAMPLES / "echo.yaml")
    start(kube, agent, files)
    summary = Load(kube, "load", "echo", "double", "5s@20").all_answered()
    assert summary["sent"] > 50, summary
    assert [reason for reason, _ in kube.events("echo")][:1] == ["Accepted"]

    kube.run("delete", "agd", "echo", "--wait")
    kube.run("delete", "job", "load", "--wait")
    kube.run("delete", "configmap", files["metadata"]["name"])

    def left() -> set[tuple[str, str]]:
        return {(o["kind"], o["metadata"]["name"]) for o in kube.all(CHILDREN)} - before

    kube.until("nothing is left behind", lambda: not left(), 180)


def test_a_pipeline_is_called_as_one_model(kube: Kube) -> None:
    kube.run("apply", "-f", str(EXAMPLES / "pipeline.yaml"))
    kube.until("Ready", lambda: kube.find("agd", "pipeline") and kube.is_ready("pipeline"), 180)
    flags = ("--input=text:BYTES:1x1", "--output=score", "--expect=score")
    summary = Load(kube, "load", "pipeline", "agent", "5s@10", *flags).all_answered()
    assert summary["sent"] > 20, summary
    models = {m["name"]: m["readyPods"] for m in kube.get("agd", "pipeline")["status"]["models"]}
    assert models == {"tokenizer": 1, "scorer": 1, "agent": 1}
