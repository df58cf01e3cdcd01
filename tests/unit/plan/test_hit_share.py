"""The hit share: counted in one pass, and as a plain LRU cache counts it, size by size."""

import json
import random
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import hit_share, trace
from lmcache_kserve.plan.hit_share import Reuse
from lmcache_kserve.plan.trace import Request

BLOCK = 256


def request(*blocks: str, at_s: float = 0.0, tail: int = 0) -> Request:
    return Request(at_s=at_s, tokens=len(blocks) * BLOCK + tail, blocks=blocks, block_tokens=BLOCK)


def plain_share(requests: Sequence[Request], blocks: int) -> float:
    """What LMCache's simulator does, by its rules, for one size."""
    cache: OrderedDict[Any, None] = OrderedDict()
    found = 0
    for one in requests:
        for name in one.blocks:
            if name not in cache:
                break
            found += BLOCK
        for name in one.blocks:
            if name in cache:
                cache.move_to_end(name)
                continue
            if len(cache) >= blocks:
                cache.popitem(last=False)
            cache[name] = None
    return found / sum(one.tokens for one in requests)


def random_requests(seed: int) -> list[Request]:
    source = random.Random(seed)  # noqa: S311 - traffic, not a secret
    documents = [[f"{number}-{part}" for part in range(source.randint(1, 9))] for number in range(source.randint(1, 8))]
    made = []
    for number in range(40):
        document = source.choice(documents)
        shared = document[: source.randint(0, len(document))]
        own = [f"own-{number}-{part}" for part in range(source.randint(0, 3))]
        made.append(request(*shared, *own, at_s=number, tail=source.randint(0, BLOCK - 1)))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_one_pass_counts_what_a_cache_of_each_size_finds(seed: int) -> None:
    requests = random_requests(seed)
    reuse = Reuse(requests)
    for blocks in (1, 2, 3, 5, 8, 13, 30, 1000):
        assert reuse.share(blocks * BLOCK) == pytest.approx(plain_share(requests, blocks))


def test_the_first_missing_block_ends_a_hit() -> None:
    requests = [request("b"), request("a", "b"), request("a", "b")]
    assert Reuse(requests).share(10 * BLOCK) == pytest.approx(2 / 5)


def test_requests_that_go_round_in_a_larger_working_set_find_nothing() -> None:
    rounds = [request(str(number % 4)) for number in range(40)]
    assert Reuse(rounds).share(3 * BLOCK) == 0
    assert Reuse(rounds).share(4 * BLOCK) == 0.9


def test_a_working_set_is_found_by_the_share_that_fits() -> None:
    share = hit_share.of_working_set(1000)
    assert [share.shared(tokens) for tokens in (0, 250, 1000, 4000)] == [0, 0.25, 1, 1]


def test_a_replica_finds_only_what_it_saw_itself() -> None:
    turns = [request("a"), request("a"), request("a"), request("a")]
    share = hit_share.of_trace(turns, replicas=2)
    assert share.shared(BLOCK) == 0.75
    assert share.single(BLOCK) == 0.5


def test_lmcaches_own_simulator_counts_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def simulate(events: list[dict[str, Any]], **options: Any) -> dict[str, float]:
        asked.append({"events": events, **options})
        return {"token_hit_rate": 0.42}

    module = ModuleType("lmcache.tools.cache_simulator.simulator")
    vars(module)["simulate"] = simulate
    for name in ("lmcache", "lmcache.tools", "lmcache.tools.cache_simulator"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    share = hit_share.of_trace([request("a", tail=3)], replicas=1)
    assert share.shared(10 * BLOCK) == 0.42
    assert share.shared(BLOCK - 1) == 0
    assert "LMCache's cache simulator" in share.source
    assert asked[0]["cache_capacity_bytes"] // asked[0]["kv_bytes_per_chunk"] == 10
    assert asked[0]["events"] == [{"chunk_hashes": ["a"], "seq_len": BLOCK + 3, "chunk_size": BLOCK, "timestamp": 0.0}]


def written(folder: Path, *lines: object) -> Path:
    file = folder / "trace.jsonl"
    file.write_text(
        "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), encoding="utf-8"
    )
    return file


MOONCAKE = {"timestamp": 3052, "input_length": 1100, "output_length": 8, "hash_ids": [0, 1, 2]}
LOOKUP = {"timestamp": 17.5, "seq_len": 600, "chunk_size": 256, "chunk_hashes": ["0xa", "0xb"]}


def test_mooncakes_trace_is_read_in_the_order_of_time_without_blocks_that_are_not_full(tmp_path: Path) -> None:
    first = {**MOONCAKE, "timestamp": 0, "hash_ids": [5], "input_length": 512}
    requests = trace.read(written(tmp_path, MOONCAKE, "", first))
    assert requests == [
        Request(at_s=0.0, tokens=512, blocks=(5,), block_tokens=512),
        Request(at_s=3.052, tokens=1100, blocks=(0, 1), block_tokens=512),
    ]
    assert trace.requests_per_hour(requests) == pytest.approx(3600 / 3.052)
    assert trace.requests_per_hour(requests[:1]) is None


def test_lmcaches_own_log_of_lookups_is_a_trace_too(tmp_path: Path) -> None:
    assert trace.read(written(tmp_path, LOOKUP)) == [
        Request(at_s=17.5, tokens=600, blocks=("0xa", "0xb"), block_tokens=256)
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        pytest.param(["{"], "line 1 is no request", id="no json"),
        pytest.param([MOONCAKE, "[1]"], "line 2 is no request .* no object", id="no object"),
        pytest.param([{"timestamp": 0}], "line 1 .* has no 'input_length'", id="field missing"),
        pytest.param([{**MOONCAKE, "input_length": "many"}], "line 1: input_length is 'many'", id="no number"),
        pytest.param([{**MOONCAKE, "input_length": 0}], "line 1: input_length is 0", id="empty prompt"),
        pytest.param([{**MOONCAKE, "input_length": float("inf")}], "line 1: input_length is inf", id="infinite prompt"),
        pytest.param([{**MOONCAKE, "input_length": True}], "line 1: input_length is True", id="truth for a number"),
        pytest.param([{**MOONCAKE, "timestamp": float("nan")}], "line 1: timestamp is nan", id="no time"),
        pytest.param([{**MOONCAKE, "timestamp": 10**400}], "line 1: timestamp is 10", id="time beyond floats"),
        pytest.param([{**LOOKUP, "seq_len": float("inf")}], "line 1: seq_len is inf", id="infinite lookup"),
        pytest.param([{**LOOKUP, "chunk_size": 0}], "line 1: chunk_size is 0", id="empty chunk"),
        pytest.param([{**LOOKUP, "chunk_hashes": "0xa"}], "line 1: chunk_hashes is '0xa'", id="text of hashes"),
        pytest.param([{**MOONCAKE, "hash_ids": "abc"}], "line 1: hash_ids is 'abc'", id="text of names"),
        pytest.param([{**MOONCAKE, "hash_ids": [[1], [2], [3]]}], "names of blocks", id="names"),
        pytest.param([{**MOONCAKE, "hash_ids": 7}], "line 1: hash_ids is 7", id="no list"),
        pytest.param([MOONCAKE, LOOKUP], "mixes blocks of 256, 512 tokens", id="mixed"),
        pytest.param([], "holds no request", id="empty"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_by_line(tmp_path: Path, lines: list[object], says: str) -> None:
    with pytest.raises(HarnessError, match=rf"--trace .*{says}"):
        trace.read(written(tmp_path, *lines))


def test_a_trace_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"--trace .* cannot be read"):
        trace.read(tmp_path / "none.jsonl")
