"""The script of `helm test`, against servers that answer and count as vLLM does, some of them broken on purpose."""

import ast
import importlib.util
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from fake_release import FakeClock, Handler, Server, answer_words, chunk_keys, frames, prefix_length, serving
from rendering import CHART, SCENARIO_FILES, Render, scenario_name

SCRIPT = CHART / "files" / "prove_reuse.py"
CHUNK = 16
KEY = "sk-0123456789"
PATIENCE_SECONDS = 30
ACCEPTED_SECONDS = 180
"""How long a broken release may take to be told, once its replicas are ready."""


class Clock(FakeClock):
    """Time in which things happen to a release: each once, when its moment has come."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[float, Callable[[], None]]] = []

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        due = [event for event in self.events if event[0] <= self.now]
        self.events = [event for event in self.events if event not in due]
        for _, happen in due:
            happen()


@dataclass
class Release:
    """What the replicas of a release have in common, and what is wrong with them."""

    lmcache: bool = True
    own_cache: bool = False
    backend_up: bool = True
    seeds_differ: bool = False
    wrong_when_warm: bool = False
    busy_for: int = 0
    counts: bool = True
    breaks_off: int = 0
    fails: int = 0
    always_finds: bool = False
    textless: bool = False
    key: str = ""
    model: str = "tiny"
    context: int | None = 10_000
    chunks: set[str] = field(default_factory=set)
    prompts: list[tuple[str, list[str]]] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)


class Replica:
    """One server: its memory, its counters, and whether it has loaded the model."""

    def __init__(self, release: Release, name: str, *, ready: bool = True) -> None:
        self.release = release
        self.name = name
        self.ready = ready
        self.memory: set[str] = set()
        self.own_memory: set[str] = set()
        self.counters = {"prompt_tokens": 0, "external_prefix_cache_hits": 0, "prefix_cache_hits": 0}

    def page(self, handler: Handler) -> None:
        if handler.path == "/metrics":
            handler.reply(200, self._metrics().encode())
        elif self._unauthorized(handler):
            handler.reply(401, b'{"error": "Unauthorized"}')
        elif not self.ready:
            handler.reply(503, b"loading the model")
        else:
            limit = f', "max_model_len": {self.release.context}' if self.release.context else ""
            handler.reply(200, f'{{"data": [{{"id": "{self.release.model}"{limit}}}]}}'.encode())

    def _metrics(self) -> str:
        lines = ["# HELP vllm:prompt_tokens_total Number of prefill tokens processed.", "vllm:other 1.0", "no number x"]
        if self.release.counts:
            # Two engines: a server counts for each of them.
            lines += [f'vllm:{name}_total{{engine="0"}} {value}' for name, value in self.counters.items()]
            lines += [f'vllm:{name}_total{{engine="1"}} 1e+02' for name in self.counters]
        return "\n".join(lines) + "\n"

    def _unauthorized(self, handler: Handler) -> bool:
        return bool(self.release.key) and handler.headers["Authorization"] != f"Bearer {self.release.key}"

    def answer(self, handler: Handler, body: dict[str, Any]) -> None:
        release, prompt = self.release, body["prompt"].split()
        release.paths.add(handler.path)
        if self._unauthorized(handler):
            handler.reply(401, b'{"error": "Unauthorized"}')
        elif body["model"] != release.model:
            handler.reply(404, b'{"error": {"message": "The model does not exist."}}')
        elif release.breaks_off:
            release.breaks_off -= 1
            handler.stream(['data: {"choices": [{"text": "a"}]}'])
        elif release.fails:
            release.fails -= 1
            handler.stream(['data: {"error": {"message": "the engine is dead"}}', "data: [DONE]"])
        else:
            words = answer_words(prompt, body["max_tokens"])
            if self._find(prompt) and release.wrong_when_warm:
                words = ["wrong", *words]
            handler.stream(frames("" if release.textless else " ".join(words), len(prompt)))

    def _find(self, prompt: list[str]) -> int:
        """Count the prompt, and what is found for it; then keep it."""
        release = self.release
        release.prompts.append((self.name, prompt))
        plain = chunk_keys(prompt, CHUNK)
        keys = [f"{self.name}:{key}" if release.seeds_differ else key for key in plain]
        known = self.memory | (release.chunks if release.backend_up else set())
        own = prefix_length(plain, self.own_memory) if release.own_cache else 0
        found = len(keys) if release.always_finds else prefix_length(keys, known)
        lmcache = max(0, found - own) if release.lmcache else 0
        self.counters["prompt_tokens"] += len(prompt)
        self.counters["external_prefix_cache_hits"] += lmcache * CHUNK
        self.counters["prefix_cache_hits"] += own * CHUNK
        if release.busy_for:
            release.busy_for -= 1
            self.counters["prompt_tokens"] += 1000
        self.memory |= set(keys)
        self.own_memory |= set(plain)
        if release.backend_up:
            release.chunks |= set(keys)
        return lmcache + own


@dataclass
class Cluster:
    """The pods of a release, and the time that passes for the test."""

    release: Release
    clock: Clock = field(default_factory=Clock)
    servers: dict[str, Server] = field(default_factory=dict)
    replicas: dict[str, Replica] = field(default_factory=dict)
    _open: list[Any] = field(default_factory=list)

    def start(self, *names: str, ready: bool = True) -> None:
        for name in names:
            replica = Replica(self.release, name, ready=ready)
            context = serving(replica.answer, page=replica.page)
            self.servers[name] = context.__enter__()
            self.replicas[name] = replica
            self._open.append(context)

    def forget(self, name: str) -> None:
        """Take a pod out of the Service."""
        del self.servers[name]

    def stop(self, name: str) -> None:
        self.servers[name].cut()

    def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        assert (host, port) == ("llm-pods.models.svc", 8080)
        return [server.server_address for server in self.servers.values()]  # type: ignore[misc]  # AF_INET: a pair

    def address(self, name: str) -> str:
        return f"127.0.0.1:{self.servers[name].server_address[1]}"

    def end(self) -> None:
        for context in self._open:
            context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prove_reuse", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(Release())
    try:
        yield made
    finally:
        made.end()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the script ended, and what it wrote."""

    code: int
    lines: list[str]

    @property
    def verdict(self) -> str:
        return self.lines[-1]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


Run = Callable[..., Outcome]


@pytest.fixture
def run(script: ModuleType, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*further: str, key: str = "", **options: Any) -> Outcome:
        settings = {
            "pods": "llm-pods.models.svc:8080",
            "service": "models/llm",
            "replicas": 2,
            "model": "tiny",
            "model-path": "/v1/models",
            "openai-path": "/v1",
            "reuse": "shared",
            "backend": "redis",
            "endpoint": "llm-redis.models.svc:6379",
            "chunk-size": CHUNK,
            "chunks": 8,
            "pairs": 2,
            "timeout": 270,
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        environment = {"VLLM_API_KEY": key} if key else {}
        code = script.main([*arguments, *further], environment, resolve=cluster.resolve, clock=cluster.clock)
        return Outcome(code, capsys.readouterr().out.splitlines())

    return run


def test_a_healthy_release_passes_and_shows_the_times(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 0
    assert outcome.verdict == (
        "PASSED: what one replica computed, every other one found: 2 prompts, 2 replicas, through redis"
    )
    a, b = (re.escape(cluster.address(name)) for name in "ab")
    cold, warm = (
        r"TTFT \d+\.\d{3} s  \d+ tokens, 128 of them in whole chunks",
        r"TTFT \d+\.\d{3} s  128 found by LMCache",
    )
    for first, second in ((a, b), (b, a)):
        assert re.search(rf"  {first}  cold  {cold}\n  {second}  warm  {warm}, cold/warm \d+\.\d\n", outcome.text)
    assert re.search(r"\nmedian TTFT: cold \d+\.\d{3} s, warm \d+\.\d{3} s, cold/warm \d+\.\d\n", outcome.text)


def test_each_prompt_goes_to_one_replica_and_then_to_all_others(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b", "c")
    assert run(replicas=3, pairs=3).code == 0
    measured = [(name, tuple(prompt)) for name, prompt in cluster.release.prompts[6:]]
    assert [name for name, _ in measured] == ["a", "b", "c", "b", "a", "c", "c", "a", "b"]
    assert len({prompt for _, prompt in measured}) == 3


def test_prompts_are_as_long_as_asked_and_alike_in_nothing(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    assert run(chunks=5, pairs=4).code == 0
    prompts = {tuple(prompt) for _, prompt in cluster.release.prompts[4:]}
    assert {len(prompt) // CHUNK for prompt in prompts} == {5}
    assert len({len(prompt) for prompt in prompts}) == 1
    assert len({prompt[:CHUNK] for prompt in prompts}) == len(prompts) == 4


@pytest.mark.parametrize(("options", "context"), [({"context": 60}, 10_000), ({}, 60), ({"context": 10_000}, 60)])
def test_prompts_fit_what_the_model_takes(cluster: Cluster, run: Run, options: dict[str, int], context: int) -> None:
    cluster.release.context = context
    cluster.start("a", "b")
    assert run(**options).code == 0
    assert {len(prompt) // CHUNK for _, prompt in cluster.release.prompts[4:]} == {3}
    assert max(len(prompt) for _, prompt in cluster.release.prompts[4:]) <= 60 - 8


def test_a_model_whose_context_nobody_tells_gets_what_was_asked(cluster: Cluster, run: Run) -> None:
    cluster.release.context = None
    cluster.start("a", "b")
    assert run().code == 0


def test_a_model_too_short_for_a_chunk_fails_with_the_value_to_change(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    outcome = run(chunk_size=64, context=60)
    assert outcome.code == 1
    assert "has no whole chunk of 64 (lmcache.chunkSize)" in outcome.verdict
    assert "model.maxModelLen" in outcome.verdict


@pytest.mark.parametrize("fault", [{"seeds_differ": True}, {"backend_up": False}], ids=["hash seeds", "backend"])
def test_replicas_that_do_not_share_fail_in_time_with_both_causes(
    cluster: Cluster, run: Run, fault: dict[str, bool]
) -> None:
    for name, value in fault.items():
        setattr(cluster.release, name, value)
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 1
    assert outcome.verdict.startswith(
        f"FAILED: replica {cluster.address('b')} found 0 of 128 tokens that {cluster.address('a')} had computed, "
        "at attempt 5, after "
    )
    assert "cannot reach the remote backend redis (llm-redis.models.svc:6379)" in outcome.verdict
    assert "PYTHONHASHSEED" in outcome.verdict
    assert cluster.clock.now < ACCEPTED_SECONDS


def test_a_failure_shows_the_commands_that_tell_the_causes_apart(cluster: Cluster, run: Run) -> None:
    cluster.release.seeds_differ = True
    cluster.start("a", "b")
    logs, seeds = run().lines[-3:-1]
    selector = "-n models -l serving.kserve.io/inferenceservice=llm,component=predictor"
    assert logs.startswith(f"look at: kubectl logs {selector} -c kserve-container")
    assert seeds.startswith(f"look at: kubectl get pods {selector} -o jsonpath='{{range .items[*]}}{{.metadata.name}}")
    assert '"\\t"' in seeds
    assert 'env[?(@.name=="PYTHONHASHSEED")].value' in seeds


def test_slow_replicas_that_do_not_share_get_no_more_attempts_than_there_is_time(cluster: Cluster, run: Run) -> None:
    cluster.release.seeds_differ = True
    cluster.start("a", "b")
    cold = cluster.replicas["a"].answer

    def slow(handler: Handler, body: dict[str, Any]) -> None:
        cluster.clock.now += 40
        cold(handler, body)

    cluster.servers["a"].behaviour = slow
    outcome = run()
    assert "at attempt 3, after 12" in outcome.verdict
    assert cluster.clock.now < ACCEPTED_SECONDS + 80  # the two prompts that measure the tokenizer come before


def test_a_store_that_takes_a_while_is_waited_for_with_fresh_prompts(cluster: Cluster, run: Run) -> None:
    cluster.release.backend_up = False
    cluster.clock.events = [(1.0, lambda: setattr(cluster.release, "backend_up", True))]
    cluster.start("a", "b")
    outcome = run(pairs=1)
    assert outcome.code == 0
    assert "attempt 1: replica" in outcome.text
    cold = [tuple(prompt) for name, prompt in cluster.release.prompts[4:] if name == "a"]
    assert len(set(cold)) == len(cold) == 3


def test_a_replica_that_is_not_ready_in_time_is_named_with_what_it_says(cluster: Cluster, run: Run) -> None:
    cluster.start("a")
    cluster.start("b", ready=False)
    outcome = run(timeout=60)
    assert outcome.code == 1
    assert outcome.verdict.startswith("FAILED: 1 of 2 replicas ready, and 2 there, after 60 s (tests.timeoutSeconds)")
    assert f"{cluster.address('b')}/v1/models answers HTTP 503: loading the model" in outcome.verdict
    assert outcome.lines[-2].startswith("look at: kubectl get pods -n models")
    assert 60 <= cluster.clock.now < 65
    # Said once, not with every look.
    assert outcome.text.count("waiting until 2 are ready") == 1


@pytest.mark.usefixtures("cluster")
def test_pods_that_do_not_exist_are_waited_for_and_reported(run: Run) -> None:
    outcome = run(timeout=60)
    assert outcome.code == 1
    assert "0 of 2 replicas ready, and 0 there" in outcome.verdict
    assert "llm-pods.models.svc names no pod" in outcome.verdict


def test_a_replica_that_becomes_ready_late_is_used(cluster: Cluster, run: Run) -> None:
    cluster.start("a")
    cluster.start("b", ready=False)
    cluster.clock.events = [(200.0, lambda: setattr(cluster.replicas["b"], "ready", True))]
    assert run().code == 0
    assert cluster.clock.now > 200


def test_a_rollout_is_waited_for(cluster: Cluster, run: Run) -> None:
    cluster.start("old", "a", "b")
    cluster.clock.events = [(20.0, lambda: cluster.forget("old"))]
    assert run().code == 0
    assert {name for name, _ in cluster.release.prompts} == {"a", "b"}


@pytest.mark.parametrize("options", [(), ("--or-more",)], ids=["fixed", "scaled"])
def test_a_further_pod_that_does_not_become_ready_is_no_healthy_release(
    cluster: Cluster, run: Run, options: tuple[str, ...]
) -> None:
    cluster.start("a", "b")
    cluster.start("new", ready=False)
    outcome = run(*options, timeout=60)
    assert outcome.code == 1
    assert "2 of 2 replicas ready, and 3 there" in outcome.verdict


def test_more_replicas_than_the_fewest_are_all_used_where_something_scales_them(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b", "c")
    outcome = run("--or-more", replicas=1)
    assert outcome.code == 0
    assert "3 replicas" in outcome.verdict


def test_a_pod_replaced_during_the_test_is_followed(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")

    def replace() -> None:
        cluster.stop("b")

        def come_back() -> None:
            cluster.forget("b")
            cluster.start("c")

        cluster.clock.events = [(5.0, come_back)]

    cluster.clock.events = [(0.5, replace)]
    outcome = run()
    assert outcome.code == 0
    assert "does not answer" in outcome.text
    assert {name for name, _ in cluster.release.prompts[-2:]} == {"a", "c"}


def test_an_answer_that_a_cached_prefix_changes_fails(cluster: Cluster, run: Run) -> None:
    cluster.release.wrong_when_warm = True
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 1
    assert "answered 'wrong " in outcome.verdict
    assert "a cached prefix changes the answer" in outcome.verdict


def test_lossy_chunks_may_change_the_answer(cluster: Cluster, run: Run) -> None:
    cluster.release.wrong_when_warm = True
    cluster.start("a", "b")
    assert run("--lossy").code == 0


def test_other_traffic_spoils_an_attempt_not_the_test(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    cluster.release.busy_for = 5  # the four short prompts, which are not measured, and the first one that is
    outcome = run()
    assert outcome.code == 0
    assert "attempt 1: replica" in outcome.text
    assert "counted 1" in outcome.text
    # Known as soon as it is counted, not when nothing else comes.
    assert cluster.clock.now < 5


def test_traffic_that_does_not_end_proves_nothing(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    cluster.release.busy_for = 1000
    outcome = run()
    assert outcome.code == 1
    assert "run it while the release is quiet" in outcome.verdict


def test_a_server_that_does_not_count_hits_proves_nothing(cluster: Cluster, run: Run) -> None:
    cluster.release.counts = False
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 1
    assert "/metrics has no vllm:prompt_tokens_total" in outcome.verdict


def test_an_answer_that_breaks_off_is_asked_for_again(cluster: Cluster, run: Run) -> None:
    cluster.release.breaks_off = 1
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 0
    assert "the stream broke off before its end" in outcome.text


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        (['{"choices": []}', "[DONE]"], "ended without a token"),
        (['{"choices": [{"text": "a"}]}', "[DONE]"], "told no usage.prompt_tokens"),
        (['{"choices": [{"text": "a"}], "usage": {"other": 1}}', "[DONE]"], "told no usage.prompt_tokens"),
        (["no JSON"], "Expecting value"),
    ],
)
def test_a_stream_that_lacks_something_is_no_answer(script: ModuleType, frames: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        script.read_stream([f"data: {frame}\n".encode() for frame in frames], 0.0)


def test_an_error_in_the_stream_is_told_and_tried_again(cluster: Cluster, run: Run) -> None:
    cluster.release.fails = 1
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 0
    assert "the engine is dead" in outcome.text


def test_counters_that_find_what_nobody_has_sent_prove_nothing(cluster: Cluster, run: Run) -> None:
    cluster.release.always_finds = True
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 1
    assert "of a prompt that nobody had sent before" in outcome.verdict


def test_a_model_that_is_not_served_fails_with_the_servers_words(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    outcome = run(model="other")
    assert outcome.code == 1
    assert "/v1/completions answers HTTP 404: " in outcome.verdict
    assert "The model does not exist." in outcome.verdict


def test_a_token_without_text_counts_as_one(cluster: Cluster, run: Run) -> None:
    cluster.release.textless = True
    cluster.start("a", "b")
    assert run().code == 0


def test_the_api_key_is_sent_and_not_shown(cluster: Cluster, run: Run) -> None:
    cluster.release.key = KEY
    cluster.start("a", "b")
    outcome = run(key=KEY)
    assert outcome.code == 0
    assert KEY not in outcome.text


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_missing_api_key_fails_at_once_with_the_value_to_set(cluster: Cluster, run: Run, key: str) -> None:
    cluster.release.key = KEY
    cluster.start("a", "b")
    outcome = run(key=key)
    assert outcome.code == 1
    assert "VLLM_API_KEY in predictor.env" in outcome.verdict
    assert cluster.clock.now == 0


def test_routes_of_the_dialect_are_asked(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    assert run(openai_path="/openai/v1", model_path="/v1/models/tiny").code == 0
    assert cluster.release.paths == {"/openai/v1/completions"}


def test_one_replica_passes_and_says_what_it_does_not_prove(cluster: Cluster, run: Run) -> None:
    cluster.start("a")
    outcome = run(replicas=1)
    assert outcome.code == 0
    assert "128 found by LMCache" in outcome.text
    assert outcome.verdict == (
        "PASSED: one replica found what it had computed before. Whether replicas share through redis "
        "(llm-redis.models.svc:6379) was not tested: that takes a second replica"
    )


def test_one_replica_whose_own_cache_answers_does_not_claim_a_test_of_lmcache(cluster: Cluster, run: Run) -> None:
    cluster.release.own_cache = True
    cluster.start("a")
    outcome = run(replicas=1)
    assert outcome.code == 0
    assert "0 found by LMCache, 128 by vLLM's own prefix cache" in outcome.text
    assert "LMCache was not tested either" in outcome.verdict


def test_one_replica_that_keeps_nothing_fails(cluster: Cluster, run: Run) -> None:
    cluster.release.lmcache = False
    cluster.start("a")
    outcome = run(replicas=1)
    assert outcome.code == 1
    assert "found 0 of 128 tokens that it had computed itself" in outcome.verdict


def test_vllms_own_cache_does_not_spoil_the_proof_between_replicas(cluster: Cluster, run: Run) -> None:
    cluster.release.own_cache = True
    cluster.start("a", "b")
    assert run().code == 0


def test_without_a_backend_each_replica_has_to_find_its_own(cluster: Cluster, run: Run) -> None:
    cluster.release.backend_up = False
    cluster.start("a", "b")
    outcome = run(reuse="own", backend="none", endpoint="")
    assert outcome.code == 0
    assert {name for name, _ in cluster.release.prompts[4:]} == {"a", "b"}
    assert "Nothing is shared between replicas without a remote backend" in outcome.verdict


def test_without_lmcache_answers_are_all_there_is(cluster: Cluster, run: Run) -> None:
    cluster.release.lmcache = cluster.release.counts = False
    cluster.start("a", "b")
    outcome = run(reuse="none", backend="none", endpoint="")
    assert outcome.code == 0
    assert outcome.text.count("TTFT") == 2
    assert "Reuse was not tested" in outcome.verdict


def test_a_test_that_runs_out_of_time_says_so(cluster: Cluster, run: Run) -> None:
    cluster.release.seeds_differ = True
    cluster.start("a", "b")
    assert run(timeout=3).verdict.endswith(": tests.timeoutSeconds (3) are over")


def test_addresses_of_both_families_are_written_as_they_are_in_urls(script: ModuleType) -> None:
    settings = script.parse(arguments(8080), {})
    assert str(script.Replica("10.0.0.5", 8080, settings)) == "10.0.0.5:8080"
    assert str(script.Replica("fd00::5", 8080, settings)) == "[fd00::5]:8080"


def test_a_name_resolves_to_every_address_once(script: ModuleType) -> None:
    assert script.addresses("127.0.0.1", 8080) == [("127.0.0.1", 8080)]
    assert script.addresses("no-such-host.invalid", 8080) == []


@pytest.mark.parametrize("file", SCENARIO_FILES, ids=scenario_name)
def test_the_script_takes_what_the_chart_gives_it(render: Render, script: ModuleType, file: Any) -> None:
    pod = render(files=[file]).one("Pod")
    settings = script.parse(pod["spec"]["containers"][0]["args"], {})
    assert settings.service.startswith("models/")


def arguments(port: int) -> list[str]:
    return [
        f"--pods=127.0.0.1:{port}",
        "--service=models/llm",
        "--replicas=1",
        "--model=tiny",
        "--model-path=/v1/models",
        "--openai-path=/v1",
        "--reuse=shared",
        "--backend=redis",
        f"--chunk-size={CHUNK}",
        "--chunks=8",
        "--pairs=1",
        "--timeout=20",
    ]


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_runs_as_the_pod_runs_it() -> None:
    replica = Replica(Release(), "a")
    with (
        serving(replica.answer, page=replica.page) as server,
        start([str(SCRIPT), *arguments(server.server_address[1])]) as process,
    ):
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines()[-1].startswith("PASSED: one replica found what it had computed before.")


def test_a_test_that_is_stopped_leaves_its_reason() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with start([str(SCRIPT), *arguments(reserved.getsockname()[1])]) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("waiting until 1 are ready: 127.0.0.1:")
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert output.splitlines()[-1] == "FAILED: stopped from outside (SIGTERM) before it was done"


# What a script that runs inside another program imports of it; what that program needs comes with it.
HOSTS = {
    "mp_server.py": {"lmcache", "prometheus_client"},
    "checked_connector.py": {"lmcache", "torch", "vllm"},
    "checked_mooncake.py": {"lmcache"},
}


@pytest.mark.parametrize("file", sorted((CHART / "files").glob("*.py")), ids=lambda file: file.name)
def test_a_script_of_the_chart_needs_nothing_but_an_old_python(file: Any) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported - HOSTS.get(file.name, set()) <= sys.stdlib_module_names
