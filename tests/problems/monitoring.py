"""Values of monitoring that cannot work."""

from typing import Any

from rendering import remote_backend

from problems.case import BACKENDS_IMAGE, KNATIVE, problem

ON: dict[str, Any] = {"monitoring": {"podMonitor": {"enabled": True}}}

MONITORING = {
    "PodMonitors in mode Knative": problem("monitoring.podMonitor.enabled", "kserve.deploymentMode", **ON, **KNATIVE),
    **{
        f"a policy that shuts Prometheus out of {kind}": problem(
            "networkPolicy.backend.ingressFrom", "monitoring.podMonitor.enabled", **ON, **more, **remote_backend(kind)
        )
        for kind, more in {"redis-sentinel": {}, "mooncake": BACKENDS_IMAGE}.items()
    },
}
