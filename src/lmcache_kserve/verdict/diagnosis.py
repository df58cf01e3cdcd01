"""Likely causes of failed checks, in words that name the value to change.

Each function returns one cause, or None where the evidence does not show that cause. A check lists the causes that may
explain its failure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from lmcache_kserve.evidence import Evidence, full_chunk_tokens
from lmcache_kserve.lmcache.logs import RequestLog, refusal
from lmcache_kserve.target import LogLine

_REFUSED = re.compile(
    r"Error 111 connecting to (?P<host>[^\s:]+):(?P<port>\d+)"
    r"|Connect call failed \('(?P<host2>[^']+)', (?P<port2>\d+)"
    r"|(?:Timeout|Error[^:]*) connecting to (?P<host3>[^\s:]+):(?P<port3>\d+)"
)
_REFUSED_PLAIN = re.compile(r"Connection refused|ConnectionRefusedError|Timeout connecting to server")
_SLOW = re.compile(r"Timeout reading from|timed out while (?:reading|writing)")
# vllm/v1/engine/core.py, run_engine_core
_FATAL = re.compile(r"EngineCore (?:encountered a fatal error|failed to start)")
_EXCEPTION = re.compile(r"\b[A-Z]\w*(?:Error|Exception): \S.*")
_NOT_STARTED = re.compile(r"Failed to initialize LMCacheManager|No adapter found for URL")
# Sources: lmcache/v1/multiprocess/modules/lookup.py, lmcache/integration/vllm/vllm_multi_process_adapter.py.
_UNKNOWN_ENGINE = re.compile(r"No GPU context found for model|No registered GPU context")
_SERVER_LOST = re.compile(r"LMCache server is unhealthy")
_KNOWN_CONNECTORS = re.compile(r"LMCache(MP)?Connector")
_TRACEBACK = "Traceback (most recent call last)"
_LONGEST_LINE = 300
_SEED = (
    "leave lmcache.hashSeed empty and PYTHONHASHSEED out of predictor.env: the chart computes one seed for all replicas"
)


def no_connector(evidence: Evidence) -> str | None:
    """The engine runs without LMCache's connector."""
    for facts in evidence.engines:
        config = facts.option("kv-transfer-config")
        if config is None:
            return (
                f"{facts.name} runs without --kv-transfer-config, so vLLM never calls LMCache; set lmcache.enabled to "
                "true, and the chart adds the argument"
            )
        if not _KNOWN_CONNECTORS.search(config):
            return (
                f"{facts.name} uses a KV connector other than LMCache's: --kv-transfer-config {config}; set "
                "lmcache.enabled to true and leave kv_connector out of lmcache.kvTransferConfig: the chart sets the "
                "connector that lmcache.mode needs"
            )
    return None


def chunk_size(evidence: Evidence) -> str | None:
    """No prompt fills a chunk."""
    chunk = evidence.subject.chunk_size
    longest = max((pair.cold.prompt_tokens for pair in evidence.measured), default=0)
    if not longest or full_chunk_tokens(longest, chunk):
        return None
    return (
        f"lmcache.chunkSize is {chunk} tokens and the prompt only has {longest}; LMCache stores full chunks only, so "
        "nothing was stored: use a smaller lmcache.chunkSize (256)"
    )


def hash_seed(evidence: Evidence) -> str | None:
    """Replicas compute the keys of chunks from different seeds, or from random seeds."""
    seeds = {facts.name: facts.hash_seed for facts in evidence.engines}
    if unset := [name for name, seed in seeds.items() if seed is None]:
        return (
            f"PYTHONHASHSEED is not set on {_joined(unset)} (or is not a number), so replicas may compute different "
            f"chunk keys; {_SEED}"
        )
    if len(set(seeds.values())) > 1:
        return f"PYTHONHASHSEED differs ({_each(seeds)}), so each replica computes other chunk keys; {_SEED}"
    return None


def engine_died(evidence: Evidence) -> str | None:
    """An engine ended by itself. The stream only says that it did; the first exception in the engine's log says why."""
    fatal = ""
    for replica, line in _unprovoked(evidence):
        if _FATAL.search(line.text):
            fatal = replica
        elif replica == fatal and (match := _EXCEPTION.search(line.text)):
            return f"the engine of {replica} died: {match.group()[:_LONGEST_LINE]}"
    return None


def switched_off(evidence: Evidence) -> str | None:
    """The chart's connector keeps LMCache away from a KV cache that LMCache is not known to read right."""
    for replica, line in _lines(evidence):
        if reason := refusal(line.text):
            return (
                f"{replica} serves without LMCache, because answers might be wrong: {reason}; use other releases or "
                "another lmcache.mode (docs/correctness.md), or set lmcache.allowUnproven to true if you have proved it"
            )
    return None


def not_started(evidence: Evidence) -> str | None:
    """LMCache could not start beside vLLM. Where its line begins a traceback, the exception after it says why."""
    failed = said = ""
    for replica, line in _lines(evidence):
        if not failed and _NOT_STARTED.search(line.text):
            failed, said = replica, line.text[-_LONGEST_LINE:]
            if _TRACEBACK not in line.text:
                break
        elif replica == failed and (match := _EXCEPTION.search(line.text)):
            said = match.group()[:_LONGEST_LINE]
            break
    return f"LMCache could not start on {failed}, which computes every prompt: {said}" if failed else None


def server_lost(evidence: Evidence) -> str | None:
    """An engine and its LMCache server of mode multiprocess have lost each other."""
    for replica, line in _unprovoked(evidence):
        if _UNKNOWN_ENGINE.search(line.text):
            return (
                f"the LMCache server of {replica} was replaced, and the engine has not registered with the new server "
                "(lmcache.multiprocess.heartbeatSeconds)"
            )
        if _SERVER_LOST.search(line.text):
            return (
                f"{replica} lost its LMCache server and computes every prompt; the server ended or is overloaded "
                "(lmcache.multiprocess.resources, lmcache.multiprocess.l1.sizeGB)"
            )
    return None


def refused(evidence: Evidence) -> str | None:
    """A replica cannot connect to the backend."""
    backend = evidence.subject.backend_type
    for replica, line in _unprovoked(evidence):
        match = _REFUSED.search(line.text)
        if match or _REFUSED_PLAIN.search(line.text):
            place = _place(match) if match else "the backend"
            return (
                f"{replica} cannot reach {place}; check that this is the endpoint of the {backend} backend, that the "
                f"backend runs, and that network policies let {replica} connect ({_values_key(backend)})"
            )
    return None


def slow(evidence: Evidence) -> str | None:
    """The backend answers too late. LMCache then gives up the whole store, and the next lookup finds its beginning."""
    late = [replica for replica, line in _unprovoked(evidence) if _SLOW.search(line.text)]
    if not late:
        return None
    backend = evidence.subject.backend_type
    return (
        f"the {backend} backend answered {late[0]} too late ({len(late)} timeout(s) in the logs), and LMCache gave up "
        "what it was storing or loading; the machine or the backend is overloaded, or the timeout is too short "
        f"({_values_key(backend)}.timeouts.commandSeconds)"
    )


def world_size(evidence: Evidence) -> str | None:
    """Replicas split the model over different numbers of workers."""
    sizes = {facts.name: facts.world_size for facts in evidence.engines}
    if len(set(sizes.values())) <= 1:
        return None
    return (
        f"the replicas run different numbers of workers ({_each(sizes)}); this number is part of every chunk's key, so "
        "the replicas share nothing: give all replicas the same predictor.gpu.count and parallel sizes"
    )


def one_replica(evidence: Evidence) -> str | None:
    """The release has one replica."""
    if len(evidence.engines) != 1 or not evidence.replicas_share:
        return None
    return "the release has one replica; reuse across replicas needs two: raise predictor.replicas"


def nothing_logged(evidence: Evidence) -> str | None:
    """LMCache's logs name no request, or no stored chunk."""
    logs = [pair.cold.log for pair in evidence.measured]
    read = [log for log in logs if isinstance(log, RequestLog)]
    if not read or any(log.stored_tokens for log in read) or switched_off(evidence):
        return None
    if not any(log.lookup for log in read):
        return (
            "no log line of LMCache names any of the requests; LMCache is not loaded, or its log level hides them: set "
            "lmcache.logLevel to INFO and, in mode multiprocess, lmcache.multiprocess.logRequests to true"
        )
    return (
        "LMCache looked every prompt up but stored none (no 'Stored' line in the log); set lmcache.kvRole to kv_both, "
        "and check that the CPU tier is not full (lmcache.localCpu.sizeGB)"
    )


BACKEND = (engine_died, switched_off, not_started, server_lost, refused, slow)
"""Causes that lie between a replica and what it caches with, most certain first."""

NO_HITS = (no_connector, chunk_size, hash_seed, *BACKEND, world_size, nothing_logged)
"""Why a replica may not find what another one stored, most certain first."""


def _lines(evidence: Evidence) -> Iterator[tuple[str, LogLine]]:
    """Every log line, with the name of its replica."""
    for log in evidence.logs if isinstance(evidence.logs, tuple) else ():
        for line in log.lines:
            yield log.replica, line


def _unprovoked(evidence: Evidence) -> Iterator[tuple[str, LogLine]]:
    """Every log line outside the fault windows, with the name of its replica."""
    for replica, line in _lines(evidence):
        if not any(fault.covers(line.time) for fault in evidence.faults):
            yield replica, line


def _place(match: re.Match[str]) -> str:
    groups = match.groupdict()
    host = groups["host"] or groups["host2"] or groups["host3"]
    port = groups["port"] or groups["port2"] or groups["port3"]
    return f"{host}:{port}"


def _values_key(backend: str) -> str:
    """Where values.yaml configures a type of backend: `remoteBackend.lmcacheServer` for lmcache-server."""
    first, *others = backend.split("-")
    return f"remoteBackend.{first}{''.join(word.capitalize() for word in others)}"


def _each(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} has {value}" for name, value in values.items())


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
