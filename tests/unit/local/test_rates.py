"""What the machine can do at best, and the benchmarks that come with servers."""

from pathlib import Path

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache import rate
from lmcache_kserve.lmcache.rate import CHUNK_STEP_BYTES, Plan
from lmcache_kserve.local import rates

PLAN = Plan(chunk_bytes=(CHUNK_STEP_BYTES,), in_flight=(1, 3), cell_bytes=6 * CHUNK_STEP_BYTES)


def test_sockets_and_copies_move_what_the_plan_says() -> None:
    moved = {
        (cell.how, cell.operation, cell.in_flight): cell.bytes // CHUNK_STEP_BYTES for cell in rates.bare_cells(PLAN)
    }
    assert moved == {
        ("memcpy", "get", 1): 6,
        **{("socket", operation, connections): 4 * 6 for operation in ("put", "get") for connections in (1, 3)},
    }


def test_a_cell_takes_two_rounds_at_least() -> None:
    assert PLAN.rounds(CHUNK_STEP_BYTES, 3) == 2
    assert PLAN.rounds(CHUNK_STEP_BYTES, 100) == 2
    assert PLAN.rounds(CHUNK_STEP_BYTES, 1) == 6


def test_the_lines_of_a_log_around_the_cells_are_left_out() -> None:
    line = '{"chunk_bytes": 8, "in_flight": 1, "operation": "get", "bytes": 16, "seconds": 2.0}'
    (cell,) = rate.cells(["LMCache INFO: connected", line, '{"another": "object"}'])
    assert (cell.how, cell.gigabytes_per_s, cell.client_cpu_s) == ("client", 8e-9, None)


@pytest.mark.parametrize(
    "said",
    [
        '"test","rps","avg_latency_ms"\n"SET","200.00","1.1"\n"GET","400.00","0.9"\n',
        '"SET","200.00"\n"GET","400.00"\n',
    ],
)
def test_the_benchmarks_of_all_releases_are_read(said: str) -> None:
    assert rates.requests_per_s(said) == {"put": 200.0, "get": 400.0}


def test_a_program_that_fails_is_named_without_its_arguments(tmp_path: Path) -> None:
    program = tmp_path / "benchmark"
    program.write_text("#!/bin/sh\necho NOAUTH >&2; exit 1\n")
    program.chmod(0o755)
    with pytest.raises(HarnessError, match=r"/benchmark ended with code 1: NOAUTH") as caught:
        rates.run([str(program), "-a", "the-password"])
    assert "the-password" not in str(caught.value)
