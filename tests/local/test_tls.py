"""A Redis with TLS that the release does not run, in both modes: replicas share it where both sides trust the other."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from direct_stand_ins import PASSWORD
from encryption import HOST, Identity, SecureServer
from local_release import running
from running import ALL, LONG_PROMPTS, SERVER, Demo

from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement

pytestmark = [pytest.mark.local, pytest.mark.long]

DATABASE = 3
MODES = ("in-process", "multiprocess")
PROMPTS = 4


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path / "identity")


@pytest.fixture
def server(identity: Identity) -> Iterator[SecureServer]:
    """It asks its clients for a certificate."""
    with SecureServer(identity, asks_for_certificate=True) as server:
        yield server


def settings(server: SecureServer, mode: str) -> tuple[str, ...]:
    external = {
        "endpoint": f"{HOST}:{server.port}",
        "database": DATABASE,
        "tls.enabled": "true",
        "tls.caSecret": "authority",
        "tls.clientSecret": "identity",
    }
    return (
        f"lmcache.mode={mode}",
        "remoteBackend.type=redis",
        "remoteBackend.redis.client=auto",
        "remoteBackend.redis.deploy=false",
        "remoteBackend.redis.auth.existingSecret=login",
        *(f"remoteBackend.redis.external.{name}={value}" for name, value in external.items()),
    )


def secrets(identity: Identity, *, authority: Identity) -> Mapping[str, Mapping[str, str]]:
    """What a cluster would hold; an editor left a line break behind the password."""
    return {
        "login": {"password": f"{PASSWORD}\n"},
        "authority": {"ca.crt": authority.ca.read_text()},
        "identity": {"tls.crt": identity.client.read_text(), "tls.key": identity.client_key.read_text()},
    }


@pytest.mark.parametrize(("mode", "checks"), [(MODES[0], ALL), (MODES[1], ALL | SERVER)], ids=MODES)
def test_replicas_share_a_cache_over_tls(
    demo: Demo, server: SecureServer, identity: Identity, mode: str, checks: frozenset[str]
) -> None:
    given = [
        word
        for name, data in secrets(identity, authority=identity).items()
        for key, value in data.items()
        for word in ("--secret", f"{name}/{key}={value}")
    ]
    chosen = [word for setting in settings(server, mode) for word in ("--set", setting)]
    outcome = demo("--pairs", "3", "--no-baseline", *LONG_PROMPTS, *chosen, *given)
    assert outcome.code == 0, outcome.output
    assert outcome.passed == checks - {"backend-outage"}  # the release does not run it
    assert server.client(DATABASE).dbsize() > 0
    assert server.client().dbsize() == 0


@pytest.mark.parametrize("mode", MODES)
def test_with_another_authority_every_request_is_answered_and_nothing_is_shared(
    server: SecureServer, identity: Identity, tmp_path: Path, mode: str
) -> None:
    given = secrets(identity, authority=Identity(tmp_path / "another"))
    with running(*settings(server, mode), secrets=given) as target:
        with Bench(target, None, measurement=Measurement(), journal=Journal()).opened() as bench:
            bench.calibrate()
            first, second = bench.probes
            for prompt in [bench.short_prompt() for _ in range(PROMPTS)]:
                one, other = (probe.look_up(prompt, max_tokens=8) for probe in (first, second))
                assert one.text == other.text
                assert other.hit_tokens == 0
        for replica in target.replicas:
            text = "\n".join(line.text for line in replica.logs())
            assert "CERTIFICATE_VERIFY_FAILED" in text
            assert PASSWORD not in text
    assert server.client(DATABASE).dbsize() == 0
