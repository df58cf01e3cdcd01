"""A release that is not one: replicas answer over real HTTP and log like LMCache 0.5.6, and anything can be broken.

Only unit tests use it: they prove what the harness makes of evidence, not that LMCache works.
"""

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self

from fake_server import CONTEXT, MODEL, Handler, Server, frames, whole, with_no_error
from made_soak import container

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.soak import Watched
from lmcache_kserve.target import Contents, Interruptible, LogLine

CHUNK = 256


LONG_ANSWER = 100


HOLD_S = 10.0


TOGETHER_S = 0.1
"""How long a request waits for those that were sent at the same time."""


ARGUMENTS = (
    "python3",
    "-m",
    "vllm.entrypoints.openai.api_server",
    "--max-model-len=10000",
    '--kv-transfer-config={"kv_connector":"LMCacheConnectorV1","kv_role":"kv_both"}',
)


ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "REMOTE_BACKEND_PASSWORD": "hunter2 secret",
}


class FakeClock:
    """Time that passes only when someone waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._turn = threading.Event()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)
        # Other threads get a hundredth of a second of real time in any wait, however long.
        self._turn.wait(0.01)


@dataclass
class Faults:
    """What is broken about the release."""

    no_hits: bool = False
    no_retrieval: bool = False
    no_lines: bool = False
    wrong_text_when_warm: bool = False
    changes_when_busy: Literal["", "hits", "all"] = ""
    """Which answers a replica changes while it has other requests."""
    backend_stays_dead: bool = False
    metrics_unreadable: bool = False
    logs_unreadable: bool = False
    contents_unreadable: bool = False
    restart_fails: bool = False
    extra_log_line: str | None = None
    connection_error_logged: bool = False
    wrong_text_in_outage: bool = False
    silent_in_outage: bool = False
    tiers_swapped: bool = False
    server_stays_dead: bool = False
    leaks_descriptors: bool = False
    slow_s: float = 0.0
    fails_prompt: str | None = None


@dataclass
class Store:
    """The shared backend's memory: chunk keys."""

    keys: dict[str, None] = field(default_factory=dict)
    up: bool = True
    room: int = 10_000  # chunks; the oldest go
    life: int = 1

    def add(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.keys[key] = self.keys.pop(key, None)
        while len(self.keys) > self.room:
            del self.keys[next(iter(self.keys))]


def tokens_of(prompt: str) -> list[str]:
    """The fake's tokenizer: a token a word."""
    return prompt.split()


class FakeReplica:
    """A server that computes an answer from the prompt and keeps chunks in the shared store and in its own memory."""

    def __init__(self, target: "FakeTarget", name: str) -> None:
        self._target = target
        self.name = name
        self.arguments: Sequence[str] = ARGUMENTS
        self.environment: Mapping[str, str] = dict(ENVIRONMENT)
        self._lines: list[LogLine] = []
        self._hits = 0
        self.cache_server: str | None = None
        self._memory: set[str] = set()
        self._killed = threading.Event()
        self._active: set[str] = set()
        self.answered = 0
        self.log("LMCache INFO: Using hash algorithm: sha256_cbor")
        self.start()

    def start(self) -> None:
        self.forget()
        self._hits = 0
        self._killed.clear()
        self._server = Server(self.answer, model=self._target.model_name, context=self._target.context)
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.01), daemon=True).start()

    @property
    def memory(self) -> set[str]:
        """Chunks in memory: the replica's own, or those of its LMCache server, which outlives it when it is shared."""
        return self._target.node_memory if self._target.shares_server else self._memory

    @property
    def _served(self) -> bool:
        """Whether its LMCache server runs, where it has one."""
        return self._target.server_up or self.cache_server != self._target.replicas[-1].cache_server

    def forget(self) -> None:
        self._memory = set()

    def end(self) -> None:
        self._killed.set()
        with_no_error(self._server.cut)

    @property
    def openai_url(self) -> str:
        return self._server.url

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def all_lines(self) -> list[LogLine]:
        return list(self._lines)

    def log(self, text: str) -> None:
        self._lines.append(LogLine(datetime.now(UTC), f"\x1b[32;20m(EngineCore pid=7) {text}\x1b[0m"))

    def logs(self, *, since: datetime | None = None) -> list[LogLine]:
        if self._target.faults.logs_unreadable:
            raise HarnessError("permission denied: pods/log")
        return [line for line in list(self._lines) if since is None or line.time >= since]

    def metrics(self) -> str:
        if self._target.faults.metrics_unreadable:
            return "<html>not metrics</html>"
        return (
            "# TYPE vllm:external_prefix_cache_hits_total counter\n"
            f'vllm:external_prefix_cache_hits_total{{engine="0"}} {self._hits}\n'
        )

    def answer(self, handler: Handler, body: dict[str, Any]) -> None:
        request = handler.headers["X-Request-Id"]
        self._active.add(request)
        self.answered += 1
        if self._target.faults.changes_when_busy:
            time.sleep(TOGETHER_S)
        try:
            if self._killed.wait(self._target.faults.slow_s):
                return
            if body["prompt"] == self._target.faults.fails_prompt:
                handler.reply(500, b"out of memory")
            else:
                self._answer(handler, body)
        finally:
            self._active.remove(request)

    def _answer(self, handler: Handler, body: dict[str, Any]) -> None:
        faults, store = self._target.faults, self._target.store
        prompt = tokens_of(body["prompt"])
        request = f"cmpl-{handler.headers['X-Request-Id']}-0-ab12cd34"
        keys = chunk_keys(prompt, self._target.chunk_size)
        known = self.memory | (set(store.keys) if store.up else set())
        caches = self._target.lmcache and self._served
        hits = 0 if faults.no_hits or not caches else prefix_length(keys, known)
        if faults.connection_error_logged and not store.up:
            self.log("LMCache WARNING: Remote connection failed in contains: Error 111 connecting to 10.0.0.7:6379.")
        tokens = hits * self._target.chunk_size
        if caches and not faults.no_lines and self._target.mode == "multiprocess":
            self._log_server_lookup(request, hits, tokens, in_memory=prefix_length(keys, self.memory))
        elif caches and not faults.no_lines:
            self.log(
                f"LMCache INFO: Reqid: {request}, Total tokens {len(prompt)}, Inference Engine computed tokens: 0, "
                f"LMCache hit tokens: {tokens}, need to load: {tokens}"
            )
            if tokens and not faults.no_retrieval:
                self.log(
                    f"LMCache INFO: [req_id={request}] Retrieved {tokens} out of {tokens} required tokens "
                    f"(from {len(prompt)} total tokens). size: 0.1 gb, cost 1.0 ms, throughput: 1.0 GB/s;"
                )
        self._hits += tokens
        if self._target.holds and body["max_tokens"] > LONG_ANSWER:
            self._target.holds = False
            self._killed.wait(HOLD_S)
            if self._killed.is_set():
                return
        self._store(request, keys, hits, len(prompt))
        words = answer_words(prompt, body["max_tokens"])
        while faults.silent_in_outage and not store.up and not self._killed.is_set():
            self._killed.wait(0.01)
        if (faults.wrong_text_when_warm and hits) or (faults.wrong_text_in_outage and not store.up):
            words = ["wrong", *words]
        if len(self._active) > 1 and (faults.changes_when_busy == "all" or (faults.changes_when_busy and hits)):
            words = ["other", *words]
        lines = frames(" ".join(words), len(prompt))
        handler.stream(lines) if body.get("stream") else handler.reply(200, whole(lines))

    def _log_server_lookup(self, request: str, hits: int, tokens: int, *, in_memory: int) -> None:
        if hits:
            l1 = hits if self._target.faults.tiers_swapped else min(hits, in_memory)
            self.log(
                f"LMCache INFO: Prefetch request completed (L1+L2): {hits}/{hits} retained keys "
                f"({l1} L1, {hits - l1} L2) in 1.0 ms (external_request_id={request}, prefetch_request_id=1)"
            )
        self.log(f"LMCache DEBUG: MP lookup/prefetch end: session={request} found_count={hits}")
        if hits and not self._target.faults.no_retrieval:
            self.log(f"LMCache INFO: Retrieved {tokens} tokens in 0.006 seconds")

    def _store(self, request: str, keys: list[str], hits: int, prompt_tokens: int) -> None:
        new = keys[hits:]
        if not self._target.lmcache or not self._served or self._target.faults.no_lines:
            return
        if new:
            stored = len(new) * self._target.chunk_size
            if self._target.mode == "multiprocess":
                self.log(f"LMCache INFO: Stored {stored} tokens in 0.146 seconds")
            else:
                self.log(
                    f"LMCache INFO: [req_id={request}] Stored {stored} out of total {prompt_tokens} tokens. "
                    "size: 0.1 GB, cost 1.0 ms, throughput: 1.0 GB/s; offload_time: 1.0 ms, put_time: 1.0 ms"
                )
        self.memory.update(keys)
        if self._target.store.up:
            self._target.store.add(keys)


class FakeBackend:
    """The remote backend of a fake release."""

    def __init__(self, target: "FakeTarget", *, client_reconnects: bool) -> None:
        self._target = target
        self.type = target.backend_type
        self.client_reconnects = client_reconnects
        self.controllable = target.runs_backend

    def contents(self) -> Contents:
        if self._target.faults.contents_unreadable:
            raise HarnessError("NOAUTH Authentication required")
        count = len(self._target.store.keys)
        per_chunk = 1 if self._target.mode == "multiprocess" else 2
        return Contents(entries=per_chunk * count, size_bytes=1000 * count, entries_per_chunk=per_chunk)

    def stop(self) -> None:
        self._target.store.up = False
        self._target.store.keys = {}
        self._target.store.life += 1

    def start(self) -> None:
        self._target.store.up = self.client_reconnects and not self._target.faults.backend_stays_dead


class FakeCacheServer:
    """The LMCache server of the last replica, or the one of all."""

    type = "lmcache server"
    client_reconnects = True

    def __init__(self, target: "FakeTarget") -> None:
        self._target = target

    def stop(self) -> None:
        self._target.server_up = False
        self._target.node_memory.clear()
        self._target.replicas[-1].forget()

    def start(self) -> None:
        self._target.server_up = not self._target.faults.server_stays_dead


class FakeTarget:
    """A whole release; `lmcache=False` makes plain vLLM of it."""

    kind = "local"
    model_name = MODEL

    def __init__(  # noqa: PLR0913 - each says one thing about the release
        self,
        *,
        replicas: int = 2,
        backend: str = "redis",
        lmcache: bool = True,
        chunk_size: int = CHUNK,
        faults: Faults | None = None,
        client_reconnects: bool = True,
        runs_backend: bool = True,
        context: int | None = CONTEXT,
        mode: str = "in-process",
        shares_server: bool = False,
    ) -> None:
        self.mode = mode
        self.shares_server = shares_server
        self.server_up = True
        self.node_memory: set[str] = set()
        self.backend_type = backend
        self.chunk_size = chunk_size
        self.lmcache = lmcache
        self.context = context
        self.runs_backend = runs_backend
        self.faults = faults or Faults()
        self.store = Store(up=backend != "none")
        self.holds = True
        """Whether the next long request hangs until its replica is killed."""
        self.versions: Mapping[str, str] = {"vllm": "0.32.0", "lmcache": "0.5.6"}
        self.secrets: Sequence[str] = ("hunter2 secret",)
        name = "predictor" if lmcache else "baseline"
        self.replicas = [FakeReplica(self, f"{name}-{number}") for number in range(replicas)]
        self.backend = None if backend == "none" else FakeBackend(self, client_reconnects=client_reconnects)
        self.cache_server: Interruptible | None = FakeCacheServer(self) if mode == "multiprocess" else None
        if self.cache_server:
            for replica in self.replicas:
                replica.cache_server = "node/server" if shares_server else f"{replica.name}/server"
        if self.faults.extra_log_line:
            self.replicas[0].log(self.faults.extra_log_line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for replica in self.replicas:
            replica.end()

    def watch(self) -> Watched:
        """Every replica is one container that holds a descriptor a request where it leaks, and twenty anyway."""
        leak = int(self.faults.leaks_descriptors)
        containers = [
            container(f"{one.name}/main", str(one.port), descriptors=20 + leak * one.answered) for one in self.replicas
        ]
        containers.append(container("redis-0/redis", str(self.store.life), of_backend=True))
        lines = sum(len(replica.all_lines()) for replica in self.replicas)
        return Watched(containers=tuple(containers), files=12, log_bytes=100 * lines)

    def kill_replica(self, index: int) -> None:
        self.replicas[index].end()

    def restart_replica(self, index: int) -> None:
        if self.faults.restart_fails:
            raise HarnessError(f"predictor-{index} did not become ready in 300 s")
        self.replicas[index].end()
        self.replicas[index].start()


def chunk_keys(tokens: Sequence[str], size: int) -> list[str]:
    """A key for each whole chunk, which depends on all tokens before its end."""
    ends = range(size, len(tokens) + 1, size)
    return [hashlib.sha256(" ".join(tokens[:end]).encode()).hexdigest() for end in ends]


def prefix_length(keys: Sequence[str], known: set[str]) -> int:
    """How many keys from the start are known."""
    return next((number for number, key in enumerate(keys) if key not in known), len(keys))


def answer_words(prompt: Sequence[str], count: int) -> list[str]:
    """A text that only depends on the prompt; a shorter answer is the beginning of a longer one."""
    digest = hashlib.sha256(" ".join(prompt).encode()).hexdigest()
    return [digest[(number * 3) % 60 : (number * 3) % 60 + 4] for number in range(count)]
