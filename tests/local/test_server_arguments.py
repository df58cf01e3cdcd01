"""The servers' own argument parsers accept what the chart renders."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rendering import REPOSITORY, Render, remote_backend

from lmcache_kserve.chart.manifests import Manifest
from lmcache_kserve.engine.find import ensure_engine

pytestmark = pytest.mark.local

IMAGE: dict[str, Any] = {"runtime": {"image": {"repository": "example.com/kserve-backends", "tag": "1"}}}
HCA: dict[str, Any] = {"predictor": {"resources": {"limits": {"memory": "24Gi", "rdma/hca": 1}}}}
PIN = REPOSITORY / "images" / "kserve-backends" / "infinistore.txt"


def arguments(workload: Manifest) -> list[str]:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


@pytest.fixture(scope="module")
def infinistore_parser(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Source of the parser in the pinned release. Importing its module needs RDMA's libraries and torch."""
    folder = tmp_path_factory.mktemp("infinistore")
    pin = PIN.read_text(encoding="utf-8").split()[0]
    options = ["--no-deps", "--only-binary", ":all:", "--python-version", "3.12", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", "--quiet", *options, pin], check=True)
    module = ast.parse((folder / "infinistore" / "server.py").read_text(encoding="utf-8"))
    (parser,) = (node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "parse_args")
    return f"import argparse\n{ast.unparse(parser)}\nprint(vars(parse_args()))\n"


@pytest.mark.parametrize("link", ["Ethernet", "IB"])
def test_infinistore_takes_its_arguments(render: Render, infinistore_parser: str, tmp_path: Path, link: str) -> None:
    manifests = render({**IMAGE, **HCA, **remote_backend("infinistore", rdma={"linkType": link})})
    script = tmp_path / "parse.py"
    script.write_text(infinistore_parser, encoding="utf-8")
    command = [sys.executable, str(script), *arguments(manifests.one("Deployment"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parsed = ast.literal_eval(done.stdout)
    assert (parsed["service_port"], parsed["manage_port"], parsed["link_type"]) == (22345, 18080, link)
    assert (parsed["prealloc_size"], parsed["enable_periodic_evict"]) == (25, True)


@pytest.mark.parametrize(
    ("program", "kind"),
    [("mooncake_master", "Deployment"), ("mooncake_client", "StatefulSet")],
    ids=["master", "store"],
)
def test_mooncake_knows_every_option(render: Render, program: str, kind: str) -> None:
    engine = ensure_engine(lambda *_: None)
    shown = subprocess.run([engine.bin_dir / program, "--help"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"^\s+-(\w+) \(", shown.stdout + shown.stderr, re.MULTILINE))
    manifests = render({**IMAGE, **remote_backend("mooncake")})
    rendered = {argument.removeprefix("--").partition("=")[0] for argument in arguments(manifests.one(kind))}
    assert rendered
    assert rendered - known == set()
