"""The traffic of a comparison as Mooncake's traces."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from made_comparison import CONTROL, PRESSED, cell, comparison, measured

from lmcache_kserve.evidence.comparison import CHAT, DOCUMENTS, Measured
from lmcache_kserve.plan.trace import read
from lmcache_kserve.report.mooncake import lines, write_traces


def named(load: Any, *names: tuple[str, int]) -> Measured:
    """One round with requests of these names and lengths, a second apart."""
    one = measured(load, (0.5,))
    like = one.rounds[1].requests[0]
    requests = tuple(
        replace(like, name=name, prompt_tokens=tokens, sent_s=100.0 + number)
        for number, (name, tokens) in enumerate(names)
    )
    return replace(one, rounds=(replace(one.rounds[1], requests=requests),))


def blocks(of: Measured) -> list[list[int]]:
    return [json.loads(line)["hash_ids"] for line in lines(of)]


def test_questions_about_a_document_share_its_blocks_and_not_the_one_with_the_question() -> None:
    first, other, again, own = blocks(
        named(PRESSED, ("doc0_q0", 1040), ("doc0_q1", 1040), ("doc0_q0", 1040), ("doc1_q0", 1040))
    )
    assert first == again
    assert first[:1] == other[:1]
    assert first[1] != other[1]
    assert not set(first) & set(own)
    assert len(first) == 3


def test_a_session_begins_as_it_began_before() -> None:
    first, later = blocks(named(cell(workload=CHAT), ("s3_r0", 1100), ("s3_r16", 1600)))
    assert first[:2] == later[:2]
    assert len(later) == 4


def test_plan_reads_what_was_written(tmp_path: Path) -> None:
    write_traces(comparison(), tmp_path / "traces")
    assert sorted(file.stem for file in (tmp_path / "traces").iterdir()) == [str(PRESSED), str(CONTROL)]
    requests = read(tmp_path / "traces" / f"{PRESSED}.jsonl")
    assert len(requests) == 3 * 16
    assert requests[0].at_s == 0
    assert {len(one.blocks) for one in requests} == {2}


def test_loads_whose_prompts_nobody_knows_have_no_trace(tmp_path: Path) -> None:
    seen = comparison()
    arm = replace(seen.arms[1], measured=(measured(cell(workload=DOCUMENTS), (0.5, 0.5)),))
    write_traces(replace(seen, arms=(arm,)), tmp_path)
    write_traces(replace(seen, arms=()), tmp_path)
    assert not list(tmp_path.iterdir())
