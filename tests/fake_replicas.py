"""A release whose replicas answer and count as vLLM does, some of them broken on purpose, and the time it lives in."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fake_release import FakeClock, answer_words, chunk_keys, prefix_length
from fake_server import Handler, Server, frames, serving

CHUNK = 16


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
    computes_s: float = 0.0
    loads_s: float = 0.0
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
            found = self._find(prompt)
            time.sleep(release.loads_s if found else release.computes_s)
            if found and release.wrong_when_warm:
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
