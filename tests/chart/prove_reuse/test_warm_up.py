"""The script of the warm-up: which prompts it sends to which replicas, and what it makes of a failure."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fake_replicas import CHUNK, Cluster, Outcome, Replica, arguments
from fake_server import Handler, serving
from rendering import CHART, Render

KEY = "sk-0123456789"
FOLDER = CHART / "files"
LONG = " ".join(f"word{number}" for number in range(3 * CHUNK))
WarmUp = Callable[..., Outcome]


@pytest.fixture(scope="session")
def warm_up(script: ModuleType) -> ModuleType:
    """The script; its pod has the modules of `helm test` beside it."""
    assert script
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER / "prove_reuse")
        patch.syspath_prepend(FOLDER)
        return importlib.import_module("warm_up")


class Warmed(Replica):
    """A replica that answers without a stream, as the script asks; some answers are failures first."""

    refusals: list[int]

    def answer(self, handler: Handler, body: dict[str, Any]) -> None:
        self.release.paths.add(handler.path)
        prompt = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
        if self.refusals:
            handler.reply(self.refusals.pop(0), b'{"error": {"message": "not now"}}')
        elif body["model"] != self.release.model:
            handler.reply(404, b'{"error": {"message": "The model does not exist."}}')
        elif body["max_tokens"] != 1 or body.get("stream"):
            handler.reply(400, b"more than one token is asked for")
        else:
            self._find(prompt.split())
            handler.reply(200, json.dumps({"usage": {"prompt_tokens": len(prompt.split())}}).encode())


@pytest.fixture
def warmed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A release whose replicas answer as the script asks."""
    monkeypatch.setattr(Warmed, "refusals", [], raising=False)
    monkeypatch.setattr("fake_replicas.Replica", Warmed)
    return cluster


@pytest.fixture
def run(warm_up: ModuleType, warmed: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> WarmUp:
    def run(*prompts: str, flags: tuple[str, ...] = (), **options: Any) -> Outcome:
        for number, prompt in enumerate(prompts):
            (tmp_path / f"prompt-{number:03}").write_text(prompt, encoding="utf-8")
        (tmp_path / "..data").mkdir(exist_ok=True)  # as a mounted ConfigMap has it
        given = {"pods": "llm-pods.models.svc:8080", "timeout": 600, **options}
        words = [*arguments(8080), *(f"--{name}={value}" for name, value in given.items()), f"--prompts={tmp_path}"]
        code = warm_up.main([*words, *flags], {}, resolve=warmed.resolve, clock=warmed.clock)
        return Outcome(code, capsys.readouterr().out.splitlines())

    return run


@pytest.mark.parametrize("chat", [False, True])
def test_it_takes_what_the_chart_gives_it(
    render: Render,
    warm_up: ModuleType,
    warmed: Cluster,
    tmp_path: Path,
    chat: bool,  # noqa: FBT001 (the value under test)
) -> None:
    job = render({"warmup": {"prompts": ["a"], "chat": chat, "timeoutSeconds": 60}}).one("Job")
    words = job["spec"]["template"]["spec"]["containers"][0]["args"]
    here = [f"--prompts={tmp_path}" if word.startswith("--prompts=") else word for word in words]
    (tmp_path / "prompt").write_text(LONG, encoding="utf-8")
    warmed.release.model = "qwen"
    warmed.start("a")
    code = warm_up.main(here, {}, resolve=lambda *_: [warmed.servers["a"].server_address], clock=warmed.clock)
    assert code == 0
    assert warmed.release.paths == {f"/openai/v1/{'chat/' * chat}completions"}


def sent(cluster: Cluster) -> list[tuple[str, str]]:
    return [(name, " ".join(words)) for name, words in cluster.release.prompts]


def test_one_replica_computes_each_prompt_where_all_share_a_backend(warmed: Cluster, run: WarmUp) -> None:
    warmed.start("a", "b")
    outcome = run(f"first {LONG}\n", f"second {LONG}")
    assert (outcome.code, outcome.verdict[:40]) == (0, f"WARM: 2 prompts, {2 * (3 * CHUNK + 1)} tokens, 30 s")
    assert sent(warmed) == [("a", f"first {LONG}"), ("a", f"second {LONG}")]
    assert warmed.release.paths == {"/v1/completions"}
    assert f"prompt-000: {3 * CHUNK + 1} tokens in " in outcome.text


def test_every_replica_computes_each_prompt_where_they_share_nothing(warmed: Cluster, run: WarmUp) -> None:
    warmed.start("a", "b")
    assert run(LONG, reuse="own").code == 0
    assert sent(warmed) == [("a", LONG), ("b", LONG)]


def test_chats_begin_with_the_prompt_as_their_system_message(warmed: Cluster, run: WarmUp) -> None:
    warmed.start("a")
    assert run(LONG, flags=("--chat",)).code == 0
    assert warmed.release.paths == {"/v1/chat/completions"}


def test_nothing_is_sent_before_the_replicas_have_stayed_the_same_for_a_while(warmed: Cluster, run: WarmUp) -> None:
    # An upgrade: the old replica is there first, then a new one loads, then the old one leaves.
    warmed.start("old")
    warmed.clock.events = [
        (10.0, lambda: warmed.start("new", ready=False)),
        (60.0, lambda: setattr(warmed.replicas["new"], "ready", True)),
        (70.0, lambda: warmed.forget("old")),
    ]
    outcome = run(LONG)
    assert outcome.code == 0
    assert sent(warmed) == [("new", LONG)]
    assert warmed.clock.now >= 100


def test_a_release_that_does_not_come_up_is_told_with_the_value_that_gives_it_more_time(
    warmed: Cluster, run: WarmUp
) -> None:
    warmed.start("a", ready=False)
    outcome = run(LONG)
    assert outcome.code == 1
    assert outcome.verdict.startswith("FAILED: the replicas did not stay ready within 600 s (warmup.timeoutSeconds): ")
    assert "loading the model" in outcome.verdict


def test_a_failure_that_passes_is_waited_for(warmed: Cluster, run: WarmUp) -> None:
    warmed.start("a")
    Warmed.refusals = [503, 500, 502]
    outcome = run(LONG)
    assert outcome.code == 0
    assert outcome.text.count("again in") == 3
    assert sent(warmed) == [("a", LONG)]


def test_a_failure_that_stays_is_told(warmed: Cluster, run: WarmUp) -> None:
    warmed.start("a")
    Warmed.refusals = [500] * 5
    outcome = run(LONG, LONG)
    assert outcome.code == 1
    assert outcome.verdict == "FAILED: 1 of 2 prompts are not in the cache: prompt-000"
    assert "HTTP 500" in outcome.text
    assert len(sent(warmed)) == 1


def test_a_prompt_that_the_server_refuses_is_sent_once_and_the_others_too(warmed: Cluster, run: WarmUp) -> None:
    warmed.start("a")
    Warmed.refusals = [400]
    outcome = run(LONG, LONG)
    assert outcome.verdict == "FAILED: 1 of 2 prompts are not in the cache: prompt-000"
    assert "HTTP 400" in outcome.text
    assert len(sent(warmed)) == 1


def test_a_prompt_that_is_too_short_to_be_cached_is_told(warmed: Cluster, run: WarmUp) -> None:
    warmed.start("a")
    assert f"less than a chunk of {CHUNK}, so nothing is cached" in run("a few words").text


def test_a_warm_up_without_a_prompt_fails(warmed: Cluster, run: WarmUp) -> None:
    warmed.start("a")
    assert "there is no prompt" in run("").verdict


def test_a_file_that_is_no_text_is_named(warmed: Cluster, run: WarmUp, tmp_path: Path) -> None:
    warmed.start("a")
    (tmp_path / "picture").write_bytes(b"\x89PNG")
    assert run("a").verdict == "FAILED: picture is no text in UTF-8: invalid start byte at byte 0"


def test_it_runs_as_the_pod_runs_it(warmed: Cluster, tmp_path: Path) -> None:
    for file in [FOLDER / "warm_up.py", *(FOLDER / "prove_reuse").glob("*.py")]:
        text = file.read_text(encoding="utf-8").replace("STEADY_S = 30.0", "STEADY_S = 0.1")
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "system").write_text(LONG, encoding="utf-8")
    replica = Warmed(warmed.release, "a")
    with serving(replica.answer, page=replica.page) as server:
        words = [*arguments(server.server_address[1]), f"--prompts={prompts}"]
        done = subprocess.run(
            [sys.executable, str(tmp_path / "warm_up.py"), *words], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(f"WARM: 1 prompts, {3 * CHUNK} tokens, ")
