"""Values of monitoring that cannot work."""

from typing import Any

from rendering import remote_backend, with_exporter

from problems.case import BACKENDS_IMAGE, KNATIVE, problem

ON: dict[str, Any] = {"monitoring": {"podMonitor": {"enabled": True}}}

MONITORING = {
    "a dashboard of what nothing records": problem(
        "monitoring.dashboard.enabled", "monitoring.rules.enabled", monitoring={"dashboard": {"enabled": True}}
    ),
    "rules that nothing is scraped for": problem(
        "monitoring.rules.enabled", "monitoring.podMonitor.enabled", monitoring={"rules": {"enabled": True}}
    ),
    **{
        f"an alert's {key} of another type": problem(
            f"monitoring.rules.alerts.LMCacheFailover.{key}",
            kind,
            monitoring={"rules": {"alerts": {"LMCacheFailover": {key: value}}}},
        )
        for key, kind, value in (("enabled", "Boolean", "no"), ("severity", "text", 1), ("threshold", "number", "2"))
    },
    "an alert that there is not": problem(
        "monitoring.rules.alerts.LMCacheDown",
        "LMCacheScrapeMissing",
        monitoring={"rules": {"alerts": {"LMCacheDown": {"for": "1m"}}}},
    ),
    "PodMonitors in mode Knative": problem("monitoring.podMonitor.enabled", "kserve.deploymentMode", **ON, **KNATIVE),
    **{
        f"a policy that shuts Prometheus out of {kind}": problem(
            "networkPolicy.backend.ingressFrom", "monitoring.podMonitor.enabled", **ON, **more, **remote_backend(kind)
        )
        for kind, more in {"redis-sentinel": {}, "mooncake": BACKENDS_IMAGE}.items()
    },
    "a policy that shuts Prometheus out of an exporter": problem(
        "networkPolicy.backend.ingressFrom",
        "monitoring.podMonitor.enabled",
        **ON,
        **with_exporter("valkey"),
    ),
}
