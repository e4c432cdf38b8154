"""Each condition, for each reason that it may have, and that its message says what to do."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from operator_factories import inputs, model, stack
from stack_model.api.status import ConditionType as Is
from stack_model.api.status import Reason
from status_factories import NOW, condition, running, seen, status, stopped
from streaming_operator.children.optional_apis import HTTP_ROUTE, SCALED_OBJECT
from streaming_operator.facts import ChildFailure, LicenseFact, PodsFact

GPU = model(gpu={"minMemoryGiB": 24}, autoscaling={"minReplicas": 1, "maxReplicas": 4})
TWO_GPUS = model(gpu={}, autoscaling={"minReplicas": 2, "maxReplicas": 4})
ROUTED = {"expose": {"type": "HTTPRoute", "parentRefs": [{"name": "edge"}]}}
VENDOR = {
    "images": {"flavour": "Vendor", "overrides": {"gateway": "g:1", "licenseProxy": "l:1", "loadBalancer": "b:1"}},
    "models": [{"name": "en-default", "speechModels": ["universal-streaming-english"], "image": "e:1"}],
}


@dataclass(frozen=True)
class Case:
    """What is so, and what becomes of it; `says` are words that the message must have."""

    type: Is
    status: str
    reason: Reason
    says: tuple[str, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    observed: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.type}-{self.reason}"


def failure(reason: Any, kind: str = "Service") -> dict[str, Any]:
    return {"failures": (ChildFailure(kind, "demo-gateway", reason, "the server's own words"),)}


def licensed(state: Any, **fields: Any) -> dict[str, Any]:
    return {"license": LicenseFact(state, **fields)}


CASES = [
    Case(Is.ACCEPTED, "True", Reason.ACCEPTED, ("valid",)),
    Case(
        Is.ACCEPTED,
        "False",
        Reason.NAME_CONFLICT,
        ("Service demo-gateway", "remove or rename", "the server's own words"),
        observed=failure("NameConflict"),
    ),
    Case(
        Is.ACCEPTED,
        "False",
        Reason.IMMUTABLE_FIELD,
        ("StatefulSet demo-gateway", "take the change back"),
        observed=failure("Immutable", "StatefulSet"),
    ),
    Case(Is.ACCEPTED, "False", Reason.CHILD_REFUSED, ("Service demo-gateway", "refused"), observed=failure("Refused")),
    Case(Is.ACCEPTED, "False", Reason.QUOTA_EXCEEDED, ("ResourceQuota",), observed=failure("Quota")),
    Case(Is.ACCEPTED, "False", Reason.API_MISSING, ("install it",), observed=failure("ApiMissing", "PodMonitor")),
    Case(
        Is.ACCEPTED,
        "False",
        Reason.API_MISSING,
        ("gateway.networking.k8s.io", "type: Ingress"),
        spec={"gateway": ROUTED},
    ),
    Case(
        Is.ACCEPTED,
        "False",
        Reason.MISSING_REFERENCE,
        ("Secret/api-keys (spec.gateway.auth.secretName)", "namespace speech", "create it"),
        spec={"gateway": {"auth": {"secretName": "api-keys"}}},
        facts={"missing": frozenset({"Secret/api-keys"})},
    ),
    Case(
        Is.ACCEPTED,
        "False",
        Reason.MISSING_REFERENCE,
        ("ConfigMap/ca[ca.crt] (spec.networkIsolation.caBundleConfigMap)",),
        spec={"networkIsolation": {"caBundleConfigMap": "ca"}},
        facts={"missing": frozenset({"ConfigMap/ca[ca.crt]"})},
    ),
    # The licence has a condition of its own.
    Case(Is.ACCEPTED, "True", Reason.ACCEPTED, (), facts={"missing": frozenset({"Secret/license[license.jwt]"})}),
    Case(
        Is.LICENSE_VALID,
        "True",
        Reason.VALID,
        ("ends on 2027-01-01",),
        facts=licensed("Genuine", expires=NOW.replace(year=2027, month=1, day=1)),
    ),
    Case(
        Is.LICENSE_VALID,
        "False",
        Reason.SECRET_MISSING,
        ("Secret speech/license", "key license.jwt", "create it", "open ones go on"),
        facts=licensed("Missing"),
    ),
    Case(
        Is.LICENSE_VALID,
        "False",
        Reason.NO_PUBLIC_KEYS,
        ("ConfigMap speech/license-keys", "public-keys.json", "create it"),
        facts=licensed("NoPublicKeys"),
    ),
    Case(
        Is.LICENSE_VALID,
        "False",
        Reason.UNREADABLE,
        ("not a JWT", "streamingstack license inspect"),
        facts=licensed("Unreadable", detail="not a JWT"),
    ),
    Case(Is.LICENSE_VALID, "False", Reason.FORGED, ("was not issued", "of one issuer"), facts=licensed("Forged")),
    Case(
        Is.LICENSE_VALID,
        "False",
        Reason.EXPIRED,
        ("ended on 2026-05-04", "renewed", "open ones go on"),
        facts=licensed("Genuine", expires=NOW),
    ),
    Case(
        Is.LICENSE_VALID,
        "False",
        Reason.CHECK_IN_FAILED,
        ("trust window", "checkInEndpoint"),
        observed={"license_state": "Failed"},
    ),
    Case(
        Is.LICENSE_VALID,
        "True",
        Reason.TRUST_BASED,
        ("until 2026-05-05 12:00 UTC", "egressCidrs"),
        observed={"license_state": "TrustBased", "trust_expiration": NOW + timedelta(days=1)},
    ),
    Case(
        Is.LICENSE_VALID,
        "True",
        Reason.EXPIRES_SOON,
        ("2026-05-17", "renewed"),
        facts=licensed("Genuine", expires=NOW + timedelta(days=13)),
    ),
    # The vendor's licence is for the vendor's proxy to judge.
    Case(Is.LICENSE_VALID, "True", Reason.VALID, (), spec=VENDOR, facts=licensed("NoPublicKeys")),
    Case(
        Is.LICENSE_VALID,
        "Unknown",
        Reason.LICENSE_PROXY_UNAVAILABLE,
        ("see GatewayAvailable",),
        spec=VENDOR,
        observed={"license_state": None},
    ),
    Case(Is.MODELS_AVAILABLE, "True", Reason.ALL_AVAILABLE, ("en-default",)),
    Case(
        Is.MODELS_AVAILABLE,
        "True",
        Reason.SINGLE_POD_POOL,
        ("en-default", "minReplicas: 2", "rollout: Surge"),
        spec={"models": [GPU]},
        observed={"models": {"en-default": running(1)}},
    ),
    Case(Is.MODELS_AVAILABLE, "True", Reason.ALL_AVAILABLE, (), spec={"models": [TWO_GPUS]}),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.LOADING_MODEL,
        ("en-default", "loading for 1 min 30 s", "300 s"),
        observed={"models": {"en-default": stopped(("LoadingModel", "2026-05-04T11:58:20Z"))}},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.LOADING_MODEL,
        ("fetched for 30 s",),
        observed={"models": {"en-default": stopped(("FetchingModel", "2026-05-04T11:59:20Z"))}},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.FETCH_FAILED,
        ("disk is full", "credentialsSecretName", "tried again"),
        observed={
            "models": {"en-default": stopped(("FetchingModel", "2026-05-04T11:59:20Z"))},
            "fetch_errors": {"en-default": "the disk is full"},
        },
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.MODEL_DOES_NOT_FIT,
        ("needs a card with 24 GiB", "Tesla-T4 with 15 GiB", "nodeSelector"),
        spec={"models": [GPU]},
        facts={"gpu_nodes": ({"nvidia.com/gpu.memory": "15360", "nvidia.com/gpu.product": "Tesla-T4"},)},
        observed={"models": {"en-default": stopped(("Unschedulable", "no node"))}},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.UNSCHEDULABLE,
        ("0/3 nodes", "add nodes"),
        observed={"models": {"en-default": stopped(("Unschedulable", "0/3 nodes are available"))}},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.IMAGE_UNAVAILABLE,
        ("ImagePullBackOff", "spec.images", "pullSecrets"),
        # What needs a hand goes before what needs time.
        observed={"models": {"en-default": stopped(("LoadingModel", ""), ("ImagePullBackOff", "403"))}},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.QUOTA_EXCEEDED,
        ("ResourceQuota",),
        observed={"models": {"en-default": stopped(("Quota", "exceeded quota: pods"))}},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.CRASH_LOOPING,
        ("kubectl logs --previous",),
        observed={"models": {"en-default": stopped(("CrashLoopBackOff", "back-off 40s"))}},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.NOT_READY,
        ("en-default", "kubectl describe"),
        observed={"models": {"en-default": stopped(("SomethingNew", "of a later Kubernetes"))}},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.STORAGE_CLASS_MISSING,
        ("spec.modelStore.storage.storageClassName",),
        facts={"storage_classes": {"slow": False}},
        observed={"models": {"en-default": stopped()}, "model_store": stopped(("Unschedulable", "unbound claim"))},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.STORAGE_CLASS_MISSING,
        ("no StorageClass fast", "spec.modelStore.storage.storageClassName", "it has slow"),
        spec={"modelStore": {"storage": {"storageClassName": "fast"}}},
        facts={"storage_classes": {"slow": True}},
        observed={"models": {"en-default": stopped()}, "model_store": stopped(("Unschedulable", "unbound claim"))},
    ),
    Case(
        Is.MODELS_AVAILABLE,
        "False",
        Reason.IMAGE_UNAVAILABLE,
        ("waits for the model store",),
        observed={"models": {"en-default": stopped()}, "model_store": stopped(("ErrImagePull", "not found"))},
    ),
    # One pod serves, the other waits for a card: sessions are served.
    Case(
        Is.MODELS_AVAILABLE,
        "True",
        Reason.ALL_AVAILABLE,
        (),
        observed={"models": {"en-default": running(2, ready=1, blocked=(("Unschedulable", ""),))}},
    ),
    Case(Is.GATEWAY_AVAILABLE, "True", Reason.AVAILABLE, ("2 of 2",)),
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.IMAGE_UNAVAILABLE,
        ("gateway", "spec.images"),
        observed={"gateway": stopped(("ErrImagePull", "401"))},
    ),
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.LICENSE_PROXY_UNAVAILABLE,
        ("licence proxies", "CrashLoopBackOff", "kubectl logs"),
        observed={"license_proxy": stopped(("CrashLoopBackOff", "x"))},
    ),
    # A gateway that nobody told the licence's state is not ready, and not the one to look at.
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.LICENSE_PROXY_UNAVAILABLE,
        ("licence proxies", "CrashLoopBackOff", "kubectl logs"),
        observed={"gateway": stopped(), "license_proxy": stopped(("CrashLoopBackOff", "x"))},
    ),
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.STORAGE_CLASS_MISSING,
        ("spec.licenseProxy.storage.storageClassName",),
        facts={"storage_classes": {"slow": False}},
        observed={"license_proxy": stopped(("Unschedulable", "unbound claim"))},
    ),
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.STORAGE_CLASS_MISSING,
        ("no StorageClass fast", "spec.licenseProxy.storage.storageClassName", "it has none"),
        spec={"licenseProxy": {"storage": {"storageClassName": "fast"}}},
        facts={"storage_classes": {}},
        observed={"license_proxy": stopped(("Unschedulable", "unbound claim")), "gateway": stopped()},
    ),
    # Who may not list classes has only the scheduler's words.
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.LICENSE_PROXY_UNAVAILABLE,
        ("unbound claim", "kubectl describe pvc"),
        spec={"licenseProxy": {"storage": {"storageClassName": "fast"}}},
        facts={"storage_classes": None},
        observed={"license_proxy": stopped(("Unschedulable", "unbound claim"))},
    ),
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.LOAD_BALANCER_UNAVAILABLE,
        ("load balancer",),
        observed={"load_balancer": stopped()},
    ),
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.ROUTE_NOT_ACCEPTED,
        ("no controller has answered", "Gateway edge"),
        spec={"gateway": ROUTED},
        facts={"apis": frozenset({HTTP_ROUTE})},
    ),
    Case(
        Is.GATEWAY_AVAILABLE,
        "False",
        Reason.ROUTE_NOT_ACCEPTED,
        ("NotAllowedByListeners",),
        spec={"gateway": ROUTED},
        observed={"route_accepted": (False, "NotAllowedByListeners: no")},
    ),
    Case(
        Is.GATEWAY_AVAILABLE,
        "True",
        Reason.AVAILABLE,
        (),
        spec={"gateway": ROUTED},
        observed={"route_accepted": (True, "")},
    ),
    # Nobody tells whether an Ingress was taken in.
    Case(Is.GATEWAY_AVAILABLE, "True", Reason.AVAILABLE, (), spec={"gateway": {"expose": {"type": "Ingress"}}}),
    Case(Is.SCALING_SIGNAL, "True", Reason.REPORTED, ("HPA",)),
    Case(Is.SCALING_SIGNAL, "True", Reason.FIXED_SIZE, ("None",), spec={"autoscaling": {"provider": "None"}}),
    Case(Is.SCALING_SIGNAL, "True", Reason.FIXED_SIZE, ("vendor",), spec=VENDOR),
    Case(Is.SCALING_SIGNAL, "False", Reason.API_MISSING, ("install KEDA",), spec={"autoscaling": {"provider": "KEDA"}}),
    Case(
        Is.SCALING_SIGNAL,
        "False",
        Reason.NO_SIGNAL,
        ("external scaler", "kubectl scale"),
        spec={"autoscaling": {"provider": "KEDA"}},
        facts={"apis": frozenset({SCALED_OBJECT})},
    ),
    Case(
        Is.SCALING_SIGNAL,
        "False",
        Reason.NO_SIGNAL,
        ("demo-gateway", "FailedGetPodsMetric", "custom.metrics.k8s.io", "sizes stay"),
        observed={"scaling_blocked": (("demo-gateway", "FailedGetPodsMetric: no such metric"),)},
    ),
    Case(Is.PROGRESSING, "False", Reason.COMPLETE, ()),
    Case(Is.PROGRESSING, "True", Reason.ROLLING_OUT, ("gateway",), observed={"gateway": running(2, rolled=False)}),
    # What is not there is as it should be, where nobody asked for it.
    Case(Is.PROGRESSING, "False", Reason.COMPLETE, (), observed={"sync_api": PodsFact(rolled=False)}),
    Case(
        Is.PROGRESSING,
        "True",
        Reason.ROLLING_OUT,
        ("sync API",),
        spec={"syncApi": {"enabled": True}},
        observed={"sync_api": PodsFact(rolled=False)},
    ),
    Case(
        Is.PROGRESSING,
        "True",
        Reason.LOADING_MODEL,
        ("loading for 0 s",),
        observed={"models": {"en-default": stopped(("LoadingModel", "2026-05-04T11:59:59Z"))}},
    ),
    Case(
        Is.PROGRESSING,
        "True",
        Reason.WAITING_FOR_DRAIN,
        ("3 pods still drain", "2 may", "maxDrainingPods", "10800 s"),
        spec={"gateway": {"maxDrainingPods": 2}},
        observed={"gateway": running(2, rolled=False, draining=3), "gateway_held": True},
    ),
    Case(
        Is.PROGRESSING,
        "True",
        Reason.DRAINING_MODEL,
        ("old",),
        facts={"leaving": tuple(stack(models=[model("old")]).spec.models)},
    ),
    Case(
        Is.PROGRESSING,
        "True",
        Reason.USAGE_UNDELIVERED,
        ("3 licence proxies stay", "replicas is 2", "usage.endpoint"),
        facts={"undelivered_proxies": 3},
    ),
    Case(Is.PROGRESSING, "False", Reason.BLOCKED, ("Service demo-gateway", "Accepted"), observed=failure("Refused")),
    Case(
        Is.PROGRESSING,
        "False",
        Reason.IMAGE_UNAVAILABLE,
        ("load balancer", "spec.images"),
        observed={"load_balancer": stopped(("ImagePullBackOff", ""))},
    ),
    # The old pods serve, so no other condition tells why the new ones do not come.
    Case(
        Is.PROGRESSING,
        "False",
        Reason.IMAGE_UNAVAILABLE,
        ("gateway", "no such tag", "spec.images", "with model store", "what runs goes on"),
        observed={
            "gateway": running(2, rolled=False, blocked=(("ErrImagePull", "no such tag"),)),
            "model_store": stopped(("Unschedulable", "")),
        },
    ),
    Case(Is.READY, "True", Reason.READY, ()),
    Case(
        Is.READY,
        "True",
        Reason.READY_NOT_SCALING,
        ("sessions are served", "demo-gateway"),
        observed={"scaling_blocked": (("demo-gateway", "x"),)},
    ),
    Case(
        Is.READY,
        "False",
        Reason.EXPIRED,
        ("LicenseValid", "renewed"),
        facts=licensed("Genuine", expires=NOW - timedelta(days=1)),
        observed={"models": {"en-default": stopped()}},
    ),
    Case(Is.READY, "False", Reason.LICENSE_PROXY_UNAVAILABLE, (), spec=VENDOR, observed={"license_state": None}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_condition_names_what_is_so_where_and_what_to_do(case: Case) -> None:
    found = condition(status(stack(**case.spec), inputs(**case.facts), seen(**case.observed)), case.type)
    assert (found.status, found.reason) == (case.status, case.reason), found.message
    for words in case.says:
        assert words in found.message


def test_every_reason_is_among_the_cases() -> None:
    told_elsewhere = {Reason.INVALID_SPEC}
    assert {case.reason for case in CASES} | told_elsewhere == set(Reason)


@pytest.mark.parametrize(
    ("nodes", "fits"),
    [
        (None, True),
        ((), True),
        (({"nvidia.com/gpu.memory": "15360"},), False),
        # A card of 24 GiB reports a little less.
        (({"nvidia.com/gpu.memory": "23028"},), True),
        (({"nvidia.com/gpu.memory": "15360"}, {"nvidia.com/gpu.memory": "81920"}), True),
        (({"nvidia.com/gpu.memory": "15360", "zone": "a"}, {"nvidia.com/gpu.memory": "81920", "zone": "b"}), False),
        (({"nvidia.com/gpu.memory": "many"},), True),
    ],
)
def test_a_model_does_not_fit_where_every_card_that_its_pods_may_get_is_too_small(nodes: Any, fits: bool) -> None:
    chosen: dict[str, Any] = {
        "gpu": {"minMemoryGiB": 24, "nodeSelector": {"zone": "a"} if nodes and "zone" in nodes[0] else {}}
    }
    waiting = seen(models={"en-default": stopped(("Unschedulable", ""))})
    found = condition(status(stack(models=[model(**chosen)]), inputs(gpu_nodes=nodes), waiting), Is.MODELS_AVAILABLE)
    assert (found.reason is not Reason.MODEL_DOES_NOT_FIT) == fits


def test_a_long_message_of_the_cluster_is_cut_and_the_remedy_stays() -> None:
    waiting = seen(models={"en-default": stopped(("Unschedulable", "node(s) had taints, " * 200))})
    found = condition(status(observed=waiting), Is.MODELS_AVAILABLE)
    assert len(found.message) <= 1024
    assert "add nodes" in found.message
