"""A pod for tests of local runs: a small server that greets."""

from typing import Any

import httpx2

from lmcache_kserve.local.plan import PodPlan
from lmcache_kserve.local.pod import LocalPod

SERVER = """
import http.server, os, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        body = open(os.environ["GREETING_FILE"]).read().encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


GREETING = "hello from web.models.svc:8080"


def container(**changes: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "image": "server:1",
        "command": ["python3", "-c", SERVER],
        "args": ["8080"],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "GREETING_FILE", "value": "/etc/greeting/text"}],
        "volumeMounts": [{"name": "greeting", "mountPath": "/etc/greeting"}],
        "startupProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 1, "failureThreshold": 20},
    } | changes


def plan(*containers: dict[str, Any], init: list[dict[str, Any]] | None = None) -> PodPlan:
    return PodPlan(
        name="web-0",
        component="web",
        labels={"app": "web"},
        spec={
            "containers": list(containers),
            "initContainers": init or [],
            "volumes": [{"name": "greeting", "configMap": {"name": "greeting"}}, {"name": "data", "emptyDir": {}}],
        },
    )


def answers(pod: LocalPod) -> bool:
    try:
        return read(pod).startswith("hello")
    except httpx2.TransportError:
        return False


def read(pod: LocalPod) -> str:
    return httpx2.get(f"http://127.0.0.1:{pod.local_port(8080)}", trust_env=False).text
