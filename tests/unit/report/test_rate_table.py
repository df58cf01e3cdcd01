"""The table of how fast backends move chunks."""

from dataclasses import replace

from lmcache_kserve.lmcache.rate import Cell
from lmcache_kserve.report.rate_table import Arm, document, markdown

MIB = 2**20


def cell(how: str, operation: str, gigabytes: float, *, in_flight: int = 4, server: float | None = 0.25) -> Cell:
    return Cell(
        how=how,
        operation=operation,
        chunk_bytes=2 * MIB,
        in_flight=in_flight,
        bytes=10**9,
        seconds=1 / gigabytes,
        client_cpu_s=0.5 / gigabytes,
        server_cpu_s=None if server is None else server / gigabytes,
    )


CELLS = (
    cell("memcpy", "get", 8.0, in_flight=1),
    cell("socket", "put", 1.0),
    cell("socket", "get", 2.0),
    cell("benchmark", "put", 0.7),
    cell("benchmark", "get", 0.9),
    cell("client", "put", 0.5),
    cell("client", "get", 1.5),
)


def page(*arms: Arm) -> str:
    return markdown(arms, command="make rates", versions={"lmcache": "0.5.6"})


def test_a_row_says_rates_their_share_of_the_socket_and_the_cores() -> None:
    written = page(Arm("redis", "in-process", "direct", CELLS))
    assert "## Chunks of 2 MiB" in written
    assert "8.0 to 8.0 GB/s" in written
    assert "| redis | in-process | direct | 4 | 0.50 | 0.50 | 1.50 | 0.75 | 0.5 and 0.2 | 0.70, 0.90 |" in written


def test_a_server_without_a_benchmark_leaves_its_column_empty() -> None:
    written = page(Arm("mooncake", "in-process", "", [one for one in CELLS if one.how != "benchmark"]))
    assert "| 0.5 and 0.2 |  |" in written


def test_a_client_that_lost_a_chunk_is_a_row_with_the_reason_and_no_pass() -> None:
    measured = [one for one in CELLS if one.how != "client"]
    arm = Arm("redis", "in-process", "direct", measured, problem="it failed\ntrace\nLookupError: a | b\nlater")
    assert "| redis | in-process | direct | | it failed: LookupError: a \\| b | | | | | |" in page(arm)
    assert "trace" not in page(arm)
    assert document([arm], command="", versions={})["passed"] is False


def test_what_was_measured_before_a_problem_stays() -> None:
    large = replace(CELLS[1], chunk_bytes=32 * MIB)
    written = page(Arm("redis", "in-process", "direct", [*CELLS, large], problem="no answer"))
    small, _, rest = written.partition("## Chunks of 32 MiB")
    assert "| redis | in-process | direct | 4 | 0.50" in small
    assert "no answer" not in small
    assert "| redis | in-process | direct | | no answer |" in rest


def test_the_document_has_every_cell_with_its_rate() -> None:
    content = document([Arm("redis", "in-process", "direct", CELLS)], command="make rates", versions={})
    assert content["passed"] is True
    rates = [one["gigabytes_per_s"] for one in content["arms"][0]["cells"]]
    assert rates == [one.gigabytes_per_s for one in CELLS]


def test_a_table_without_an_arm_has_not_passed() -> None:
    assert document([], command="", versions={})["passed"] is False
