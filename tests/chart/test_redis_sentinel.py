"""redis-sentinel: nodes and Sentinels that find each other, and a proxy that follows the master."""

import base64
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from rendering import PASSWORD, Render, environment, lmcache_file, pod, remote_backend

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.helm import Helm
from lmcache_kserve.chart.manifests import Manifest, Manifests

SERVERS = ["r0.example.com:6379", "r1.example.com:6380"]
SENTINELS = ["s0.example.com:26379", "s1.example.com:26379", "s2.example.com:26379"]
PARTS = ("redis", "sentinel", "proxy")
PORTS = {"redis": 6379, "sentinel": 26379, "proxy": 6379}
ANY = pytest.mark.parametrize("part", PARTS)
NODES = tuple(
    f"llm-lmcache-kserve-redis-node-{n}.llm-lmcache-kserve-redis-node.models.svc.cluster.local" for n in range(3)
)
WATCHERS = tuple(
    f"llm-lmcache-kserve-sentinel-{n}.llm-lmcache-kserve-sentinel.models.svc.cluster.local" for n in range(3)
)


def values(**changes: Any) -> dict[str, Any]:
    return remote_backend("redis-sentinel", **changes)


def external(**changes: Any) -> dict[str, Any]:
    return values(
        deploy=False,
        **{"external": {"servers": SERVERS, "sentinels": SENTINELS}, "auth": {"existingSecret": "a"}} | changes,
    )


def of_part(manifests: Manifests, kind: str, part: str) -> Manifest:
    (found,) = (m for m in manifests.of_kind(kind) if m["metadata"]["labels"].get("lmcache-kserve/part") == part)
    return found


def workload(manifests: Manifests, part: str) -> Manifest:
    return of_part(manifests, "Deployment" if part == "proxy" else "StatefulSet", part)


def pod_spec(manifests: Manifests, part: str) -> dict[str, Any]:
    spec: dict[str, Any] = workload(manifests, part)["spec"]["template"]["spec"]
    return spec


def container(manifests: Manifests, part: str) -> dict[str, Any]:
    (found,) = pod_spec(manifests, part)["containers"]
    return dict(found)


def haproxy(manifests: Manifests) -> str:
    return str(of_part(manifests, "ConfigMap", "proxy")["data"]["haproxy.cfg"])


def directives(manifests: Manifests, part: str) -> dict[str, str]:
    text = of_part(manifests, "ConfigMap", part)["data"][f"{part}.conf"]
    return dict(line.rsplit(" ", 1) if part == "sentinel" else line.split(" ", 1) for line in text.splitlines())


def selected(manifests: Manifests, selector: dict[str, str]) -> set[str]:
    """The parts whose pods a selector finds."""
    return {
        part
        for part in PARTS
        if selector.items() <= workload(manifests, part)["spec"]["template"]["metadata"]["labels"].items()
    }


@pytest.mark.parametrize(
    "chosen",
    [values(), values(persistence={"enabled": True}, podAntiAffinity="hard"), external()],
    ids=["deployed", "with persistence", "external"],
)
def test_every_policy_is_kept(render: Render, chosen: dict[str, Any]) -> None:
    assert [str(violation) for violation in policies.check(render(chosen), external={"a"})] == []


def test_lmcache_talks_to_the_proxy_as_to_a_plain_redis(render: Render) -> None:
    for chosen in (values(auth={"enabled": False}), external(auth={"enabled": False})):
        manifests = render(chosen)
        url = urlsplit(lmcache_file(manifests)["remote_url"])
        (service,) = (
            m for m in manifests.of_kind("Service") if m["metadata"]["name"] == str(url.hostname).split(".")[0]
        )
        assert (url.scheme, url.port) == ("redis", service["spec"]["ports"][0]["port"])
        labels = workload(manifests, "proxy")["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert service["spec"]["selector"]["lmcache-kserve/part"] == "proxy"


def test_there_are_three_nodes_three_sentinels_and_two_proxies(render: Render) -> None:
    manifests = render(values())
    assert [workload(manifests, part)["spec"]["replicas"] for part in PARTS] == [3, 3, 2]
    assert environment(container(manifests, "sentinel"))["QUORUM"] == "2"


@ANY
def test_workloads_services_and_policies_select_the_pods_of_their_part_alone(render: Render, part: str) -> None:
    manifests = render(values())
    assert selected(manifests, workload(manifests, part)["spec"]["selector"]["matchLabels"]) == {part}
    assert selected(manifests, of_part(manifests, "Service", part)["spec"]["selector"]) == {part}
    assert selected(manifests, of_part(manifests, "NetworkPolicy", part)["spec"]["podSelector"]["matchLabels"]) == {
        part
    }
    budget = of_part(manifests, "PodDisruptionBudget", part)["spec"]
    assert selected(manifests, budget["selector"]["matchLabels"]) == {part}
    assert budget["maxUnavailable"] == 1


@pytest.mark.parametrize("part", ["redis", "sentinel"])
def test_pods_have_names_before_they_are_ready(render: Render, part: str) -> None:
    manifests = render(values())
    service = of_part(manifests, "Service", part)
    assert workload(manifests, part)["spec"]["serviceName"] == service["metadata"]["name"]
    assert workload(manifests, part)["spec"]["podManagementPolicy"] == "Parallel"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("part", ["redis", "sentinel"])
def test_a_pod_knows_its_own_name_and_those_of_all_others(render: Render, part: str) -> None:
    known = environment(container(render(values()), part))
    assert known["NODES"].split() == [f"{name}:6379" for name in NODES]
    assert known["SENTINELS"].split() == [f"{name}:26379" for name in WATCHERS]
    own = known["SELF"].replace("$(POD_NAME)", (NODES if part == "redis" else WATCHERS)[1].partition(".")[0])
    assert own in {*known["NODES"].split(), *known["SENTINELS"].split()}


def test_the_clusters_domain_can_be_another(render: Render) -> None:
    manifests = render(values(clusterDomain="example.org"))
    assert "cluster.local" not in manifests.text
    assert f"{NODES[0].replace('cluster.local', 'example.org')}:6379" in haproxy(manifests)


def test_sentinels_watch_by_name_and_as_patiently_as_they_are_told(render: Render) -> None:
    chosen = values(
        masterName="main",
        sentinel={"downAfterMilliseconds": 3000, "failoverTimeoutMilliseconds": 7000, "parallelSyncs": 2},
    )
    configuration = directives(render(chosen), "sentinel")
    assert configuration["sentinel announce-hostnames"] == configuration["sentinel resolve-hostnames"] == "yes"
    assert configuration["sentinel down-after-milliseconds main"] == "3000"
    assert configuration["sentinel failover-timeout main"] == "7000"
    assert configuration["sentinel parallel-syncs main"] == "2"


def test_an_empty_master_waits_longer_than_the_sentinels_need_to_replace_it(render: Render) -> None:
    chosen = values(sentinel={"downAfterMilliseconds": 3000, "failoverTimeoutMilliseconds": 7000})
    known = environment(container(render(chosen), "redis"))
    assert int(known["HANDOVER_SECONDS"]) > 3 + 7
    assert known["LOSES_DATA"] == "true"
    assert environment(container(render(values(persistence={"enabled": True})), "redis"))["LOSES_DATA"] == "false"


def test_memory_is_bounded_and_old_chunks_give_way(render: Render) -> None:
    configuration = directives(render(values(resources={"limits": {"memory": "10Gi"}})), "redis")
    assert configuration["maxmemory"] == str(8 * 2**30)
    assert configuration["maxmemory-policy"] == "allkeys-lru"
    assert configuration["save"] == '""'
    assert configuration["appendonly"] == "no"


def test_replicas_only_copy_and_buffers_hold_chunks(render: Render) -> None:
    configuration = directives(render(values(maxmemory="8Gi", replicas=5)), "redis")
    assert configuration["replica-read-only"] == "yes"
    assert configuration["repl-backlog-size"] == str(2**28)
    assert configuration["client-output-buffer-limit"] == f"replica {2**30} {2**29} 60"
    assert configuration["repl-diskless-sync-max-replicas"] == "4"


def test_directives_of_the_user_win(render: Render) -> None:
    configuration = directives(render(values(config={"min-replicas-to-write": 1, "maxclients": 500})), "redis")
    assert configuration["min-replicas-to-write"] == "1"
    assert configuration["maxclients"] == "500"


@pytest.mark.parametrize("part", ["redis", "sentinel"])
@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_a_probe_is_an_authenticated_ping_at_the_parts_port(render: Render, part: str, probe: str) -> None:
    command = container(render(values()), part)[probe]["exec"]["command"]
    assert "REDISCLI_AUTH" in command[2]
    assert '"$(redis-cli "$@" ping)" = PONG' in command[2]
    assert command[3:] == ["redis-cli", "-p", str(PORTS[part])]


def test_a_node_that_still_copies_is_alive_but_not_ready(render: Render) -> None:
    node = container(render(values()), "redis")
    assert "master_link_status:up" in node["readinessProbe"]["exec"]["command"][2]
    assert "master_link_status" not in str([node["livenessProbe"], node["startupProbe"]])


def test_a_proxy_is_ready_with_a_master_only_and_alive_without(render: Render) -> None:
    manifests = render(values())
    proxy = container(manifests, "proxy")
    assert proxy["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "health"}
    assert proxy["livenessProbe"]["httpGet"] == {"path": "/live", "port": "health"}
    assert "monitor-uri /ready\n  monitor fail if { nbsrv(master) eq 0 }" in haproxy(manifests)


@ANY
def test_every_port_is_a_token_of_the_arguments(render: Render, part: str) -> None:
    found = container(render(values()), part)
    assert {str(port["containerPort"]) for port in found["ports"]} <= set(found["args"])


@ANY
def test_no_image_has_to_bring_an_entrypoint(render: Render, part: str) -> None:
    assert container(render(values()), part)["command"][0] == "sh"


def test_the_proxy_uses_the_node_that_a_quorum_of_the_sentinels_names(render: Render) -> None:
    configuration = haproxy(render(values(sentinel={"replicas": 5, "quorum": 3})))
    for number, node in enumerate(NODES):
        condition = f"{{ srv_is_up(redis-{number}) }} {{ nbsrv(sentinels-for-redis-{number}) ge 3 }}"
        assert f"use-server redis-{number} if {condition}\n" in configuration
        backend = configuration.partition(f"backend sentinels-for-redis-{number}\n")[2].partition("\n\n")[0]
        assert f'"name=lmcache,status=ok,address={node}:6379,"' in backend
        assert len(re.findall(r"^  server sentinel-\d ", backend, re.MULTILINE)) == 5


def test_the_proxy_closes_connections_to_a_node_that_is_no_longer_master(render: Render) -> None:
    configuration = haproxy(render(values()))
    assert "tcp-check expect string role:master" in configuration
    assert "on-marked-down shutdown-sessions" in configuration


def test_external_servers_get_a_proxy_and_nothing_else(render: Render) -> None:
    manifests = render(external())
    kinds = sorted(m["kind"] for m in manifests.labelled(component="remote-backend"))
    assert kinds == ["ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]
    configuration = haproxy(manifests)
    assert re.findall(r"^  server (\S+) (\S+)$", configuration, re.MULTILINE)[:2] == [
        ("redis-0", SERVERS[0]),
        ("redis-1", SERVERS[1]),
    ]
    assert "{ nbsrv(sentinels-for-redis-1) ge 2 }" in configuration
    (rule,) = (
        r
        for r in of_part(manifests, "NetworkPolicy", "proxy")["spec"]["egress"]
        if "to" not in r and r["ports"][0]["port"] != 53
    )
    assert [port["port"] for port in rule["ports"]] == [6379, 6380, 26379]


def test_without_sentinels_the_servers_are_asked_alone(render: Render) -> None:
    configuration = haproxy(render(external(external={"servers": SERVERS})))
    assert "use-server" not in configuration
    assert "sentinel-" not in configuration
    assert "balance first" in configuration


def test_sentinels_that_ask_for_no_password_get_none(render: Render) -> None:
    def passwords(**changes: Any) -> int:
        return haproxy(render(external(external={"servers": SERVERS, "sentinels": SENTINELS, **changes}))).count("AUTH")

    assert (passwords(), passwords(sentinelAuth=False)) == (3, 1)


def test_a_user_name_goes_before_the_password(render: Render) -> None:
    manifests = render(external(auth={"existingSecret": "a", "username": "cache"}))
    assert environment(container(manifests, "proxy"))["REDIS_USERNAME"] == "cache"
    assert environment(pod(manifests).container)["REMOTE_BACKEND_USERNAME"] == "cache"
    assert haproxy(manifests).count("${REDIS_USERNAME}") == 1


def test_the_proxy_encrypts_the_way_to_external_servers(render: Render) -> None:
    tls = {"enabled": True, "caSecret": "ca", "caSecretKey": "root.pem", "clientSecret": "client"}
    manifests = render(external(external={"servers": SERVERS, "tls": tls}))
    server = next(line for line in haproxy(manifests).splitlines() if "server redis-1 " in line)
    assert "ssl" in server.split()
    assert "verify required verifyhost r1.example.com sni str(r1.example.com)" in server
    mounted = {mount["mountPath"]: mount["name"] for mount in container(manifests, "proxy")["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_spec(manifests, "proxy")["volumes"]}
    for option, secret in (("ca-file", "ca"), ("crt", "client")):
        folder, _, file = server.split()[server.split().index(option) + 1].rpartition("/")
        source = volumes[mounted[folder]]["secret"]
        assert source["secretName"] == secret
        assert file in {item["path"] for item in source["items"]}
    assert environment(pod(manifests).container)["REMOTE_BACKEND_URL"].startswith("redis://")


def test_a_password_stands_in_a_secret_and_nowhere_else(render: Render) -> None:
    manifests = render(values(auth={"password": PASSWORD}))
    assert policies.secrets_stay_secret(manifests) == []
    assert manifests.text.count(base64.b64encode(PASSWORD.encode()).decode()) == 1


def test_all_parts_and_the_predictor_read_the_same_secret(render: Render) -> None:
    for auth in ({}, {"existingSecret": "mine", "existingSecretKey": "word"}):
        manifests = render(values(auth=auth))
        reference = environment(pod(manifests).container)["REMOTE_BACKEND_PASSWORD"]["secretKeyRef"]
        for part, name in (("redis", "REDISCLI_AUTH"), ("sentinel", "REDISCLI_AUTH"), ("proxy", "REDIS_PASSWORD")):
            assert environment(container(manifests, part))[name]["secretKeyRef"] == reference
        assert bool(manifests.of_kind("Secret")) is not bool(auth)


def test_without_a_password_nobody_is_asked_for_one(render: Render) -> None:
    manifests = render(values(auth={"enabled": False}))
    assert "AUTH" not in haproxy(manifests)
    assert manifests.of_kind("Secret") == []
    assert not [
        part for part in PARTS if {"REDISCLI_AUTH", "REDIS_PASSWORD"} & set(environment(container(manifests, part)))
    ]


def test_two_renders_with_an_existing_secret_are_identical_to_the_byte(helm: Helm) -> None:
    first, second = (Render(helm)(values(auth={"existingSecret": "mine"})).text for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("change", "restarted"),
    [
        ({"config": {"maxclients": 100}}, {"redis"}),
        ({"sentinel": {"downAfterMilliseconds": 9000}}, {"redis", "sentinel"}),
        ({"sentinel": {"resources": {"limits": {"memory": "65Mi"}}}}, {"sentinel"}),
        ({"proxy": {"maxConnections": 100}}, {"proxy"}),
        ({"auth": {"password": "another-one"}}, set(PARTS)),
    ],
    ids=["a directive", "patience", "a Sentinel's memory", "connections", "the password"],
)
def test_a_change_restarts_the_parts_that_it_concerns(
    render: Render, change: dict[str, Any], restarted: set[str]
) -> None:
    before, after = (
        render(values(auth={"password": PASSWORD})),
        render(values(**{"auth": {"password": PASSWORD}} | change)),
    )
    differing = {
        part
        for part in PARTS
        if workload(before, part)["spec"]["template"] != workload(after, part)["spec"]["template"]
    }
    assert differing == restarted


@ANY
def test_pods_of_a_part_prefer_different_nodes_of_the_cluster(render: Render, part: str) -> None:
    (term,) = pod_spec(render(values()), part)["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    manifests = render(values(podAntiAffinity="hard"))
    (hard,) = pod_spec(manifests, part)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"] == hard
    assert selected(manifests, hard["labelSelector"]["matchLabels"]) == {part}
    assert "affinity" not in pod_spec(render(values(podAntiAffinity="none")), part)
    own: dict[str, Any] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    }
    chosen = values()["remoteBackend"] | {"pod": {"affinity": own}}
    assert pod_spec(render({"remoteBackend": chosen}), part)["affinity"] == own


def test_connections_are_open_where_they_are_needed_and_nowhere_else(render: Render) -> None:
    manifests = render(values())

    def peers(part: str, direction: str, side: str) -> set[str]:
        rules = of_part(manifests, "NetworkPolicy", part)["spec"][direction]
        return {
            name
            for rule in rules
            for peer in rule.get(side, ())
            for name in selected(manifests, peer["podSelector"]["matchLabels"]) or {"predictor"}
        }

    assert {part: peers(part, "ingress", "from") for part in PARTS} == {
        "redis": {"redis", "sentinel", "proxy"},
        "sentinel": {"redis", "sentinel", "proxy"},
        "proxy": {"predictor"},
    }
    assert {part: peers(part, "egress", "to") for part in PARTS} == {key: {"redis", "sentinel"} for key in PARTS}
    for part in PARTS:
        policy = of_part(manifests, "NetworkPolicy", part)["spec"]
        assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == {PORTS[part]}
        open_to_all = [rule for rule in policy["egress"] if "to" not in rule]
        assert [{port["port"] for port in rule["ports"]} for rule in open_to_all] == [{53, 5353}]


def test_further_peers_may_read_the_proxys_metrics(render: Render) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    manifests = render({**values(), "networkPolicy": {"backend": {"ingressFrom": [peer]}}})
    rules = of_part(manifests, "NetworkPolicy", "proxy")["spec"]["ingress"]
    assert [{port["port"] for port in rule["ports"]} for rule in rules if peer in rule["from"]] == [{6379}, {8404}]


def test_the_type_can_be_changed_from_and_to_redis(render: Render) -> None:
    def names(chosen: dict[str, Any], kind: str) -> set[str]:
        return {m["metadata"]["name"] for m in render(chosen).labelled(component="remote-backend") if m["kind"] == kind}

    for redis in (remote_backend("redis"), remote_backend("redis", persistence={"enabled": True})):
        for kind in ("Deployment", "StatefulSet", "Service"):
            assert names(redis, kind) & names(values(), kind) == set()
