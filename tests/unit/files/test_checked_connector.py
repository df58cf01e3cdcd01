"""The connector of mode in-process: which saves it forbids. What it calls of vLLM and torch is stood in for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from fake_vllm import Role, connector_script, vllm_config

BLOCK = 4


class Slots(list[int]):
    """A slot mapping: of a tensor it needs the division."""

    def __floordiv__(self, size: int) -> "Slots":
        return Slots(slot // size for slot in self)

    def tolist(self) -> list[int]:
        return list(self)


@dataclass
class Request:
    """What LMCache's metadata says of a request in one step, in tokens."""

    req_id: str
    tokens: int
    blocks: Sequence[int]
    loads: bool = False
    save_spec: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(can_save=True))

    @property
    def token_ids(self) -> range:
        return range(self.tokens)

    @property
    def slot_mapping(self) -> Slots:
        return Slots(block * BLOCK for block in self.blocks)

    @property
    def load_spec(self) -> SimpleNamespace | None:
        return SimpleNamespace(can_load=True) if self.loads else None


@pytest.fixture
def connector(monkeypatch: pytest.MonkeyPatch) -> Any:
    script = connector_script("checked_connector", monkeypatch)
    return script.CheckedLMCacheConnector(vllm_config(block_size=BLOCK), Role.WORKER)


def step(connector: Any, *requests: Request, failing: Sequence[int] = ()) -> list[bool]:
    """One step of the engine; whether each request may be saved after it."""
    connector.failing = set(failing)
    connector.metadata.requests = list(requests)
    connector.start_load_kv(None)
    return [request.save_spec.can_save for request in requests]


def test_a_request_that_lost_a_block_is_not_saved_and_others_are(connector: Any) -> None:
    lost, whole = Request("a", 12, [0, 1, 2], loads=True), Request("b", 8, [3, 4], loads=True)
    assert step(connector, lost, whole, failing=[1]) == [False, True]


def test_a_request_that_shares_the_lost_block_is_not_saved(connector: Any) -> None:
    assert step(connector, Request("a", 8, [0, 1], loads=True), Request("b", 12, [0, 5, 6]), failing=[0]) == [
        False,
        False,
    ]


def test_a_step_already_under_way_is_not_saved_and_the_recomputation_is(connector: Any) -> None:
    step(connector, Request("a", 8, [0, 1], loads=True), failing=[0])
    assert step(connector, Request("a", 16, [0, 1, 2, 3])) == [False]
    assert step(connector, Request("a", 8, [0, 1])) == [True]
    assert step(connector, Request("a", 16, [0, 1, 2, 3])) == [True]


def test_vllm_hears_of_each_lost_block_once(connector: Any) -> None:
    step(connector, Request("a", 8, [0, 1], loads=True), failing=[0])
    connector.failing = {7}
    assert connector.get_block_ids_with_load_errors() == {0, 7}
    assert connector.get_block_ids_with_load_errors() == set()


def test_a_request_that_ended_is_forgotten(connector: Any) -> None:
    step(connector, Request("a", 8, [0, 1], loads=True), failing=[0])
    assert connector.get_finished({"a"}) == ({"a"}, None)
    assert step(connector, Request("a", 16, [0, 1, 2, 3])) == [True]
