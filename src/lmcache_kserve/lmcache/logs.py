"""What LMCache logs about a request, by version.

LMCache names the request by vLLM's id, which wraps the `X-Request-Id` header: `cmpl-<id>-0-<hex>`. A line belongs to a
request when it contains the id. Lines are at INFO level. With tensor parallelism each worker writes its own store and
retrieve lines. In mode multiprocess the server writes the lines. Its lookups carry the id; the stores and retrievals
after them do not. A lookup that found nothing is logged at DEBUG, and the chart lets that line through.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from lmcache_kserve.target import LogLine

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Source: lmcache/integration/vllm/vllm_v1_adapter.py.
_STARTED = re.compile(
    r"LMCache initialized for role \S+ with version (?P<lmcache>[^\s,]+), vllm version (?P<vllm>[^\s,]+)"
)
# Source: the chart's files/unproven.py.
_REFUSAL = re.compile(r"LMCache is off: (?P<reason>.+?)\. Requests are answered without LMCache")

_LOADED = r"(?: \(from \d+ total tokens\)\. size: (?P<gib>[\d.]+) gb, cost (?P<ms>[\d.]+) ms)?"
_GIB = 2**30


class Event(Enum):
    """What a line reports."""

    LOOKUP = "lookup"
    TIERS = "tiers"
    STORED = "stored"
    RETRIEVED = "retrieved"


@dataclass(frozen=True, slots=True)
class LineFormat:
    """The format of one event's line in a range of LMCache versions.

    Attributes:
        event: what the line reports.
        versions: the LMCache versions that write it.
        pattern: named groups `total`, `hit`, `chunks`, `computed`, `load`, `tokens`, `l1`, `l2`, `gib`, `ms` and `s`,
            as far as the line has them.
        names_request: whether the line carries the request's id; other lines belong to the lookup before them.
    """

    event: Event
    versions: str
    pattern: re.Pattern[str]
    names_request: bool = True


# Sources: lmcache/integration/vllm/vllm_v1_adapter.py and lmcache/v1/cache_engine.py of each version; for multiprocess
# lmcache/v1/mp_observability/subscribers/logging/mp_server.py, lmcache/v1/distributed/storage_manager.py and
# lmcache/v1/multiprocess/modules/*_transfer.py of 0.5.1 and 0.5.6.
FORMATS: tuple[LineFormat, ...] = (
    LineFormat(
        Event.LOOKUP,
        "0.3.9",
        re.compile(
            r"Reqid: \S+, Total tokens (?P<total>\d+), LMCache hit tokens: (?P<hit>\d+|None)"
            r"(?:, need to load: (?P<load>-?\d+))?"
        ),
    ),
    LineFormat(
        Event.LOOKUP,
        "0.4.2 - 0.5.6",
        re.compile(
            r"Reqid: \S+, Total tokens (?P<total>\d+), Inference Engine computed tokens: (?P<computed>\d+), "
            r"LMCache hit tokens: (?P<hit>\d+|None)(?:,(?: but)? need to load: (?P<load>-?\d+))?"
        ),
    ),
    LineFormat(
        Event.STORED,
        "0.3.9",
        re.compile(r"Storing KV cache for (?P<tokens>\d+) out of (?P<total>\d+) tokens"),
    ),
    LineFormat(
        Event.STORED,
        "0.4.2 - 0.5.6",
        re.compile(r"\[req_id=\S+\] Stored (?P<tokens>\d+) out of total (?P<total>\d+) tokens"),
    ),
    LineFormat(
        Event.RETRIEVED,
        "0.3.9",
        re.compile(rf"(?<!\] )Retrieved (?P<tokens>\d+) out of (?P<total>\d+) required tokens{_LOADED}"),
        names_request=False,
    ),
    LineFormat(
        Event.RETRIEVED,
        "0.4.2 - 0.5.6",
        re.compile(rf"\[req_id=\S+\] Retrieved (?P<tokens>\d+) out of (?P<total>\d+) required tokens{_LOADED}"),
    ),
    LineFormat(
        Event.LOOKUP,
        "multiprocess 0.5.1 - 0.5.6",
        re.compile(r"MP lookup/prefetch end: session=\S+ found_count=(?P<chunks>\d+)"),
    ),
    LineFormat(
        Event.TIERS,
        "multiprocess 0.5.1 - 0.5.6",
        re.compile(
            r"Prefetch request completed \(L1\+L2\): \d+/\d+ retained keys \((?P<l1>\d+) L1, (?P<l2>\d+) L2\) in "
            r"(?P<ms>[\d.]+) ms \(external_request_id="
        ),
    ),
    LineFormat(
        Event.STORED,
        "multiprocess 0.5.1 - 0.5.6",
        re.compile(r"Stored (?P<tokens>\d+) tokens in [\d.]+ seconds"),
        names_request=False,
    ),
    LineFormat(
        Event.RETRIEVED,
        "multiprocess 0.5.1 - 0.5.6",
        re.compile(r"Retrieved (?P<tokens>\d+) tokens in (?P<s>[\d.]+) seconds"),
        names_request=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The scheduler's question to LMCache: how many tokens of this prompt are cached.

    Attributes:
        total_tokens: length of the prompt; None where the line does not say.
        hit_tokens: tokens found, in whole chunks; None while an asynchronous lookup has no answer yet.
        computed_tokens: tokens that vLLM's own prefix cache already holds; None where the version does not say.
        load_tokens: tokens to be loaded from LMCache; None where the line does not say.
    """

    total_tokens: int | None
    hit_tokens: int | None
    computed_tokens: int | None = None
    load_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Tiers:
    """Where a server of mode multiprocess found the objects of a request: in its own memory, or in the backend."""

    l1_objects: int
    l2_objects: int


@dataclass(frozen=True, slots=True)
class Load:
    """How LMCache brought the chunks of a request to the engine; with several workers, the slowest of them.

    Attributes:
        seconds: from the first byte to the engine's memory. In mode multiprocess the server's prefetch from the backend
            and its hand-over to the engine.
        size_bytes: what was loaded; None where the line does not say, or says it with too few digits.
    """

    seconds: float
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RequestLog:
    """What a replica's log says about one request.

    Attributes:
        lookup: the last lookup that had an answer, else the last lookup; None without a lookup.
        stored_tokens: tokens written to LMCache, over all steps of a chunked prefill.
        retrieved_tokens: tokens loaded from LMCache; None without such a line.
        tiers: where a server of mode multiprocess found the tokens; None without such a line.
        load: how the tokens were loaded; None where no line says so.
    """

    lookup: Lookup | None = None
    stored_tokens: int = 0
    retrieved_tokens: int | None = None
    tiers: "Tiers | None" = None
    load: Load | None = None

    @property
    def hit_tokens(self) -> int:
        """Tokens that LMCache found; 0 where it was not asked or did not answer."""
        return (self.lookup.hit_tokens or 0) if self.lookup else 0


def request_log(lines: Iterable[LogLine], request_id: str, *, chunk_size: int) -> RequestLog:
    """Read from a replica's log what LMCache wrote about one request; some lines count in chunks of `chunk_size`."""
    lookup: Lookup | None = None
    tiers: Tiers | None = None
    stored = 0
    retrieved: int | None = None
    load: Load | None = None
    prefetch_s = 0.0
    current = False
    for line in lines:
        ours = request_id in line.text
        for known in FORMATS:
            match = known.pattern.search(line.text)
            if not match:
                continue
            if known.event is Event.TIERS:
                current = ours
                if ours:
                    tiers = Tiers(l1_objects=int(match["l1"]), l2_objects=int(match["l2"]))
                    prefetch_s = float(match["ms"]) / 1000
            elif known.event is Event.LOOKUP:
                current = ours
                if ours:
                    seen = _lookup(match, chunk_size)
                    lookup = seen if seen.hit_tokens is not None or lookup is None else lookup
            elif ours or (current and not known.names_request):
                tokens = int(match["tokens"])
                if known.event is Event.STORED:
                    stored += tokens
                else:
                    retrieved = max(retrieved or 0, tokens)
                    load = max((load, _load(match, prefetch_s)), key=lambda one: one.seconds if one else -1.0)
            break
    return RequestLog(lookup, stored, retrieved, tiers, load)


def _load(match: re.Match[str], prefetch_s: float) -> Load | None:
    groups = match.groupdict()
    if seconds := groups.get("s"):
        return Load(seconds=prefetch_s + float(seconds))
    if milliseconds := groups.get("ms"):
        return Load(seconds=float(milliseconds) / 1000, size_bytes=int(float(groups["gib"] or 0) * _GIB) or None)
    return None


def _lookup(match: re.Match[str], chunk_size: int) -> Lookup:
    groups = match.groupdict()
    if chunks := groups.get("chunks"):
        return Lookup(total_tokens=None, hit_tokens=int(chunks) * chunk_size)
    return Lookup(
        total_tokens=int(groups["total"]),
        hit_tokens=_number(groups["hit"]),
        computed_tokens=_number(groups.get("computed")),
        load_tokens=_number(groups.get("load")),
    )


def _number(text: str | None) -> int | None:
    return None if text in {None, "None"} else int(str(text))


def started_versions(lines: Iterable[LogLine]) -> dict[str, str]:
    """The versions of `lmcache` and `vllm` that LMCache logs when it starts; empty where it does not."""
    for line in lines:
        if match := _STARTED.search(line.text):
            return match.groupdict()
    return {}


def refusal(text: str) -> str | None:
    """Why an engine serves without LMCache, where a line of the chart's connector says so."""
    match = _REFUSAL.search(text)
    return match["reason"] if match else None


def plain(text: str) -> str:
    """A log line without terminal colours."""
    return _ANSI.sub("", text)
