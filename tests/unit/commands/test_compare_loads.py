"""Which loads a comparison puts on every arm."""

import pytest

from lmcache_kserve.commands.compare_loads import DEFAULTS, Loads
from lmcache_kserve.evidence.comparison import ABOVE, BELOW, CHAT, DOCUMENTS, LONG_DOCUMENT


def test_by_default_every_length_load_pressure_and_workload_comes_once() -> None:
    cells = DEFAULTS.cells
    assert len(set(cells)) == len(cells)
    assert {cell.workload for cell in cells} == {LONG_DOCUMENT, CHAT, DOCUMENTS}
    documents = [cell for cell in cells if cell.workload == LONG_DOCUMENT]
    assert {cell.prompt_tokens for cell in documents} == {512, 1024, 2048}
    assert {cell.concurrency for cell in documents if cell.prompt_tokens == 1024} == {1, 4, 8}
    assert {cell.pressure for cell in cells} == {ABOVE, BELOW}


def test_a_working_set_above_is_twice_the_engines_cache_and_one_below_is_half_of_it() -> None:
    sizes = {cell.pressure: cell.working_set_tokens for cell in Loads(engine_cache_tokens=4096).cells}
    assert sizes == {ABOVE: 8192, BELOW: 2048}


def test_only_what_was_asked_for_is_measured() -> None:
    loads = Loads(workloads=(LONG_DOCUMENT,), prompt_tokens=(512,), concurrency=(4,), pressures=(BELOW,))
    loads.check()
    (cell,) = loads.cells
    assert (cell.prompt_tokens, cell.concurrency, cell.pressure) == (512, 4, BELOW)


@pytest.mark.parametrize("tokens", [512, 4096])
def test_every_prompt_that_is_let_through_fits_the_working_set_below(tokens: int) -> None:
    loads = Loads(prompt_tokens=(tokens,), pressures=(BELOW,))
    loads.check()
    assert all(cell.documents * cell.prompt_tokens <= cell.working_set_tokens for cell in loads.cells)
