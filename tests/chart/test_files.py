"""The Python files that the chart mounts into pods."""

import ast
import sys
from pathlib import Path

import pytest
from rendering import CHART

FILES = CHART / "files"

# A script that runs inside another program imports that program; what the program needs comes with it. In its pod,
# warm_up.py lies beside the modules of `helm test`.
HOSTS = {
    "mp_server.py": {"lmcache", "prometheus_client", "unwritten"},
    "unwritten.py": {"lmcache"},
    "checked_connector.py": {"lmcache", "torch", "vllm", "unproven"},
    "checked_mp_connector.py": {"lmcache", "torch", "unproven", "vllm"},
    "shared_mp_connector.py": {"checked_mp_connector", "vllm"},
    "shared_mp_server.py": {"mp_server"},
    "tenant_mp_connector.py": {"salts", "shared_mp_connector", "vllm"},
    "tenant_mp_server.py": {"lmcache", "mp_server"},
    "checked_mooncake.py": {"lmcache"},
    "bounded_disk.py": {"clean_filesystem", "lmcache"},
    "direct_client.py": {"direct_redis", "lmcache", "redis_connections"},
    "direct_redis.py": {"awscrt", "lmcache", "redis_connections"},
    "redis_connections.py": {"lmcache"},
    "warm_up.py": {"clock", "prove_reuse", "replica", "rollout", "settings", "verdicts"},
    "unproven.py": {"packaging", "torch", "vllm", "yaml"},
}


@pytest.mark.parametrize("file", sorted(FILES.rglob("*.py")), ids=lambda file: file.name)
def test_a_script_of_the_chart_needs_nothing_but_an_old_python(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    beside = set() if file.parent == FILES else {module.stem for module in file.parent.glob("*.py")}
    assert imported - HOSTS.get(file.name, set()) - beside <= sys.stdlib_module_names
