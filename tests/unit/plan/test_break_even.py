from dataclasses import replace

import pytest

from lmcache_kserve.plan import prefill
from lmcache_kserve.plan.break_even import Timing
from lmcache_kserve.plan.cost import Prices, cost
from lmcache_kserve.plan.hardware import Engine
from lmcache_kserve.plan.prefill import Prefill

ENGINE = Engine(base_s=0.1, per_token_s=0.0, per_hit_s=0.0256, source="a test")
STEADY = prefill.stated(10_000, source="a test", error="none")
TIMING = Timing(prefill=STEADY, load_rate=2e9, token_bytes=100_000, chunk=256, engine=ENGINE)
"""Computing takes 100 us a token, loading 50 us and 25.6 ms before: a hit wins above 512 tokens."""


def test_loading_wins_above_the_bytes_that_are_computed_in_a_second() -> None:
    assert TIMING.break_even_rate(4096) == 1e9
    even = replace(TIMING, load_rate=1e9, engine=replace(ENGINE, per_hit_s=0.0))
    assert even.hit_s(4096) == pytest.approx(even.miss_s(4096))


def test_a_hit_wins_from_the_length_at_which_its_start_is_earned() -> None:
    assert TIMING.break_even_tokens() == 768
    assert TIMING.hit_s(512) == pytest.approx(TIMING.miss_s(512))
    assert TIMING.hit_s(768) < TIMING.miss_s(768)


def test_where_loading_is_slower_no_length_wins() -> None:
    assert replace(TIMING, load_rate=0.9e9).break_even_tokens() is None


def test_a_length_beyond_the_models_context_does_not_count() -> None:
    assert TIMING.break_even_tokens(512) is None
    assert TIMING.break_even_tokens(768) == 768


def test_attention_lets_long_prompts_win_although_short_ones_lose() -> None:
    growing = Prefill(seconds=lambda tokens: tokens / 10_000 + tokens**2 / 1e8, source="a test", error="none")
    slow = replace(TIMING, prefill=growing, load_rate=0.5e9, chunk=1, engine=replace(ENGINE, per_hit_s=0.0))
    assert slow.break_even_tokens() == 10_001
    assert slow.hit_s(8_000) > slow.miss_s(8_000)
    assert slow.hit_s(12_000) < slow.miss_s(12_000)


def test_tokens_that_fill_no_chunk_are_computed() -> None:
    whole, more = TIMING.hit_s(1024), TIMING.hit_s(1124)
    assert more - whole == pytest.approx(100 / 10_000)
    assert TIMING.hit_s(200) == TIMING.miss_s(200)


def test_a_hit_of_the_first_part_computes_the_rest() -> None:
    assert TIMING.hit_s(2048, found=1024) == pytest.approx(0.1 + 1024 / 10_000 + 0.0256 + 1024 * 50e-6)


def test_an_engine_that_has_the_prompt_needs_neither() -> None:
    assert TIMING.own_hit_s(2048) == 0.1


def test_a_cache_earns_its_price_from_the_requests_that_save_as_much() -> None:
    balance = cost(Prices(gpu_hour=3.6, gib_month=7.3), cache_gib=100, gpus=2, saved_s=0.5)
    assert balance.cache_hour == pytest.approx(1.0)
    assert balance.saved_per_thousand == pytest.approx(1.0)
    assert balance.break_even_requests == pytest.approx(1000)


def test_a_cache_that_saves_nothing_never_earns_its_price() -> None:
    assert cost(Prices(gpu_hour=3.6, gib_month=7.3), cache_gib=1, gpus=1, saved_s=-0.1).break_even_requests is None
