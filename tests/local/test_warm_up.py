"""The script of the warm-up, as the Job runs it, against the real engine: another replica finds what it has sent."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from local_release import running

from lmcache_kserve.lmcache.metrics import counter
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.target import Replica

pytestmark = [pytest.mark.local, pytest.mark.long]

WORDS = "harbor candle orange silver window engine".split()  # noqa: SIM905 - words in plain text are easier to read
PREFIXES = [
    f"{name} " + " ".join(WORDS[place * place % len(WORDS)] for place in range(700)) for name in ("a", "b", "c")
]
"""Each has two whole chunks and more."""
ANSWER_S = 120.0


def send(target: LocalTarget, folder: Path, *flags: str) -> str:
    """Run the Job's script, with its files in a folder, against the first replica; returns its log."""
    job = target.manifests.one("Job")["spec"]["template"]["spec"]
    (container,) = job["containers"]
    sources = {one["name"]: one["configMap"]["name"] for one in job["volumes"]}
    places = {}
    for mount in container["volumeMounts"]:
        places[mount["mountPath"]] = place = folder / mount["name"]
        place.mkdir(exist_ok=True)
        data = target.manifests.one("ConfigMap", sources[mount["name"]])["data"]
        for name, text in data.items():
            (place / name).write_text(text, encoding="utf-8")
    words = [*container["command"][1:], *container["args"]]
    for path, place in sorted(places.items(), reverse=True):
        words = [word.replace(path, str(place)) for word in words]
    pods = target.replicas[0].url.removeprefix("http://")
    command = [sys.executable, *words, f"--pods={pods}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def found(replica: Replica, route: str, body: dict[str, Any]) -> float:
    """Tokens that LMCache supplies for one request."""

    def supplied() -> float:
        return counter(replica.metrics(), "vllm:external_prefix_cache_hits_total") or 0.0

    before = supplied()
    body = {"model": "tiny", "max_tokens": 1, "temperature": 0, **body}
    httpx2.post(f"{replica.openai_url}/{route}", json=body, timeout=ANSWER_S, trust_env=False).raise_for_status()
    return supplied() - before


def chat(system: str) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": system}, {"role": "user", "content": "What is it?"}]}


def test_the_first_request_to_another_replica_finds_what_the_warm_up_has_sent(tmp_path: Path) -> None:
    plain, mistaken, chatted = PREFIXES
    with running(f"warmup.prompts={{{','.join(PREFIXES)}}}") as target:
        chunks, other = 2 * target.chunk_size, target.replicas[1]
        assert "WARM: 3 prompts" in send(target, tmp_path)
        assert found(other, "completions", {"prompt": f"{plain} What is it?"}) >= chunks
        # The template of chats stands in front.
        assert found(other, "chat/completions", chat(mistaken)) == 0
        assert "WARM: 3 prompts" in send(target, tmp_path, "--chat")
        assert found(other, "chat/completions", chat(chatted)) >= chunks
