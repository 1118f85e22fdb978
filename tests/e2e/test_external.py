"""(i) Mode External: a real HorizontalPodAutoscaler decides, through the resource's /scale."""

from e2e.agents import slow_agent, start
from e2e.load import Load
from kube import Kube, merged


def test_a_horizontal_pod_autoscaler_scales_the_agent_through_its_scale(
    kube: Kube, system: Kube
) -> None:
    nodes = Kube(system.kubeconfig, "kube-system")
    nodes.run("rollout", "status", "deployment", "metrics-server", "--timeout=300s")
    agent, files = slow_agent("agent", mode="External")
    name = start(kube, merged(agent, {"spec": {"replicas": 1}}), files)
    load = Load(kube, "load", name, "policy", "1800s@30")
    kube.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": agent["apiVersion"],
                    "kind": agent["kind"],
                    "name": name,
                },
                "minReplicas": 1,
                "maxReplicas": 2,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
                # Far below what 30 requests a second take of a core, above what two idle pods do.
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "AverageValue", "averageValue": "8m"},
                        },
                    }
                ],
            },
        }
    )
    kube.until("the HPA's wish in the spec", lambda: _wanted(kube, name) == 2, 180, name)
    kube.until("and carried out", lambda: kube.ready_pods(name) == 2, 180, name)
    assert kube.conditions(name)["AutoscalingActive"][1] == "External"
    load.stop()
    load.all_answered()
    kube.until("its wish for fewer", lambda: _wanted(kube, name) == 1, 300, name)
    kube.until("carried out too", lambda: kube.ready_pods(name) == 1, 180, name)


def _wanted(kube: Kube, agent: str) -> int:
    return int(kube.get("agd", agent)["spec"]["replicas"])
