"""The connector of mode multiprocess: it starts the pings that LMCache leaves out or starts late."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from fake_vllm import Ping, Role, connector_script, scheduler_adapter, vllm_config


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Any:
    script = connector_script("checked_mp_connector", monkeypatch)
    return script.CheckedLMCacheMPConnector(vllm_config(), Role.SCHEDULER)


@pytest.mark.parametrize("clients", ["mq_clients", "req_clients"], ids=["LMCache 0.5.4", "LMCache 0.5.5"])
def test_each_server_is_pinged_from_the_first_lookup_on(scheduler: Any, clients: str) -> None:
    pings: dict[str, Ping] = {}
    scheduler.scheduler_adapter = scheduler_adapter(pings, clients=clients)

    assert scheduler.get_num_new_matched_tokens(None, 0) == (256, False)
    first = dict(pings)
    scheduler.get_num_new_matched_tokens(None, 0)

    assert pings == first
    assert {url: (ping.client, ping.health_event, ping.interval, ping.starts) for url, ping in pings.items()} == {
        url: (f"client of {url}", f"health of {url}", 5.0, 1) for url in ("tcp://a:5555", "tcp://b:5555")
    }


def test_a_release_that_starts_its_pings_is_left_alone(scheduler: Any) -> None:
    adapter = scheduler.scheduler_adapter

    assert scheduler.get_num_new_matched_tokens(None, 0) == (256, False)

    assert vars(adapter)["_heartbeats"] is None


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    script = connector_script("checked_mp_connector", monkeypatch)
    return script.CheckedLMCacheMPConnector(vllm_config(), Role.WORKER)


def test_a_worker_pings_its_server_before_the_first_request(worker: Any) -> None:
    worker.register_kv_caches({"layer": SimpleNamespace(ndim=5, shape=(2, 8, 16, 2, 4))})

    assert worker.used == ["made", "registered", "pings"]


def test_a_worker_that_is_refused_pings_nobody(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_judge", lambda _: setattr(worker, "refusal", "not known to be right"))

    worker.register_kv_caches({"layer": SimpleNamespace(ndim=5, shape=(2, 8, 16, 2, 4))})

    assert worker.used == ["made"]


def test_a_server_that_does_not_answer_a_store_ends_no_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = connector_script("shared_mp_connector", monkeypatch)
    worker = script.SharedLMCacheMPConnector(vllm_config(), Role.WORKER)
    gone = TimeoutError("PREPARE_STORE timed out")

    def unanswered(_: Any) -> None:
        raise gone

    monkeypatch.setattr(script.CheckedLMCacheMPConnector, "wait_for_save", unanswered, raising=False)
    worker.wait_for_save()
    assert sys.modules["unproven"].logged == [
        "LMCache's server did not answer, so this step is not stored: PREPARE_STORE timed out"
    ]
