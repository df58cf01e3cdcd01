"""The rendered nodes, Sentinels and proxies as processes: masters fail, hang, restart and leave; one client goes on.

It needs no engine: LMCache's part is played by redis-py, its client, with the URL that the chart gives LMCache.
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from lmcache_kserve.chart.render import NAMESPACE, Renderer
from lmcache_kserve.commands.local_run import run_folder
from lmcache_kserve.engine.find import Engine
from lmcache_kserve.lmcache.metrics import fetch
from lmcache_kserve.local.backend import LocalBackend
from lmcache_kserve.local.pod import LocalPod
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = pytest.mark.local

# All that a shell, a configuration file or a protocol gives a meaning to; beside it, below, an editor's line break.
PASSWORD = f"{secrets.token_hex(4)} \"\\ '$x ${{Y}} %z #ä"
GIVEN = {"login": {"password": f"{PASSWORD}\n"}}
SETTINGS = ("remoteBackend.type=redis-sentinel", "remoteBackend.redisSentinel.auth.existingSecret=login")
RECOVERY_S = 20.0
"""The Sentinels' patience is 5 s; the rest is for their vote, the proxy's checks and a busy machine."""

LOST_S = 4.0
"""From the moment on that a node is made the master it takes a Sentinel a second to see it, the hook another, and its
requests some on a busy machine. Waiting for the copies takes `repl-diskless-sync-delay` more, which is 5 s."""

QUORUM = 2
"""Sentinels, of three, whose word the proxies follow."""


class Deployment:
    """The nodes of a running backend, and the client that LMCache would use."""

    def __init__(self, backend: LocalBackend) -> None:
        self.backend = backend
        self.nodes = [pod for pod in backend.pods if pod.plan.labels["lmcache-kserve/part"] == "redis"]
        self.sentinels = [pod for pod in backend.pods if pod.plan.labels["lmcache-kserve/part"] == "sentinel"]
        self.proxies = [pod for pod in backend.pods if pod.plan.labels["lmcache-kserve/part"] == "proxy"]
        assert backend.settings.redis_url
        self.client = redis.Redis.from_url(backend.settings.redis_url, password=PASSWORD, decode_responses=True)

    @contextmanager
    def inside(self, node: LocalPod) -> Iterator["redis.Redis"]:
        """A connection to a node, past the proxy."""
        port = node.local_port(6379)
        with redis.Redis(port=port, password=PASSWORD, socket_timeout=2, decode_responses=True) as connection:
            yield connection

    def replication(self, node: LocalPod) -> dict[str, str]:
        """What a node says of its part; nothing where it does not answer."""
        try:
            with self.inside(node) as connection:
                return {key: str(value) for key, value in connection.info("replication").items()}
        except redis.RedisError:
            return {}

    def watched(self) -> list[dict[str, str]]:
        """What each Sentinel says of the master."""
        said = []
        for sentinel in self.sentinels:
            port = sentinel.local_port(26379)
            with redis.Redis(port=port, password=PASSWORD, socket_timeout=2, decode_responses=True) as connection:
                said.append({key: str(value) for key, value in connection.sentinel_master("lmcache").items()})
        return said

    def known(self) -> bool | Pending:
        """Whether all Sentinels know all nodes, which they ask the master for every 10 s, and each other."""
        counts = [(int(master["num-slaves"]), int(master["num-other-sentinels"])) for master in self.watched()]
        return counts == [(len(self.nodes) - 1, len(self.sentinels) - 1)] * len(self.sentinels) or Pending(str(counts))

    def settled(self) -> tuple[LocalPod, list[LocalPod]] | Pending:
        """The master and its replicas, once there is one master, and all others have copied it."""
        said = {node.plan.name: self.replication(node) for node in self.nodes}
        masters = [node for node in self.nodes if said[node.plan.name].get("role") == "master"]
        copies = [node for node in self.nodes if said[node.plan.name].get("master_link_status") == "up"]
        if len(masters) == 1 and len(copies) == len(self.nodes) - 1:
            return masters[0], copies
        return Pending(str(said))

    def master(self) -> LocalPod:
        """The master, once everything has settled."""
        master, _ = wait_for(self.settled, timeout=60, delay=0.2, describe="one master and two replicas")
        wait_for(self.known, timeout=30, delay=0.2, describe="the Sentinels to know all")
        self.works(within=RECOVERY_S)
        return master

    def works(self, *, within: float) -> float:
        """Wait until the client can store and load; seconds until then."""
        started = time.monotonic()
        value = secrets.token_hex()

        def goes() -> bool | Pending:
            try:
                return bool(self.client.set("probe", value)) and self.client.get("probe") == value
            except redis.RedisError as error:
                return Pending(str(error))

        wait_for(goes, timeout=within, delay=0.1, describe="the client to reach a master")
        return time.monotonic() - started

    def supporters(self, proxy: LocalPod) -> list[int]:
        """How many Sentinels call each node the master, as a proxy knows."""
        url = f"http://127.0.0.1:{proxy.local_port(8404)}/metrics"
        return [
            sum(
                sample.value == 1
                for family in text_string_to_metric_families(fetch(url, of=proxy.plan.name))
                for sample in family.samples
                if sample.name == "haproxy_server_status"
                and sample.labels["proxy"] == f"sentinels-for-redis-{number}"
                and sample.labels["state"] == "UP"
            )
            for number in range(len(self.nodes))
        ]

    def agreed(self, *, not_on: LocalPod) -> None:
        """Wait until the Sentinels name another master than `not_on`, and every proxy has heard of it."""
        old = self.nodes.index(not_on)

        def named() -> bool | Pending:
            said = [self.supporters(proxy) for proxy in self.proxies]
            agree = all(supporters[old] < QUORUM <= max(supporters) for supporters in said)
            return agree or Pending(f"Sentinels for each node, by proxy: {said}")

        wait_for(named, timeout=2 * RECOVERY_S, delay=0.2, describe="the Sentinels and the proxies to agree")

    def store(self) -> dict[str, str]:
        """Store a few chunks, and return when all replicas have them."""
        chunks = {f"chunk-{secrets.token_hex(4)}": secrets.token_hex(4096) for _ in range(50)}
        self.client.mset(chunks)
        wait_for(lambda: self.client.wait(2, 100) == 2, timeout=20, delay=0.1, describe="the replicas to copy")
        return chunks

    @contextmanager
    def stored_meanwhile(self) -> Iterator[dict[str, float]]:
        """What a client stores all the time: each key that the backend has confirmed, and when."""
        stored: dict[str, float] = {}
        over = threading.Event()

        def write() -> None:
            while not over.wait(0.02):
                key = f"meanwhile-{len(stored)}"
                with suppress(redis.RedisError):
                    self.client.set(key, secrets.token_hex(512))
                    stored[key] = time.monotonic()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            yield stored
        finally:
            over.set()
            writer.join()

    def holds(self, chunks: dict[str, str]) -> bool:
        """Whether the client finds all of them."""
        return self.client.mget(list(chunks)) == list(chunks.values())


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    renderer = Renderer.for_demo(chart=None, values_files=(), settings=SETTINGS)
    # Nothing of a predictor is started, so that any Python will do for it.
    engine = Engine(python=Path(sys.executable), bin_dir=Path(sys.executable).parent, device="cpu", versions={})
    with (
        run_folder() as folder,
        LocalTarget(
            manifests=renderer.release(),
            namespace=NAMESPACE,
            directory=folder / "release",
            engine=engine,
            given_secrets=GIVEN,
        ) as target,
    ):
        backend = target.backend
        assert backend
        backend.start()
        running = Deployment(backend)
        with running.client:
            yield running


def test_what_a_client_stores_is_copied_and_counted(deployment: Deployment) -> None:
    master = deployment.master()
    chunks = deployment.store()
    assert deployment.backend.contents().entries == len(chunks) + 1  # and the probe
    for node in deployment.nodes:
        with deployment.inside(node) as connection:
            assert connection.mget(list(chunks)) == list(chunks.values())
            if node is not master:
                with pytest.raises(redis.ReadOnlyError):
                    connection.set("a", "b")


def test_a_client_goes_on_with_a_replica_when_the_master_dies(deployment: Deployment) -> None:
    master, chunks = deployment.master(), deployment.store()
    master.kill()
    deployment.works(within=RECOVERY_S)
    assert deployment.holds(chunks)
    master.start()
    assert deployment.master() is not master
    assert deployment.holds(chunks)


def test_a_master_that_is_back_at_once_does_not_empty_its_replicas(deployment: Deployment) -> None:
    master, chunks = deployment.master(), deployment.store()
    master.kill()
    master.start()
    assert deployment.master() is not master
    assert deployment.holds(chunks)
    assert "restarted without data" in "\n".join(line.text for line in master.log.lines())


def test_a_master_that_hung_and_still_takes_itself_for_one_is_not_used(deployment: Deployment) -> None:
    master, chunks = deployment.master(), deployment.store()
    with deployment.inside(master) as connection:
        process, hung = int(connection.info("server")["process_id"]), connection.info("server")["run_id"]
    os.kill(process, signal.SIGSTOP)
    try:
        deployment.works(within=RECOVERY_S)
        deployment.agreed(not_on=master)
    finally:
        os.kill(process, signal.SIGCONT)
    used = set()
    while not isinstance(deployment.settled(), tuple):
        with redis.Redis.from_url(
            deployment.backend.settings.redis_url, password=PASSWORD, decode_responses=True
        ) as fresh:
            used.add(fresh.info("server")["run_id"])
    assert used
    assert hung not in used, "\n".join(line.text for proxy in deployment.proxies for line in proxy.log.lines())
    assert deployment.master() is not master
    assert deployment.holds(chunks)


def test_a_master_that_is_to_end_hands_over_first(deployment: Deployment) -> None:
    master, chunks = deployment.master(), deployment.store()
    invocation = master.invocation(master.main)
    hook = master.main["lifecycle"]["preStop"]["exec"]["command"]
    with deployment.stored_meanwhile() as stored:
        subprocess.run(
            [invocation.rewriter.argument(word) for word in hook], env=invocation.environment, check=True, timeout=30
        )
        master.stop()
        deployment.works(within=RECOVERY_S)
    master.start()
    assert deployment.master() is not master
    assert deployment.holds(chunks)
    lost = [at for key, at in stored.items() if not deployment.client.exists(key)]
    assert len(stored) > len(lost)
    assert not lost or lost[-1] - lost[0] < LOST_S


def test_everything_starts_again_when_all_of_it_is_lost(deployment: Deployment) -> None:
    deployment.master()
    deployment.backend.stop()
    with pytest.raises(redis.RedisError):
        deployment.client.get("probe")
    deployment.backend.start()
    deployment.works(within=RECOVERY_S)
    assert deployment.backend.contents().entries == 1
