"""The WebSocket gateway, the load balancer behind it, and how clients come in."""

from typing import Annotated, Literal

from pydantic import Field

from stack_model.api.base import Distinct, Rule, SpecModel
from stack_model.api.pods import Pods, Resources
from stack_model.api.text import Annotations, Hostname, Namespace, ObjectName, SpeechModel


class GatewayAuth(SpecModel):
    """Who may open a session."""

    mode: Literal["Keys", "AnyNonEmpty"] = Field(
        default="Keys",
        description="`Keys` compares with the Secret's keys; `AnyNonEmpty` takes any value. With either, GET /v3/token "
        "makes temporary tokens.",
    )
    secret_name: ObjectName | None = Field(
        default=None,
        description="Secret whose key `keys` has a line `sha256 name [max_sessions=N] [max_new_per_minute=N]` for each "
        "API key: the SHA-256 of the key in hexadecimal, whose it is, what it may. Absent: one is made, with a first "
        "key in the Secret <stack>-first-key.",
    )

    single_use_tokens: bool = Field(default=False, description="A token opens one session only.")

    rules = (
        Rule(
            "self.mode == 'Keys' || !has(self.secretName)",
            "gateway.auth.secretName: only mode: Keys reads keys; leave secretName out or set mode: Keys",
            lambda it: it.mode == "Keys" or it.secret_name is None,
        ),
        Rule(
            "self.mode == 'Keys' || !self.singleUseTokens",
            "gateway.auth.singleUseTokens: where any text opens sessions none is used up; set mode: Keys",
            lambda it: it.mode == "Keys" or not it.single_use_tokens,
        ),
    )


class GatewaySessions(SpecModel):
    """Sessions of one gateway pod."""

    target_per_pod: int = Field(default=24, ge=1, le=10_000, description="What the autoscaler aims at.")
    max_per_pod: int = Field(default=48, ge=1, le=10_000, description="Beyond this, new sessions are refused.")

    rules = (
        Rule(
            "self.targetPerPod <= self.maxPerPod",
            "gateway.sessions.targetPerPod must not be greater than gateway.sessions.maxPerPod",
            lambda it: it.target_per_pod <= it.max_per_pod,
        ),
    )


class GatewayAutoscaling(SpecModel):
    """How many gateway pods there may be."""

    min_replicas: int = Field(default=2, ge=1, le=500, description="Pods at least.")
    max_replicas: int = Field(default=20, ge=1, le=500, description="Pods at most.")
    headroom_sessions: int = Field(
        default=8, ge=0, le=10_000, description="Sessions for which there is always room beyond those that are open."
    )

    rules = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "gateway.autoscaling.minReplicas must not be greater than gateway.autoscaling.maxReplicas",
            lambda it: it.min_replicas <= it.max_replicas,
        ),
    )


class ParentRef(SpecModel):
    """A Gateway, or one of its listeners, that takes the route in."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Namespace | None = Field(default=None, description="Namespace of the Gateway; absent: the stack's.")
    section_name: Hostname | None = Field(default=None, description="Name of a listener; absent: every listener.")


class ExposeTls(SpecModel):
    """The certificate of an Ingress."""

    secret_name: ObjectName = Field(description="Secret of type kubernetes.io/tls.")


class Expose(SpecModel):
    """How clients outside of the cluster reach the gateway."""

    type: Literal["HTTPRoute", "Ingress", "None"] = Field(
        default="None", description="`HTTPRoute` for Gateway API, `Ingress`, or `None`: the Service alone."
    )
    hostnames: Annotated[list[Hostname], Field(max_length=16), Distinct()] = Field(
        default_factory=list, description="DNS names that clients use; empty: every name."
    )
    parent_refs: Annotated[list[ParentRef], Field(max_length=8)] = Field(
        default_factory=list, description="Gateways that take the HTTPRoute in."
    )
    ingress_class_name: ObjectName | None = Field(
        default=None, description="IngressClass of the Ingress; absent: the cluster's default one."
    )
    annotations: Annotations = Field(default_factory=dict, description="Annotations of the HTTPRoute or Ingress.")
    tls: ExposeTls | None = Field(
        default=None, description="Certificate of the Ingress; that of an HTTPRoute belongs to its Gateway."
    )

    rules = (
        Rule(
            "(self.type == 'HTTPRoute') == (has(self.parentRefs) && size(self.parentRefs) > 0)",
            "gateway.expose.parentRefs: type: HTTPRoute needs at least one Gateway, and no other type takes any",
            lambda it: (it.type == "HTTPRoute") == bool(it.parent_refs),
        ),
        Rule(
            "self.type == 'Ingress' || (!has(self.ingressClassName) && !has(self.tls))",
            "gateway.expose.ingressClassName and gateway.expose.tls are for type: Ingress; leave them out",
            lambda it: it.type == "Ingress" or (it.ingress_class_name is None and it.tls is None),
        ),
        Rule(
            "!has(self.tls) || (has(self.hostnames) && size(self.hostnames) > 0)",
            "gateway.expose.hostnames: gateway.expose.tls needs the names that its certificate is for",
            lambda it: it.tls is None or bool(it.hostnames),
        ),
    )


def _gateway_resources() -> Resources:
    return Resources(requests={"cpu": "500m", "memory": "1Gi"}, limits={"memory": "2Gi"})


class Gateway(SpecModel):
    """The WebSocket gateway: clients' sessions, their turns, admission, failover."""

    auth: GatewayAuth = Field(default_factory=GatewayAuth, description="Who may open a session.")
    max_session_seconds: int = Field(
        default=10_800, ge=60, le=10_800, description="Longest session; also how long a pod may drain."
    )
    sessions: GatewaySessions = Field(default_factory=GatewaySessions, description="Sessions of one pod.")
    default_speech_model: SpeechModel | None = Field(
        default=None, description="Model of a client that names none; absent: English if served, else the first."
    )
    autoscaling: GatewayAutoscaling = Field(default_factory=GatewayAutoscaling, description="Number of pods.")
    max_draining_pods: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="A rollout, one that is under way too, waits while more pods than this still drain, each for up to "
        "maxSessionSeconds.",
    )
    expose: Expose = Field(default_factory=Expose, description="How clients outside of the cluster come in.")
    resources: Resources = Field(default_factory=_gateway_resources, description="CPU and memory of one pod.")
    pods: Pods = Field(default_factory=Pods, description="Overrides for the pods.")


def _balancer_resources() -> Resources:
    return Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "512Mi"})


class LoadBalancer(SpecModel):
    """nginx between gateways and recognisers: a stream goes to the least busy pod of its model."""

    replicas: int = Field(default=2, ge=1, le=20, description="Number of pods.")
    resources: Resources = Field(default_factory=_balancer_resources, description="CPU and memory of one pod.")
    pods: Pods = Field(default_factory=Pods, description="Overrides for the pods.")
