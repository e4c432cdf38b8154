"""What is wrong with a stack itself, or with what it names. Pure: each check takes the facts and says what it found."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from stack_model.api_keys import parse_keys
from streaming_operator.inputs import judge_license
from streaming_operator.references import license_references, other_references

from streamingstack_cli.cluster.stacks import view_of
from streamingstack_cli.doctor.facts import Facts, Finding, Level

_SOON = timedelta(days=14)
_ISSUE = "streamingstack license issue --help"


def reference_is_missing(facts: Facts) -> Iterator[Finding]:
    """Secrets and ConfigMaps beside the licence."""
    for wanted in other_references(facts.stack):
        if wanted.id not in facts.data:
            continue
        values = facts.data[wanted.id]
        where = f"{wanted.kind} {facts.namespace}/{wanted.name}"
        if values is None:
            yield Finding(Level.STOPS, wanted.field, f"{where} is not there", "create it, or correct its name")
        elif wanted.key is not None and wanted.key not in values:
            there = ", ".join(sorted(values)) or "none"
            yield Finding(Level.STOPS, wanted.field, f"{where} has no key {wanted.key} (there: {there})", "add the key")
        elif wanted.field == "spec.gateway.auth.secretName" and wanted.key is not None:
            yield from _keys(where, wanted.field, values[wanted.key])


def _keys(where: str, field: str, content: bytes) -> Iterator[Finding]:
    try:
        keys = parse_keys(content.decode(errors="replace"))
    except ValueError as wrong:
        remedy = "a line is the sha256 of a key (printf %s KEY | sha256sum), a name, and limits: see docs/keys.md"
        yield Finding(Level.STOPS, field, f"{where}: {wrong}", remedy)
        return
    if not keys:
        yield Finding(Level.WEAKENS, field, f"{where} holds no key: nobody can open a session", "add the hash of a key")


def license_is_unusable(facts: Facts, now: datetime) -> Iterator[Finding]:
    """The licence and the keys that verify it."""
    secret, keys = license_references(facts.stack)
    if secret.id not in facts.data or keys.id not in facts.data:
        return
    token, public = _value(facts.data[secret.id], secret.key), _value(facts.data[keys.id], keys.key)
    if token is None:
        problem = f"Secret {facts.namespace}/{secret.name} with the key {secret.key} is not there"
        remedy = f"kubectl create secret generic {secret.name} --from-file={secret.key}; to make a licence: {_ISSUE}"
        yield Finding(Level.STOPS, secret.field, problem, remedy)
    if public is None:
        problem = f"ConfigMap {facts.namespace}/{keys.name} with the key {keys.key} is not there"
        remedy = f"kubectl create configmap {keys.name} --from-file={keys.key}, as the issuer of the licence gives it"
        yield Finding(Level.STOPS, keys.field, problem, remedy)
    if token is None or public is None:
        return
    fact = judge_license(token, public)
    if fact.state != "Genuine":
        remedy = "put the licence in place as its issuer gave it, with the issuer's own public keys"
        yield Finding(Level.STOPS, secret.field, f"the licence is not usable ({fact.state}): {fact.detail}", remedy)
    elif fact.expires is not None and fact.expires <= now:
        problem = f"the licence expired on {fact.expires:%Y-%m-%d}: new sessions are refused"
        yield Finding(Level.STOPS, secret.field, problem, "replace it in the Secret; it is taken by itself")
    elif fact.expires is not None and fact.expires <= now + _SOON:
        problem = f"the licence ends on {fact.expires:%Y-%m-%d}"
        yield Finding(Level.WEAKENS, secret.field, problem, "replace it in the Secret in time")


def promises_are_weakened(facts: Facts) -> Iterator[Finding]:
    """Settings that are allowed and cost something."""
    spec = facts.stack.spec
    isolation = spec.network_isolation
    if isolation.enabled and not isolation.egress_cidrs:
        problem = "egressCidrs is empty: licence proxy and model store may reach every address on port 443"
        remedy = "list the addresses of your sources, licence server and usage tracker, or those of proxyUrl"
        yield Finding(Level.WEAKENS, "spec.networkIsolation.egressCidrs", problem, remedy)
    if spec.gateway.auth.mode == "AnyNonEmpty":
        problem = "every caller with any key is let in, and usage has one tenant"
        yield Finding(Level.WEAKENS, "spec.gateway.auth", problem, "set spec.gateway.auth.mode: Keys")
    if spec.gateway.autoscaling.min_replicas < 2:
        problem = "a single gateway pod: its node's end cuts every session"
        yield Finding(Level.WEAKENS, "spec.gateway.autoscaling", problem, "set minReplicas: 2 or more")
    for model in spec.models:
        if model.autoscaling.min_replicas < 2:
            problem = "a single pod: while it is replaced, sessions wait in their gateways"
            remedy = "set autoscaling.minReplicas: 2 where that matters"
            yield Finding(Level.NOTE, f"model {model.name}", problem, remedy)
        if model.source is not None and model.source.startswith("file://"):
            problem = "file:// is a file of one machine; a model store refuses it"
            remedy = "use pvc://claim/path, https, hf, s3, pypi or image"
            yield Finding(Level.STOPS, f"model {model.name}", problem, remedy)


def nothing_is_delivered(facts: Facts) -> Iterator[Finding]:
    """Addresses that only the vendor's licence proxy talks to."""
    proxy = facts.stack.spec.license_proxy
    if facts.stack.spec.images.flavour == "Vendor":
        return
    for field, endpoint in (("checkInEndpoint", proxy.check_in_endpoint), ("usage.endpoint", proxy.usage.endpoint)):
        if endpoint is not None:
            problem = (
                "this version does not use it: the licence is judged offline, and usage stays on the proxies' volumes"
            )
            remedy = "back their volumes up (docs/production.md), or use the vendor's images"
            yield Finding(Level.WEAKENS, f"spec.licenseProxy.{field}", problem, remedy)


def operator_is_silent(facts: Facts) -> Iterator[Finding]:
    """A stack that nobody took up, and what its conditions say."""
    if facts.applied is None:
        return
    view = view_of(facts.applied)
    if not view.conditions:
        remedy = (
            "see whether the operator runs and watches this namespace: kubectl get pods -A -l app.kubernetes.io/name="
        )
        yield Finding(Level.STOPS, "operator", "no operator has looked at the stack", f"{remedy}streaming-operator")
    elif view.behind:
        problem = "the operator has not looked at the last change"
        yield Finding(Level.WEAKENS, "operator", problem, "wait a few seconds, then read the operator's log")
    ready = view.ready
    for condition in view.conditions:
        if condition.is_good or condition.type in ("Progressing", "Ready"):
            continue
        stops = ready is not None and not ready.is_good
        level = Level.STOPS if stops else Level.WEAKENS
        about = f"condition {condition.type}"
        yield Finding(level, about, f"{condition.reason}: {condition.message}", "docs/troubleshooting.md has more")


def something_is_unseen(facts: Facts) -> Iterator[Finding]:
    """What this user may not read was not checked."""
    for what in facts.unseen:
        yield Finding(Level.NOTE, what, "you may not read it, so it was not checked", "ask somebody who may")


def _value(values: Mapping[str, bytes] | None, key: str | None) -> bytes | None:
    return (values or {}).get(key or "")
