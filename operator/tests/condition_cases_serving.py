"""Cases of what serves: gateways, their sizes, what is under way, all of it together."""

from datetime import timedelta

from condition_case import ROUTED, VENDOR, Case, failure, licensed
from operator_factories import model, stack
from stack_model.api.status import ConditionType as Is
from stack_model.api.status import Reason
from status_factories import NOW, running, stopped
from streaming_operator.children.optional_apis import HTTP_ROUTE, SCALED_OBJECT
from streaming_operator.facts import PodsFact

CASES = [
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
