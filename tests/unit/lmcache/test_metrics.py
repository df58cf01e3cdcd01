import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.metrics import counter, fetch


def test_a_page_that_cannot_be_read_is_named_with_its_owner() -> None:
    with pytest.raises(HarnessError, match=r"cannot read http://127\.0\.0\.1:1/metrics of predictor-0"):
        fetch("http://127.0.0.1:1/metrics", of="predictor-0")


def test_a_counter_is_summed_over_its_labels() -> None:
    page = (
        "# HELP vllm:external_prefix_cache_hits_total External prefix cache hits.\n"
        "# TYPE vllm:external_prefix_cache_hits_total counter\n"
        'vllm:external_prefix_cache_hits_total{engine="0",model_name="tiny"} 3072.0\n'
        'vllm:external_prefix_cache_hits_total{engine="1",model_name="tiny"} 1024.0\n'
        'vllm:external_prefix_cache_hits_created{engine="0",model_name="tiny"} 1.7e+09\n'
    )

    assert counter(page, "vllm:external_prefix_cache_hits_total") == 4096
    assert counter(page, "vllm:no_such_total") is None


def test_a_page_that_is_not_prometheus_text_is_refused() -> None:
    with pytest.raises(ValueError, match="html"):
        counter("<html>Not Found</html>", "x")
