"""How fast a release's backend on this machine takes chunks and gives them back, without an engine."""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import redis

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache import rate
from lmcache_kserve.lmcache.backends import Source
from lmcache_kserve.lmcache.rate import Cell, Plan
from lmcache_kserve.local.target import LocalTarget

_PROGRAMS = Path(rate.__file__).parent
_TIMEOUT_S = 900.0
_MEMORY_GB = "2"
"""LMCache's own memory in the measuring program: 16 chunks of 32 MiB are sent, and as many received."""
_FILL_BYTES, _FILL_AT_ONCE = 2**21, 16
_BENCHMARKS = {"valkey": ("valkey-benchmark", "redis-benchmark"), "": ("redis-benchmark", "valkey-benchmark")}
"""By backend type, and for all others: what comes with the servers, the first one that this machine has."""
_BENCHMARK_OPERATIONS = {"SET": "put", "GET": "get"}


def client_cells(target: LocalTarget, plan: Plan) -> Iterator[Cell]:
    """Move chunks through the client that the release's configuration selects, one size after the other.

    The backend must run.

    Raises:
        HarnessError: the client cannot store or load a chunk.
    """
    replica, backend = target.replicas[0], target.backend
    adapter = dict(target.settings.extra_config) if replica.server else None
    place = replica.server or replica
    pod = place.pod
    container = replica.server.container if replica.server else pod.main
    environment = {"LMCACHE_MAX_LOCAL_CPU_SIZE": _MEMORY_GB}
    if replica.server:
        environment["PYTHONPATH"] = _folder_of_scripts(pod.invocation(container).arguments)
    for chunk_bytes in plan.chunk_bytes:
        argument = plan.argument(chunk_bytes=chunk_bytes, adapter=adapter, pids=backend.pids if backend else [])
        program = ["python3", str(_PROGRAMS / "client.py"), argument]
        yield from rate.cells(pod.run_in_place_of(container, program, environment=environment, timeout=_TIMEOUT_S))


def fill(target: LocalTarget) -> None:
    """Fill a Redis or Valkey server twice over: what is stored in a cache in use takes the memory of what is evicted.

    Memory that a server uses for the first time costs it more than all else that it does with a chunk.

    Raises:
        HarnessError: the server refuses.
    """
    backend = target.backend
    if backend is None or not backend.controllable or backend.traits.source is not Source.REDIS:
        return
    try:
        with redis.Redis.from_url(target.settings.redis_url, **target.settings.login) as client:
            limit = client.info("memory")["maxmemory"]
            for number in range(2 * limit // (_FILL_BYTES * _FILL_AT_ONCE)):
                with client.pipeline(transaction=False) as pipeline:
                    for place in range(_FILL_AT_ONCE):
                        pipeline.set(f"fill:{number}:{place}", bytes(_FILL_BYTES))
                    pipeline.execute()
    except redis.RedisError as error:
        raise HarnessError(f"{target.settings.redis_url} cannot be filled: {error}") from None


def bare_cells(plan: Plan) -> list[Cell]:
    """Copy chunks in memory, and send them through plain sockets.

    Raises:
        HarnessError: this machine could not.
    """
    lines = run([sys.executable, str(_PROGRAMS / "bare.py"), plan.argument()]).splitlines()
    return list(rate.cells(lines))


def benchmark_cells(target: LocalTarget, plan: Plan) -> Iterator[Cell]:
    """What the benchmark that comes with Redis and Valkey sees; nothing where there is none.

    Other servers have none. Nor has an external one: its password would stand among the arguments.

    Raises:
        HarnessError: the benchmark failed.
    """
    backend = target.backend
    if backend is None or not backend.controllable or backend.traits.source is not Source.REDIS:
        return
    names = _BENCHMARKS.get(backend.type, _BENCHMARKS[""])
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        return
    url = urlsplit(target.settings.redis_url)
    login = [
        ("-a", value) if name == "password" else ("--user", value) for name, value in target.settings.login.items()
    ]
    where = [program, "-h", str(url.hostname), "-p", str(url.port), *itertools.chain(*login), "-t", "set,get", "--csv"]
    for chunk_bytes in plan.chunk_bytes:
        for in_flight in plan.in_flight:
            count = in_flight * plan.rounds(chunk_bytes, in_flight)
            size = ("-d", str(chunk_bytes), "-c", str(in_flight), "-n", str(count))
            said = run([*where, *size])
            rates = requests_per_s(said)
            if not rates:
                raise HarnessError(f"{program} said nothing that could be read: {said}")
            for operation, per_s in rates.items():
                yield Cell(
                    how="benchmark",
                    operation=operation,
                    chunk_bytes=chunk_bytes,
                    in_flight=in_flight,
                    bytes=count * chunk_bytes,
                    seconds=count / per_s,
                )


def requests_per_s(csv: str) -> dict[str, float]:
    """Read what `redis-benchmark --csv` says.

    Its lines are `"SET","1234.56",...`. The columns after the second differ between releases.

    Returns:
        Requests a second, by `put` and `get`.
    """
    rates = {}
    for line in csv.splitlines():
        name, _, rest = line.replace('"', "").partition(",")
        if operation := _BENCHMARK_OPERATIONS.get(name):
            rates[operation] = float(rest.split(",")[0])
    return rates


def _folder_of_scripts(arguments: Sequence[str]) -> str:
    """Where mp_server.py lies, which makes an adapter of the server's settings."""
    for word in arguments:
        if word.endswith("mp_server.py"):
            return str(Path(word).parent)
    raise HarnessError("LMCache's server is not started by mp_server.py: was the release rendered by this chart?")


def run(command: list[str]) -> str:
    """The output of a program.

    Raises:
        HarnessError: it failed; the message has what it said, and none of its arguments.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        # The error of subprocess has the arguments, and so a password.
        raise HarnessError(f"{command[0]} did not end within {_TIMEOUT_S:.0f} s") from None
    if done.returncode:
        raise HarnessError(f"{command[0]} ended with code {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout
