"""A release on a cluster, against an API server that speaks real HTTP and real websockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_cluster import FakeCluster, cluster, connect

from lmcache_kserve.cluster.api import Api


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with cluster() as started:
        yield started


@pytest.fixture
def api(fake: FakeCluster, tmp_path: Path) -> Api:
    return connect(fake, tmp_path)
