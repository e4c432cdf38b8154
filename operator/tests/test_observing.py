from datetime import UTC, datetime, timedelta

import pytest
from operator_factories import model, stack
from sighted import UID, deployment, pod, sight
from streaming_operator import leaving, names
from streaming_operator.cache import ChildKey
from streaming_operator.kinds import AUTOSCALER, HTTP_ROUTE, STATEFUL_SET, Key
from streaming_operator.observe import observe
from streaming_operator.reading import Reading
from streaming_operator.references import references
from streaming_operator.seen import LEAVING_SINCE, Seen
from streaming_operator.settings import cluster_domain
from streaming_operator.stacks import LOOKS, Stacks

NOW = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
HOURS = timedelta(hours=3)
UNLISTED = timedelta(seconds=90)


def _children(**more: Seen) -> dict[ChildKey, Seen]:
    """Two gateways, one of an older size that drains; one recogniser that loads; two licence proxies."""
    ending = {"uid": "g3", "deletionTimestamp": "2026-01-02T03:30:00Z", "deletionGracePeriodSeconds": 10920}
    loading = {
        "initContainerStatuses": [{"name": "triton", "state": {"running": {"startedAt": "2026-01-02T03:59:00Z"}}}]
    }
    return {
        ("Deployment", "demo-gateway"): deployment(),
        ("Pod", "g1"): pod("g1", metadata={"uid": "g1"}),
        ("Pod", "g2"): pod("g2", metadata={"uid": "g2"}),
        ("Pod", "g3"): pod("g3", metadata=ending),
        ("Deployment", "demo-asr-en"): deployment("demo-asr-en", names.ASR, "en", spec={"replicas": 1}),
        ("Pod", "a1"): pod("a1", names.ASR, "en", ready=False, metadata={"uid": "a1"}, status=loading),
        ("StatefulSet", "demo-license-proxy"): sight(STATEFUL_SET, "demo-license-proxy", names.LICENSE_PROXY),
        ("Pod", "l0"): pod("l0", names.LICENSE_PROXY, metadata={"uid": "l0"}),
        ("Pod", "l1"): pod("l1", names.LICENSE_PROXY, metadata={"uid": "l1"}),
        **{("Pod", name): seen for name, seen in more.items()},
    }


READINGS = {
    "g1": Reading(active=5, capacity=48),
    "g2": Reading(active=1, capacity=48),
    "g3": Reading(active=2, capacity=48),
    "l0": Reading(license_state="Connected", trust_expiration=NOW + HOURS, backlog=0),
    "l1": Reading(license_state="TrustBased", trust_expiration=NOW, backlog=3),
}


def test_draining_pods_are_neither_ready_nor_capacity() -> None:
    found = observe("demo", ["en"], _children(), lambda seen: READINGS.get(seen.uid)).gateway
    assert (found.desired, found.ready, found.draining) == (2, 2, 1)
    assert (found.active, found.capacity, found.draining_active) == (6, 96, 2)


def test_counts_are_unknown_where_no_pod_says() -> None:
    found = observe("demo", ["en"], _children(), lambda _: None).gateway
    assert (found.active, found.capacity, found.draining_active) == (None, None, None)


def test_a_pool_that_loads_tells_since_when() -> None:
    found = observe("demo", ["en"], _children(), lambda _: None).models["en"]
    assert found.blocked == (("LoadingModel", "2026-01-02T03:59:00Z"),)
    assert found.loading_since == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_part_that_is_not_there_yet_is_not_rolled() -> None:
    found = observe("demo", [], {}, lambda _: None).load_balancer
    assert (found.desired, found.ready, found.rolled) == (0, 0, False)


def test_a_part_that_is_missing_is_wanted_as_large_as_it_was() -> None:
    found = observe("demo", ["en"], {}, lambda _: None, sizes={"demo-gateway": 5, "demo-asr-en": 3})
    assert (found.gateway.desired, found.models["en"].desired) == (5, 3)
    assert not found.gateway.rolled


def test_the_worst_licence_state_is_told_and_backlogs_add_up() -> None:
    found = observe("demo", [], _children(), lambda seen: READINGS.get(seen.uid))
    assert (found.license_state, found.trust_expiration, found.usage_backlog) == ("TrustBased", NOW, 3)


def test_a_quota_and_a_failing_autoscaler_and_a_refused_route_are_told() -> None:
    failed = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}]}
    inactive = {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "R", "message": "m"}]}
    refused = {"parents": [{"conditions": [{"type": "Accepted", "status": "False", "reason": "R", "message": "m"}]}]}
    children: dict[ChildKey, Seen] = {
        ("Deployment", "demo-gateway"): deployment(status=failed),
        ("HorizontalPodAutoscaler", "demo-gateway"): sight(AUTOSCALER, "demo-gateway", status=inactive),
        ("HTTPRoute", "demo-gateway"): sight(HTTP_ROUTE, "demo-gateway", status=refused),
    }
    found = observe("demo", [], children, lambda _: None, held=["demo-gateway"])
    assert found.gateway.blocked == (("Quota", "exceeded quota: small"),)
    assert found.scaling_blocked == (("demo-gateway", "R: m"),)
    assert found.route_accepted == (False, "R: m")
    assert found.gateway_held


@pytest.mark.parametrize(
    ("age", "streams", "stays"),
    [
        (timedelta(seconds=1), 0, True),  # gateways may not have taken the new list yet
        (timedelta(seconds=91), 0, False),
        (timedelta(seconds=91), 1, True),
        (timedelta(seconds=91), None, True),
        (HOURS, 1, True),
        (HOURS + timedelta(seconds=120), 1, False),
        (HOURS + timedelta(seconds=120), None, False),
    ],
)
def test_a_pool_whose_model_left_stays_for_its_streams_and_no_longer_than_any_session(
    age: timedelta, streams: int | None, stays: bool
) -> None:
    assert leaving.must_stay(NOW - age, NOW, streams, unlisted_after=UNLISTED, longest_session=HOURS) is stays


@pytest.mark.parametrize(
    ("readings", "streams"),
    [({}, None), ({"a1": Reading(active=2)}, 2), ({"a1": Reading(active=None)}, None), ({"a1": Reading(active=0)}, 0)],
)
def test_a_pool_has_no_streams_only_where_every_pod_says_so(readings: dict[str, Reading], streams: int | None) -> None:
    assert leaving.streams_of("en", _children(), readings) == streams


def test_pools_that_leave_and_return_are_told_apart() -> None:
    marked = {"generation": 1, "annotations": {LEAVING_SINCE: "2026-01-02T03:00:00+00:00"}}
    children: dict[ChildKey, Seen] = {
        ("Deployment", "demo-asr-a"): deployment("demo-asr-a", names.ASR, "a"),
        ("Deployment", "demo-asr-b"): deployment("demo-asr-b", names.ASR, "b", metadata=marked),
        ("Deployment", "demo-asr-c"): deployment("demo-asr-c", names.ASR, "c", metadata=marked),
        ("Deployment", "demo-gateway"): deployment(),
    }
    pools = leaving.pools(children, UID)
    assert {pool.model for pool in pools} == {"a", "b", "c"}
    assert [pool.model for pool in leaving.returned(pools, {"a", "b"})] == ["b"]
    assert [pool.model for pool in leaving.unwanted(pools, {"a", "b"})] == ["c"]
    assert leaving.pools(children, "another stack's uid") == []


@pytest.mark.parametrize(
    ("backlog", "wanted", "must_stay"),
    [(0, 1, 0), (7, 1, 3), (None, 1, 0), ("no answer", 1, 3), (7, 3, 0)],
)
def test_a_licence_proxy_stays_while_it_has_usage_to_deliver(
    backlog: int | str | None, wanted: int, must_stay: int
) -> None:
    children: dict[ChildKey, Seen] = {
        ("Pod", f"demo-license-proxy-{n}"): pod(f"p-{n}", names.LICENSE_PROXY, metadata={"uid": f"p{n}"})
        for n in range(3)
    }
    readings = {"p0": Reading(backlog=9), "p1": Reading(backlog=0)}
    if not isinstance(backlog, str):
        readings["p2"] = Reading(backlog=backlog)
    assert leaving.undelivered_proxies(children, readings, wanted) == must_stay


@pytest.mark.parametrize(
    ("size", "surplus", "must_stay"),
    [
        (2, pod("p-1", names.LICENSE_PROXY, ready=False, status={"podIP": ""}), 2),
        (2, pod("p-1", names.LICENSE_PROXY, metadata={"deletionTimestamp": "2026-01-02T03:04:05Z"}), 2),
        (2, None, 2),
        (1, pod("p-1", names.LICENSE_PROXY, metadata={"deletionTimestamp": "2026-01-02T03:04:05Z"}), 0),
        (1, None, 0),
    ],
    ids=["without an address", "being replaced", "without a pod", "being scaled in", "scaled in"],
)
def test_a_surplus_licence_proxy_of_which_nothing_is_known_stays_while_its_size_has_it(
    size: int, surplus: Seen | None, must_stay: int
) -> None:
    children: dict[ChildKey, Seen] = {
        ("StatefulSet", "demo-license-proxy"): sight(
            STATEFUL_SET, "demo-license-proxy", names.LICENSE_PROXY, spec={"replicas": size}
        ),
        ("Pod", "demo-license-proxy-0"): pod("p-0", names.LICENSE_PROXY),
    }
    if surplus is not None:
        children["Pod", "demo-license-proxy-1"] = surplus
    assert leaving.undelivered_proxies(children, {"p-0-uid": Reading(backlog=0)}, 1) == must_stay


def test_every_secret_and_config_map_that_a_stack_names_is_known() -> None:
    named = stack(
        gateway={
            "auth": {"secretName": "keys"},
            "expose": {"type": "Ingress", "hostnames": ["a.example"], "tls": {"secretName": "cert"}},
        },
        licenseProxy={"usage": {"endpoint": "https://usage.example", "apiKeySecretName": "usage"}},
        networkIsolation={"caBundleConfigMap": "roots"},
        modelStore={"credentialsSecretName": "hub"},
        images={"pullSecrets": ["pull"]},
        models=[model()],
    )
    assert {reference.id for reference in references(named)} == {
        "Secret/license", "ConfigMap/license-keys", "Secret/keys", "Secret/cert", "Secret/usage", "ConfigMap/roots",
        "Secret/hub", "Secret/pull",
    }  # fmt: skip


def test_a_change_of_a_named_object_finds_its_stacks_until_they_name_it_no_more() -> None:
    stacks, one, two = Stacks(), Key("speech", "one"), Key("speech", "two")
    stacks.names(one, references(stack("one")))
    stacks.names(two, references(stack("two")))
    assert stacks.naming("speech", "Secret", "license") == [one, two]
    assert stacks.naming("elsewhere", "Secret", "license") == []
    stacks.names(one, references(stack("one", license={"secretName": "other"})))
    stacks.forget(two)
    assert stacks.naming("speech", "Secret", "license") == []
    assert stacks.naming("speech", "Secret", "other") == [one]


def test_a_deleted_stack_is_known_until_its_gateways_have_ended() -> None:
    stacks, key = Stacks(), Key("speech", "one")
    stacks.seen(key)
    stacks.deleted(key)
    assert (stacks.known(), stacks.is_ending(key)) == ([key], True)
    stacks.ended(key)
    assert stacks.known() == []


def test_gateways_that_nobody_ends_are_not_looked_at_for_ever() -> None:
    stacks, key = Stacks(), Key("speech", "one")
    stacks.deleted(key)
    for _ in range(LOOKS):
        assert stacks.is_ending(key)
        stacks.looked(key)
    assert not stacks.is_ending(key)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("search speech.svc.cluster.local svc.cluster.local cluster.local\nnameserver 198.19.0.10\n", "cluster.local"),
        ("search speech.svc.corp.example. svc.corp.example. corp.example.\n", "corp.example"),
        ("nameserver 198.19.0.10\n", None),
        ("", None),
    ],
)
def test_the_cluster_domain_is_read_from_the_search_list(text: str, domain: str | None) -> None:
    assert cluster_domain(text) == domain
