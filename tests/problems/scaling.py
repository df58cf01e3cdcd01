"""Values of predictor.autoscaling and of the warm-up that cannot work."""

from typing import Any

from rendering import merged

from problems.case import KNATIVE, Problem, problem, scaling

AT = "predictor.autoscaling"
WAITING = f"{AT}.waitingRequests"
PROMPTS: dict[str, Any] = {"warmup": {"prompts": ["You are an assistant."]}}
PRESET: dict[str, Any] = {
    "monitoring": {"podMonitor": {"enabled": True}},
    "predictor": scaling(
        **{"class": "keda"}, preset="waiting-requests", waitingRequests={"prometheusUrl": "http://prometheus:9090"}
    ),
}


def preset(*named: str, **values: Any) -> Problem:
    """A problem of preset waiting-requests, which these values of autoscaling make."""
    return Problem(named=named, values=merged(PRESET, {"predictor": {"autoscaling": values}}))


SCALING = {
    "behavior before KServe has it": problem(
        f"{AT}.behavior", "KServe 0.16", kserve={"version": "0.15"}, predictor=scaling(behavior={"scaleDown": {}})
    ),
    "a preset of an autoscaler that is off": preset(f"{AT}.preset", f"{AT}.enabled", enabled=False),
    **{
        f"a preset of KEDA with class {kind}": preset(f"{AT}.class", f"{AT}.preset", "keda", **{"class": kind})
        for kind in ("hpa", "external")
    },
    **{
        f"a preset beside {name}": preset(f"{AT}.{name}", f"{AT}.preset", **{name: value})
        for name, value in {
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {}}}],
            "scaleMetric": "cpu",
            "scaleTarget": 80,
        }.items()
    },
    "a preset without Prometheus": preset(f"{WAITING}.prometheusUrl", waitingRequests={"prometheusUrl": ""}),
    "a preset whose series nobody scrapes": Problem(
        named=(f"{WAITING}.query", "monitoring.podMonitor.enabled"), values={"predictor": PRESET["predictor"]}
    ),
    "no replica and nothing that calls one": preset(
        f"{WAITING}.activationQuery", f"{AT}.minReplicas", minReplicas=0, maxReplicas=2
    ),
    "no replica and nobody who knows what runs": Problem(
        named=(f"{AT}.minReplicas", "monitoring.podMonitor.enabled"),
        values=merged(
            {"predictor": PRESET["predictor"]},
            {
                "predictor": {
                    "autoscaling": {"minReplicas": 0, "waitingRequests": {"query": "a", "activationQuery": "b"}}
                }
            },
        ),
    ),
    "a call for the first replica, which always runs": preset(
        f"{WAITING}.activationQuery", f"{AT}.minReplicas", waitingRequests={"activationQuery": "vector(1)"}
    ),
    "a warm-up without LMCache": problem(
        "warmup", "lmcache.enabled", lmcache={"enabled": False}, remoteBackend={"type": "none"}, **PROMPTS
    ),
    "prompts of the warm-up that no ConfigMap holds": problem(
        "warmup.prompts", "warmup.existingConfigMap", warmup={"prompts": ["a" * 500_000, "b" * 500_000]}
    ),
    **{
        f"a warm-up without a replica, {name}": problem("warmup", f"{AT}.minReplicas", **values, **PROMPTS)
        for name, values in {
            "KEDA": {"predictor": scaling(**{"class": "keda"}, minReplicas=0)},
            "Knative": {"predictor": scaling(minReplicas=0), **KNATIVE},
        }.items()
    },
}
