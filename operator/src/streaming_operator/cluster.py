"""The only place that writes to the cluster: children, the stack's status, events, Secrets that are made once.

Children are applied server-side with one field manager. What is there is known from the watches, so that a stack with
nothing to do costs no write: a child is left alone while both what is wanted and what is seen are as they were after
the last apply.
"""

import base64
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import msgspec
from service_kit.logs import get_logger

from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal
from streaming_operator.api_server import ApiServer
from streaming_operator.cache import Cache
from streaming_operator.children.child import Child
from streaming_operator.facts import ChildFailure
from streaming_operator.kinds import (
    AUTOSCALER,
    BESIDE_TRAFFIC,
    CHILDREN,
    DEPLOYMENT,
    EVENT,
    POD,
    SECRET,
    STACK,
    Key,
    Kind,
    child_kind,
    rank,
)
from streaming_operator.manifests import (
    FIRST_KEY,
    Owner,
    child_manifest,
    digest,
    event,
    made_secret,
    status_manifest,
    with_size,
)
from streaming_operator.outcomes import Applied, Refused, Waiting
from streaming_operator.refusals import child_failure, name_conflict
from streaming_operator.seen import HOLD_MANAGER, LEAVING_SINCE, Autoscaling, Metadata, Seen, Size, seen

# The sizes of what autoscalers scale belong to this manager, so that our applies, which never name them, reset none.
SIZE_MANAGER = f"{names.FIELD_MANAGER}-size"
LEAVING_MANAGER = f"{names.FIELD_MANAGER}-leaving"
_CHILD_KINDS = {kind.name: kind for kind in CHILDREN}
_NONE: Mapping[str, int] = MappingProxyType({})

log = get_logger(__name__)


class Cluster:
    """Writes through one API server, and remembers what it wrote. `instance` is the operator's pod, for events."""

    def __init__(self, api: ApiServer, cache: Cache, instance: str) -> None:
        self._api = api
        self._cache = cache
        self._instance = instance
        # By stack and child: what was wanted and what was there after the last apply.
        self._written: dict[Key, dict[tuple[str, str], tuple[bytes, bytes]]] = {}

    async def apply_all(
        self, owner: Owner, children: Sequence[Child], held: Collection[str] = (), sizes: Mapping[str, int] = _NONE
    ) -> Applied:
        """Apply every child, what others need first; one that is refused keeps none from being applied.

        A Deployment named in `held` is applied only where that rolls no pods; what else has its name is no rollout.
        `sizes`: how many pods those had that have to be made anew, by name.
        Raises ApiUnreachable, and ApiRefusal for what is of the moment.
        """
        result = Applied()
        for kind, child in sorted(((_kind(c), c) for c in children), key=lambda pair: rank(pair[0])):
            try:
                if kind is DEPLOYMENT and child.name in held and await self._would_roll(owner, kind, child):
                    result.held.append(child.name)
                    continue
                failure = await self._apply(owner, kind, child, sizes.get(child.name, 0))
            except Waiting as waiting:
                result.waiting.append(waiting)
                continue
            if failure:
                result.failures.append(failure)
        return result

    async def prune(self, owner: Owner, children: Sequence[Child], *, whole: bool) -> None:
        """Delete what this stack owns and no longer wants.

        Unless all that is wanted is there, `whole`, nothing goes that may carry traffic: what takes its place may be
        what is missing. The pool of a model that left does, as nothing is to take its place and its streams have ended.
        """
        made = (names.first_key(owner.key.name), names.token_secret(owner.key.name))
        wanted = {(child.kind, child.name) for child in children} | {(SECRET.name, name) for name in made}
        for (kind, name), known in self._cache.children(owner.key).items():
            if kind not in _CHILD_KINDS or (kind, name) in wanted or known.owner != owner.uid or known.terminating:
                continue
            if not whole and kind not in BESIDE_TRAFFIC and not known.pool:
                continue
            log.info("deleting what is no longer wanted", **_told(owner.key), kind=kind, name=name)
            await self._api.delete(_CHILD_KINDS[kind], owner.key.namespace, name, uid=known.uid)
            self._written.get(owner.key, {}).pop((kind, name), None)

    async def apply_status(self, owner: Owner, status: Mapping[str, Any]) -> None:
        """Write the stack's status; nothing where the stack is gone meanwhile."""
        body = msgspec.json.encode(status_manifest(owner, status))
        try:
            await self._api.apply(STACK, owner.key.namespace, owner.key.name, body, subresource="status")
        except ApiRefusal as refusal:
            if refusal.code not in (404, 409):
                raise

    async def tell(self, owner: Owner, now: datetime, *, warning: bool, reason: str, message: str) -> None:
        """Post an event on the stack. One that is refused is lost: the condition says the same."""
        body = event(owner, self._instance, now, warning=warning, reason=reason, message=message)
        try:
            await self._api.create(EVENT, owner.key.namespace, msgspec.json.encode(body))
        except ApiRefusal as refusal:
            log.warning("an event was refused", **_told(owner.key), problem=str(refusal))

    async def first_key_hash(self, owner: Owner) -> str:
        """The sha256 of the stack's first API key, which is made where it is missing; the key itself is never told.

        Raises Refused where its Secret is somebody else's or may not be made, Waiting where it is of before.
        """
        found = await self._made_once(owner, names.first_key(owner.key.name), FIRST_KEY)
        return sha256(base64.b64decode(_secret.decode(found).data.get(FIRST_KEY, ""))).hexdigest()

    async def keep_token_secret(self, owner: Owner) -> None:
        """See that there is what the stack's gateways sign tokens with; where it is, nobody here reads it.

        Raises as `first_key_hash`.
        """
        name = names.token_secret(owner.key.name)
        await self._made_once(owner, name, names.TOKEN_SECRET_FILE, metadata_only=True)

    async def _made_once(self, owner: Owner, name: str, entry: str, *, metadata_only: bool = False) -> bytes:
        """The Secret of that name, which is made with something random in `entry` where it is missing."""
        try:
            found = await self._api.get(SECRET, owner.key.namespace, name, metadata_only=metadata_only)
            if found is None:
                body = made_secret(owner, name, entry, secrets.token_urlsafe(32))
                found = await self._api.create(SECRET, owner.key.namespace, msgspec.json.encode(body))
        except ApiRefusal as refusal:
            if refusal.reason == "AlreadyExists":
                raise Waiting(f"Secret {name} was made meanwhile") from None
            failure = child_failure(SECRET, owner.key.namespace, name, refusal)
            if failure is None:
                raise
            raise Refused(failure) from None
        metadata, known = seen(SECRET, found)
        if known.owner != owner.uid:
            _wait_for_end(owner, SECRET, metadata)
            raise Refused(name_conflict(SECRET, owner.key.namespace, name))
        return found

    async def mark_leaving(self, key: Key, deployment: str, since: str | None) -> None:
        """Note on a pool's Deployment since when its model is out of the spec; None takes the note away."""
        annotations = {} if since is None else {LEAVING_SINCE: since}
        await self._patch_part(key, DEPLOYMENT, deployment, {"metadata": {"annotations": annotations}}, LEAVING_MANAGER)

    async def hold(self, owner: Owner, deployment: str, *, wait: bool) -> None:
        """Let a rollout that is under way wait, or go on: while it waits pods are started, ended and scaled as ever."""
        known = self._cache.get(owner.key, DEPLOYMENT, deployment)
        if known is None or known.owner != owner.uid or known.terminating or known.held == wait:
            return
        spec = {"spec": {"paused": True}} if wait else {}
        body = {**spec, "metadata": {"uid": known.uid}}
        await self._patch_part(owner.key, DEPLOYMENT, deployment, body, HOLD_MANAGER)

    def draining(self, key: Key, component: str) -> int:
        """Pods of a component that are ending."""
        return sum(pod.component == component and pod.terminating for _, pod in self._cache.of_kind(key, POD))

    def forget(self, key: Key) -> None:
        """The stack is gone."""
        self._written.pop(key, None)

    async def _apply(self, owner: Owner, kind: Kind, child: Child, had: int) -> ChildFailure | None:
        wanted = digest(child)
        known = self._cache.get(owner.key, kind, child.name)
        if known is None or known.owner != owner.uid or known.terminating:
            known = await self._existing(owner, kind, child.name)
        elif self._is_as_written(owner.key, kind, child.name, wanted, known):
            return None
        if known is not None and known.owner != owner.uid:
            return name_conflict(kind, owner.key.namespace, child.name)
        try:
            now = await self._write(owner, kind, child, known, had)
        except ApiRefusal as refusal:
            failure = child_failure(kind, owner.key.namespace, child.name, refusal)
            if failure is None:
                raise
            return failure
        self._written.setdefault(owner.key, {})[kind.name, child.name] = (wanted, now.drift)
        return None

    def _is_as_written(self, key: Key, kind: Kind, name: str, wanted: bytes, known: Seen) -> bool:
        return self._written.get(key, {}).get((kind.name, name)) == (wanted, known.drift)

    async def _existing(self, owner: Owner, kind: Kind, name: str) -> Seen | None:
        """What has that name, whoever owns it; raises Waiting while it is being deleted."""
        try:
            body = await self._api.get(kind, owner.key.namespace, name)
        except ApiRefusal as refusal:
            if refusal.code == 403:  # let the apply tell it
                return None
            raise
        if body is None:
            return None
        metadata, known = seen(kind, body)
        _wait_for_end(owner, kind, metadata)
        return known

    async def _write(self, owner: Owner, kind: Kind, child: Child, known: Seen | None, had: int) -> Seen:
        manifest = child_manifest(owner, child, known.uid if known else None)
        if child.replicas is None:
            return await self._patch(owner.key, kind, child.name, manifest, names.FIELD_MANAGER)
        if known is None:
            # Created with its size in one write; the size changes hands in the next two.
            sized = with_size(manifest, self._first_size(owner.key, child, had))
            known = await self._patch(owner.key, kind, child.name, sized, names.FIELD_MANAGER)
            manifest = child_manifest(owner, child, known.uid)
        if known.owns_replicas:
            size = known.state.desired if isinstance(known.state, Size) else child.replicas
            await self._patch_part(owner.key, kind, child.name, {"spec": {"replicas": size}}, SIZE_MANAGER)
        return await self._patch(owner.key, kind, child.name, manifest, names.FIELD_MANAGER)

    def _first_size(self, key: Key, child: Child, had: int) -> int:
        """The greatest of what the stack asks for, what the autoscaler last wished, and what there was before."""
        autoscaler = self._cache.get(key, AUTOSCALER, child.name)
        wish = autoscaler.state.desired if autoscaler and isinstance(autoscaler.state, Autoscaling) else 0
        return max(child.replicas or 0, wish, had)

    async def _patch_part(self, key: Key, kind: Kind, name: str, body: Mapping[str, Any], manager: str) -> Seen:
        """Apply a few fields of an object that is there, under a manager of their own."""
        metadata = {"name": name, "namespace": key.namespace, **body.get("metadata", {})}
        whole = {**body, "apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
        return await self._patch(key, kind, name, whole, manager)

    async def _patch(self, key: Key, kind: Kind, name: str, manifest: Mapping[str, Any], manager: str) -> Seen:
        body = await self._api.apply(kind, key.namespace, name, msgspec.json.encode(manifest), manager=manager)
        _, now = seen(kind, body)
        self._cache.put(key, kind, name, now)
        return now

    async def _would_roll(self, owner: Owner, kind: Kind, child: Child) -> bool:
        """Whether applying changes the object's generation, as a dry run tells."""
        known = self._cache.get(owner.key, kind, child.name)
        if known is None or known.owner != owner.uid or known.owns_replicas:
            return False
        if self._is_as_written(owner.key, kind, child.name, digest(child), known):
            return False
        body = msgspec.json.encode(child_manifest(owner, child, known.uid))
        try:
            told = await self._api.apply(kind, owner.key.namespace, child.name, body, dry_run=True)
        except ApiRefusal:
            return False  # the real one will be refused and reported
        live = await self._api.get(kind, owner.key.namespace, child.name, metadata_only=True)
        return live is not None and seen(kind, told)[0].generation != seen(kind, live)[0].generation


class _Secret(msgspec.Struct):
    data: dict[str, str] = msgspec.field(default_factory=dict)


_secret = msgspec.json.Decoder(_Secret)


def _wait_for_end(owner: Owner, kind: Kind, metadata: Metadata) -> None:
    """Raise Waiting where the object is on its way out, as is what a former stack of the same name had."""
    owners = metadata.owner_references or ()
    former = any(o.kind == STACK.name and o.name == owner.key.name and o.uid != owner.uid for o in owners)
    if metadata.deletion_timestamp is not None or former:
        raise Waiting(f"{kind.name} {metadata.name} of before is being deleted")


def _kind(child: Child) -> Kind:
    return child_kind(child.api_version, child.kind)


def _told(key: Key) -> dict[str, str]:
    return {"namespace": key.namespace, "stack": key.name}
