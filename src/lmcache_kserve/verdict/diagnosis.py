"""Names the cause of a failed check, in words that say which value to change.

Each finding is a function of the evidence alone, and speaks only when it has seen its cause; what it says explains
the checks that it lists.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lmcache_kserve.evidence import Evidence, full_chunk_tokens
from lmcache_kserve.lmcache.logs import RequestLog

_HITS = frozenset({"cross-replica-hit", "restart-hit", "backend-grew", "external-hits-metric", "ttft"})
_SHARING = frozenset({"cross-replica-hit", "restart-hit", "ttft"})
_BACKEND = _HITS | {"clean-logs", "backend-outage"}

_REFUSED = re.compile(
    r"Error 111 connecting to (?P<host>[^\s:]+):(?P<port>\d+)"
    r"|Connect call failed \('(?P<host2>[^']+)', (?P<port2>\d+)"
    r"|(?:Timeout|Error[^:]*) connecting to (?P<host3>[^\s:]+):(?P<port3>\d+)"
)
_REFUSED_PLAIN = re.compile(r"Connection refused|ConnectionRefusedError|Timeout connecting to server")
_SLOW = re.compile(r"Timeout reading from|timed out while (?:reading|writing)")
_NOT_STARTED = re.compile(r"Failed to initialize LMCacheManager|No adapter found for URL")
# Sources: lmcache/v1/multiprocess/modules/lookup.py, lmcache/integration/vllm/vllm_multi_process_adapter.py.
_UNKNOWN_ENGINE = re.compile(r"No GPU context found for model|No registered GPU context")
_SERVER_LOST = re.compile(r"LMCache server is unhealthy")
_KNOWN_CONNECTORS = re.compile(r"LMCache(MP)?Connector")
_SEED = (
    "leave lmcache.hashSeed empty and PYTHONHASHSEED out of predictor.env: the chart computes one seed for all replicas"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause and the checks that it explains."""

    checks: frozenset[str]
    text: str


def explain(evidence: Evidence, check: str) -> tuple[str, ...]:
    """The causes, most certain first, that explain why `check` failed; empty where none was seen."""
    return tuple(finding.text for detect in _DETECTORS for finding in detect(evidence) if check in finding.checks)


def seeds(evidence: Evidence) -> dict[str, str | None]:
    """PYTHONHASHSEED of every replica; None where it is not set to a fixed number."""
    found = {facts.name: facts.environment.get("PYTHONHASHSEED") for facts in evidence.engines}
    return {name: seed if seed and seed.isdecimal() else None for name, seed in found.items()}


def _hash_seed(evidence: Evidence) -> Iterator[Finding]:
    found = seeds(evidence)
    missing = [name for name, seed in found.items() if seed is None]
    if missing:
        yield Finding(
            _SHARING,
            f"PYTHONHASHSEED is not set on {_listed(missing)}, so replicas may compute different chunk keys; {_SEED}",
        )
    elif len(set(found.values())) > 1:
        values = ", ".join(f"{name} has {seed}" for name, seed in found.items())
        yield Finding(
            _SHARING,
            f"PYTHONHASHSEED differs ({values}), so each replica computes other chunk keys; {_SEED}",
        )


def _no_connector(evidence: Evidence) -> Iterator[Finding]:
    for facts in evidence.engines:
        config = facts.option("kv-transfer-config")
        if config is None:
            yield Finding(
                _HITS,
                f"{facts.name} runs without --kv-transfer-config: vLLM never calls LMCache; the predictor's arguments "
                "lack the connector (lmcache.enabled, runtime arguments)",
            )
        elif not _KNOWN_CONNECTORS.search(config):
            yield Finding(
                _HITS,
                f"{facts.name} uses a KV connector other than LMCache's: --kv-transfer-config {config}; "
                "kv_connector has to be LMCacheConnectorV1 (lmcache.mode: in-process)",
            )
        else:
            continue
        return


def _chunk_size(evidence: Evidence) -> Iterator[Finding]:
    chunk = evidence.subject.chunk_size
    lengths = [pair.cold.prompt_tokens for pair in evidence.measured]
    if lengths and not full_chunk_tokens(max(lengths), chunk):
        yield Finding(
            _HITS,
            f"lmcache.chunkSize is {chunk} tokens and the prompt only has {max(lengths)}: LMCache stores whole chunks, "
            "so nothing was stored; use a smaller lmcache.chunkSize (256)",
        )


def _refused(evidence: Evidence) -> Iterator[Finding]:
    """Refused connections point at the backend's address."""
    backend = evidence.subject.backend_type
    for replica, text in _unprovoked(evidence):
        match = _REFUSED.search(text)
        if match or _REFUSED_PLAIN.search(text):
            place = _place(match) if match else "the backend"
            yield Finding(
                _BACKEND,
                f"{replica} cannot reach {place}: is that the endpoint of the {backend} backend, is it up, and do "
                f"network policies let it through? ({_values_key(backend)})",
            )
            return


def _slow(evidence: Evidence) -> Iterator[Finding]:
    """A command that timed out gives up a whole store, and the next lookup finds its beginning only."""
    slow = [(replica, text) for replica, text in _unprovoked(evidence) if _SLOW.search(text)]
    if slow:
        backend = evidence.subject.backend_type
        yield Finding(
            _BACKEND,
            f"the {backend} backend answered {slow[0][0]} too late {len(slow)} time(s), and what was being stored or "
            "loaded was given up: the machine or the backend is overloaded, or its client waits too short "
            f"({_values_key(backend)}.timeouts.commandSeconds)",
        )


def _unprovoked(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Replica and text of every log line outside fault windows."""
    for log in evidence.logs if isinstance(evidence.logs, tuple) else ():
        for line in log.lines:
            if not any(fault.covers(line.time) for fault in evidence.faults):
                yield log.replica, line.text


def _place(match: re.Match[str]) -> str:
    groups = match.groupdict()
    host = groups["host"] or groups["host2"] or groups["host3"]
    port = groups["port"] or groups["port2"] or groups["port3"]
    return f"{host}:{port}"


def _degraded(evidence: Evidence) -> Iterator[Finding]:
    for log in evidence.logs if isinstance(evidence.logs, tuple) else ():
        for line in log.lines:
            if _NOT_STARTED.search(line.text):
                yield Finding(
                    _BACKEND,
                    f"LMCache could not start on {log.replica}, so it computes everything: {line.text[-300:]}",
                )
                return


def _nothing_logged(evidence: Evidence) -> Iterator[Finding]:
    logs = [pair.cold.log for pair in evidence.measured]
    read = [log for log in logs if isinstance(log, RequestLog)]
    if not read or any(log.stored_tokens for log in read):
        return
    if not any(log.lookup for log in read):
        yield Finding(
            _HITS,
            "no log line of LMCache names any of the requests: LMCache is not loaded, or its log level hides them "
            "(lmcache.logLevel has to be INFO, lmcache.multiprocess.logRequests true)",
        )
    else:
        yield Finding(
            _HITS,
            "LMCache was asked for every prompt but stored none: no 'Stored' line in the log (lmcache.kvRole has to be "
            "kv_both; a full CPU tier stores nothing: lmcache.localCpu.sizeGB)",
        )


def _engine_unknown(evidence: Evidence) -> Iterator[Finding]:
    """A server of mode multiprocess that was replaced does not know the engines that did not notice."""
    for replica, text in _unprovoked(evidence):
        if _UNKNOWN_ENGINE.search(text):
            yield Finding(
                _BACKEND,
                f"the LMCache server of {replica} does not know its engine: it was replaced, and the engine has not "
                "registered again (lmcache.multiprocess.heartbeatSeconds)",
            )
            return
        if _SERVER_LOST.search(text):
            yield Finding(
                _BACKEND,
                f"{replica} lost its LMCache server and computes everything itself: did that end, or is it overloaded? "
                "(lmcache.multiprocess.resources, l1.sizeGB)",
            )
            return


def _world_size(evidence: Evidence) -> Iterator[Finding]:
    sizes = {facts.name: facts.world_size for facts in evidence.engines}
    if len(set(sizes.values())) > 1:
        values = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        yield Finding(
            _SHARING,
            f"the replicas' parallel sizes differ ({values}): the size is part of every key, so they share nothing",
        )


def _one_replica(evidence: Evidence) -> Iterator[Finding]:
    if len(evidence.engines) == 1 and evidence.shared_backend:
        yield Finding(
            frozenset({"cross-replica-hit", "backend-outage"}),
            "there is one replica: reuse across replicas needs two (predictor.replicas)",
        )


_DETECTORS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    _no_connector,
    _chunk_size,
    _hash_seed,
    _degraded,
    _engine_unknown,
    _refused,
    _slow,
    _world_size,
    _one_replica,
    _nothing_logged,
)


def _values_key(backend: str) -> str:
    """Where the chart's values configure a type of backend: `remoteBackend.lmcacheServer` for lmcache-server."""
    first, *others = backend.split("-")
    return f"remoteBackend.{first}{''.join(word.capitalize() for word in others)}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
