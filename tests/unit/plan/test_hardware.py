import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import hardware, prefill
from lmcache_kserve.plan.work import Work

WORK = Work(active=1e9, total=1e9, full_attention=0, sliding_attention=0, window=None)


@pytest.mark.parametrize(("value", "rate"), [("25G", 2.9375e9), ("100g", 11.75e9), ("3.1", 3.1e9)])
def test_a_network_is_a_line_or_gigabytes_a_second(value: str, rate: float) -> None:
    assert hardware.network(value) == pytest.approx(rate)


@pytest.mark.parametrize("value", ["fast", "-1", "0", "0G", "nan", "inf"])
def test_a_network_that_is_neither_is_refused(value: str) -> None:
    with pytest.raises(HarnessError, match=f"--network={value}: give"):
        hardware.network(value)


def test_a_gpu_is_found_in_any_case_and_an_unknown_one_names_the_known_ones() -> None:
    assert hardware.gpu("h100").name == "H100"
    with pytest.raises(HarnessError, match=r"--gpu=GeForce: choose among A10, .*H100.*--prefill-rate"):
        hardware.gpu("GeForce")


def test_weights_compute_at_the_peak_of_their_type_or_of_the_next_larger_one() -> None:
    h100, a100 = hardware.gpu("H100"), hardware.gpu("A100")
    assert h100.peak_for("fp8") == 2 * h100.peak_for("bfloat16") + 1e12
    assert h100.peak_for("fp4") == h100.peak_for("fp8")
    assert a100.peak_for("fp8") == a100.peak_for("bfloat16")
    assert h100.peak_for("int4") == h100.peak_for("bfloat16")


def test_an_estimate_takes_the_share_of_the_same_gpu_and_says_whose() -> None:
    guess = prefill.estimated(hardware.gpu("H100"), 1, "fp8", WORK)
    row = next(row for row in hardware.measured() if row.gpu == "H100" and not row.experts)
    assert guess.rate(1000) == pytest.approx(1.979e15 * row.efficiency / 2e9)
    assert row.source in guess.source
    assert "a fifth" in guess.error


def test_an_estimate_for_a_gpu_without_published_rates_says_how_far_rates_lie_apart() -> None:
    guess = prefill.estimated(hardware.gpu("L40S"), 1, "bfloat16", WORK)
    assert "median of 5 published rates" in guess.source
    assert guess.error == "from 0.5 to 1.7 times as long"


def test_twice_the_gpus_take_half_as_long() -> None:
    one, two = (prefill.estimated(hardware.gpu("H100"), number, "fp8", WORK) for number in (1, 2))
    assert one.seconds(4096) == pytest.approx(2 * two.seconds(4096))


def test_attention_makes_long_prompts_slower_and_a_window_less_so() -> None:
    attention = Work(active=1e9, total=1e9, full_attention=1e6, sliding_attention=0, window=None)
    sliding = Work(active=1e9, total=1e9, full_attention=0, sliding_attention=1e6, window=512)
    assert attention.operations(8192) == 2e9 * 8192 + 1e6 * 8192**2 / 2
    assert sliding.operations(8192) == 2e9 * 8192 + 1e6 * (512 * 8192 - 512**2 / 2)
    assert sliding.operations(256) == 2e9 * 256 + 1e6 * 256**2 / 2


def test_every_gpu_and_link_has_its_source() -> None:
    for name in ("A10", "A40", "A100", "A100-40GB", "L4", "L40S", "H20", "H100", "H200", "GH200", "B200"):
        found = hardware.gpu(name)
        assert found.source.startswith("https://")
        assert found.link_source
    assert hardware.engine().source.startswith("https://")
    assert hardware.working_memory()[1].startswith("https://")
