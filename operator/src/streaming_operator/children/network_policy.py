"""Which packets may flow: nothing but the edges named here, and only for pods of this stack.

Every pod falls under the default deny. Each part then has one policy with its ways in and its ways out. Policies know
addresses and labels, no host names: what leaves the cluster is bounded by `egressCidrs` or by the HTTP proxy.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.networking_v1 import (
    IPBlock,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
)
from lightkube.resources.networking_v1 import NetworkPolicy
from stack_model.api import StreamingStack
from stack_model.api.platform import Peer

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.children.config import stored
from streaming_operator.facts import Inputs

# The label that the API server itself puts on every namespace.
_NAMESPACE = "kubernetes.io/metadata.name"
# NodeLocal DNSCache answers at this link-local address on every node that runs it.
_NODE_LOCAL_DNS = "169.254.20.10/32"
# Policies see the port of the pod, not of its Service: CoreDNS that is not root listens on 1053 in many charts, and
# OpenShift's on 5353.
_DNS_PORTS = (53, 1053, 5353)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def network_policies(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """The default deny and one policy for each part; none where the stack turns isolation off."""
    if not stack.spec.network_isolation.enabled:
        return []
    policies = [
        _default_deny(stack),
        _gateway(stack, inputs),
        _license_proxy(stack, inputs),
        _load_balancer(stack, inputs),
        _recognisers(stack, inputs),
    ]
    if stack.spec.sync_api.enabled:
        policies.append(_sync_api(stack, inputs))
    if _has_store(stack, inputs):
        policies.append(_model_store(stack, inputs))
    return [Child(policy) for policy in policies]


def _has_store(stack: StreamingStack, inputs: Inputs) -> bool:
    # The vendor's models are part of its images.
    return stack.spec.images.flavour != "Vendor" and bool(stored(stack, inputs))


def _default_deny(stack: StreamingStack) -> NetworkPolicy:
    name = stack.metadata.name
    return NetworkPolicy(
        metadata=ObjectMeta(
            name=names.default_deny(name),
            labels={**names.stack_selector(name), names.STACK: name, names.MANAGED_BY: names.FIELD_MANAGER},
        ),
        spec=NetworkPolicySpec(
            podSelector=LabelSelector(matchLabels=names.stack_selector(name)), policyTypes=["Ingress", "Egress"]
        ),
    )


def _gateway(stack: StreamingStack, inputs: Inputs) -> NetworkPolicy:
    return _policy(
        stack,
        names.GATEWAY,
        # Clients come through an ingress whose pods and addresses only its owner knows; API keys guard the port.
        ways_in=[_from(_peers(stack.spec.network_isolation.clients_from), names.GATEWAY_PORT), _metrics(stack, inputs)],
        ways_out=[
            _dns(inputs),
            _to(stack, names.LOAD_BALANCER, names.GRPC_PORT),
            _to(stack, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT),
        ],
    )


def _sync_api(stack: StreamingStack, inputs: Inputs) -> NetworkPolicy:
    """As the gateway's: the same clients, the same ways inwards."""
    return _policy(
        stack,
        names.SYNC_API,
        ways_in=[
            _from(_peers(stack.spec.network_isolation.clients_from), names.SYNC_API_PORT),
            _metrics(stack, inputs),
        ],
        ways_out=[
            _dns(inputs),
            _to(stack, names.LOAD_BALANCER, names.GRPC_PORT),
            _to(stack, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT),
        ],
    )


def _license_proxy(stack: StreamingStack, inputs: Inputs) -> NetworkPolicy:
    proxy = stack.spec.license_proxy
    urls = [url for url in (proxy.check_in_endpoint, proxy.usage.endpoint) if url is not None]
    return _policy(
        stack,
        names.LICENSE_PROXY,
        ways_in=[
            _from(_fronts(stack), names.LICENSE_PROXY_PORT),
            # Its metrics, its state and the intake of usage share a port: only for those who are named.
            _from([_operator(inputs), *_peers(stack.spec.network_isolation.metrics_from)], names.LICENSE_PROXY_PORT),
        ],
        ways_out=[_dns(inputs), _out(stack, [_port_of(url) for url in urls] or [443])],
    )


def _load_balancer(stack: StreamingStack, inputs: Inputs) -> NetworkPolicy:
    return _policy(
        stack,
        names.LOAD_BALANCER,
        ways_in=[
            _from(_fronts(stack), names.GRPC_PORT),
            _from([_operator(inputs)], names.BALANCER_HEALTH_PORT),
        ],
        ways_out=[_dns(inputs), _to(stack, names.ASR, names.GRPC_PORT)],
    )


def _recognisers(stack: StreamingStack, inputs: Inputs) -> NetworkPolicy:
    ways_out = [_dns(inputs), _to(stack, names.MODEL_STORE, names.MODEL_STORE_PORT)]
    return _policy(
        stack,
        names.ASR,
        ways_in=[
            _from([_part(stack, names.LOAD_BALANCER)], names.GRPC_PORT),
            _metrics(stack, inputs, names.METRICS_PORT, names.TRITON_METRICS_PORT),
        ],
        # Mounted models are there before the pod starts: then it speaks to nobody at all.
        ways_out=ways_out if _has_store(stack, inputs) else [],
    )


def _model_store(stack: StreamingStack, inputs: Inputs) -> NetworkPolicy:
    uris = [
        uri
        for model in stored(stack, inputs)
        for uri in [*([model.source] if model.source else []), *(part for file in model.files for part in file.parts)]
    ]
    # hf, s3 and pypi go to 443; so do nearly all files over HTTP.
    ports = [443, *(_port_of(uri) for uri in uris if urlsplit(uri).scheme in _DEFAULT_PORTS)]
    return _policy(
        stack,
        names.MODEL_STORE,
        ways_in=[
            _from([_part(stack, names.ASR), _operator(inputs)], names.MODEL_STORE_PORT),
            _metrics(stack, inputs),
        ],
        ways_out=[_dns(inputs), _out(stack, ports)],
    )


def _policy(
    stack: StreamingStack,
    component: str,
    *,
    ways_in: list[NetworkPolicyIngressRule],
    ways_out: list[NetworkPolicyEgressRule],
) -> NetworkPolicy:
    name = stack.metadata.name
    return NetworkPolicy(
        metadata=ObjectMeta(name=f"{name}-{component}", labels=names.labels(name, component)),
        spec=NetworkPolicySpec(
            podSelector=LabelSelector(matchLabels=names.selector(name, component)),
            policyTypes=["Ingress", "Egress"],
            ingress=ways_in or None,
            # An empty list would be dropped by the API server, and so be a change each time it is applied.
            egress=ways_out or None,
        ),
    )


def _part(stack: StreamingStack, component: str) -> NetworkPolicyPeer:
    """The pods of one part of this stack; a peer without a namespace is in the policy's own."""
    return NetworkPolicyPeer(podSelector=LabelSelector(matchLabels=names.selector(stack.metadata.name, component)))


def _fronts(stack: StreamingStack) -> list[NetworkPolicyPeer]:
    """The pods that clients reach."""
    components = [names.GATEWAY, *([names.SYNC_API] if stack.spec.sync_api.enabled else [])]
    return [_part(stack, component) for component in components]


def _operator(inputs: Inputs) -> NetworkPolicyPeer:
    return NetworkPolicyPeer(namespaceSelector=LabelSelector(matchLabels={_NAMESPACE: inputs.operator_namespace}))


def _peers(peers: Sequence[Peer]) -> list[NetworkPolicyPeer]:
    return [
        NetworkPolicyPeer(
            namespaceSelector=LabelSelector(matchLabels=peer.namespace_labels) if peer.namespace_labels else None,
            # A peer without both selectors is none: an empty one stands for every pod of the namespace.
            podSelector=LabelSelector(matchLabels=peer.pod_labels or None)
            if peer.pod_labels or not peer.namespace_labels
            else None,
        )
        for peer in peers
    ]


def _from(peers: list[NetworkPolicyPeer], *ports: int) -> NetworkPolicyIngressRule:
    """From these peers, or from anywhere where there are none."""
    return NetworkPolicyIngressRule(from_=peers or None, ports=_tcp(ports))


def _metrics(stack: StreamingStack, inputs: Inputs, *ports: int) -> NetworkPolicyIngressRule:
    """Whoever may read metrics: those who are named, else every pod of the cluster; always the operator's namespace.

    The metrics adapter is in it too.
    """
    named = _peers(stack.spec.network_isolation.metrics_from)
    everybody = [NetworkPolicyPeer(namespaceSelector=LabelSelector())]
    return _from([_operator(inputs), *named] if named else everybody, *(ports or (names.METRICS_PORT,)))


def _to(stack: StreamingStack, component: str, port: int) -> NetworkPolicyEgressRule:
    return NetworkPolicyEgressRule(to=[_part(stack, component)], ports=_tcp([port]))


def _dns(inputs: Inputs) -> NetworkPolicyEgressRule:
    namespace = inputs.cluster_dns.split(".")[1]
    peers = [
        NetworkPolicyPeer(namespaceSelector=LabelSelector(matchLabels={_NAMESPACE: namespace})),
        NetworkPolicyPeer(ipBlock=IPBlock(cidr=_NODE_LOCAL_DNS)),
    ]
    both = [NetworkPolicyPort(port=port, protocol=protocol) for port in _DNS_PORTS for protocol in ("UDP", "TCP")]
    return NetworkPolicyEgressRule(to=peers, ports=both)


def _out(stack: StreamingStack, ports: Sequence[int]) -> NetworkPolicyEgressRule:
    """Out of the cluster: through the HTTP proxy where there is one, else to the endpoints' own ports."""
    isolation = stack.spec.network_isolation
    used = [_port_of(isolation.proxy_url)] if isolation.proxy_url else ports
    blocks = [NetworkPolicyPeer(ipBlock=IPBlock(cidr=cidr)) for cidr in isolation.egress_cidrs]
    return NetworkPolicyEgressRule(to=blocks or None, ports=_tcp(sorted(set(used))))


def _tcp(ports: Sequence[int]) -> list[NetworkPolicyPort]:
    return [NetworkPolicyPort(port=port, protocol="TCP") for port in ports]


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or _DEFAULT_PORTS[parts.scheme]
