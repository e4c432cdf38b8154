"""One stack, from what is wanted to what is there: the story that is told again whenever something changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from service_kit.logs import get_logger
from stack_model.api import Model, Reason, StackError, StackStatus, StreamingStack, read_stack

from streaming_operator import leaving, names
from streaming_operator.api_server import ApiServer
from streaming_operator.cache import Cache
from streaming_operator.checks.accepted import REASONS
from streaming_operator.children import build_children
from streaming_operator.children.child import Child
from streaming_operator.children.optional_apis import HTTP_ROUTE
from streaming_operator.cluster import Cluster
from streaming_operator.facts import Inputs
from streaming_operator.former_gateways import FormerGateways
from streaming_operator.inputs import Gatherer
from streaming_operator.kinds import DEPLOYMENT, STACK, Key
from streaming_operator.manifests import Owner
from streaming_operator.metrics import OperatorMetrics
from streaming_operator.observe import observe
from streaming_operator.outcomes import Applied, Refused, Waiting
from streaming_operator.reading import Reading
from streaming_operator.readings import Readings
from streaming_operator.references import references
from streaming_operator.rollouts import must_wait
from streaming_operator.sizes import last_sizes
from streaming_operator.stacks import Stacks
from streaming_operator.status import COUNTS_EVERY, compute_status, flips, rejected_status

# What was refused may be taken later, and nothing tells when.
REFUSED_SECONDS = 10.0
# What a stack names is watched: this is for the case that nobody told.
FAILING_INPUT_SECONDS = 60.0
# The message of a model that loads tells how long it has.
LOADING_SECONDS = 30.0
ENDING_SECONDS = 2.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Reconciler:
    """Everything that the story needs. `clock` tells the time of day, aware."""

    api: ApiServer
    cluster: Cluster
    former: FormerGateways
    cache: Cache
    gatherer: Gatherer
    readings: Readings
    stacks: Stacks
    metrics: OperatorMetrics
    clock: Callable[[], datetime]
    unlisted_after: timedelta

    async def reconcile(self, key: Key) -> float | None:
        """Bring one stack to what its object says; returns the seconds until it should be looked at again, if any.

        Raises whatever calls for another attempt with backoff.
        """
        body = await self.api.get(STACK, key.namespace, key.name)
        document = msgspec.json.decode(body) if body else None
        if document is None or "deletionTimestamp" in document["metadata"]:
            return await self._end(key, gone=document is None)
        owner = Owner(key, document["metadata"]["uid"])
        try:
            stack = read_stack(document)
        except StackError as refused:
            await self._refuse(owner, document, str(refused), Reason.INVALID_SPEC)
            return None
        try:
            return await self._carry_out(owner, stack, document)
        except Waiting as waiting:
            log.info("waiting", namespace=key.namespace, stack=key.name, reason=str(waiting))
            return waiting.delay
        except Refused as refused:
            self.metrics.refused_children.labels(refused.failure.reason).inc()
            await self._refuse(owner, document, str(refused), REASONS[refused.failure.reason])
            return REFUSED_SECONDS

    async def _carry_out(self, owner: Owner, stack: StreamingStack, document: dict[str, Any]) -> float | None:
        self.stacks.names(owner.key, references(stack))
        staying = await self._leaving(owner, stack)
        inputs = await self.gatherer.gather(owner, stack, staying, self._undelivered(owner.key, stack))
        children = build_children(stack, inputs)
        applied = await self._apply(owner, stack, children)
        await self.cluster.prune(owner, children, whole=applied.whole and not _lacks_route(stack, inputs))
        status = self._status(owner.key, stack, inputs, applied)
        await self._report(owner, stack.status, status, document.get("status"))
        await self._end_former(owner.key, document["metadata"]["creationTimestamp"])
        return self._again(stack, inputs, applied, status)

    async def _apply(self, owner: Owner, stack: StreamingStack, children: Sequence[Child]) -> Applied:
        """While too many gateways drain, no rollout of the gateway begins, and one under way goes no further."""
        key, gateway = owner.key, names.gateway(owner.key.name)
        draining, most = self.cluster.draining(key, names.GATEWAY), stack.spec.gateway.max_draining_pods
        waits = must_wait(self.cache.get(key, DEPLOYMENT, gateway), draining, most)
        if waits:
            await self.cluster.hold(owner, gateway, wait=True)
        held = (gateway,) if draining > most else ()
        applied = await self.cluster.apply_all(owner, children, held, last_sizes(key.name, stack.status))
        if not waits:
            await self.cluster.hold(owner, gateway, wait=False)
        elif gateway not in applied.held:
            applied.held.append(gateway)
        return applied

    def _status(self, key: Key, stack: StreamingStack, inputs: Inputs, applied: Applied) -> StackStatus:
        models = [model.name for model in (*stack.spec.models, *inputs.leaving)]
        observed = observe(
            key.name,
            models,
            self.cache.children(key),
            self.readings.get,
            applied.failures,
            applied.held,
            last_sizes(key.name, stack.status),
        )
        parts = {(names.GATEWAY, ""): observed.gateway, **{(names.ASR, m): pods for m, pods in observed.models.items()}}
        draining = {k: (pods.draining, pods.draining_active or 0) for k, pods in parts.items() if pods.draining}
        self.metrics.draining.count(key.namespace, key.name, draining)
        for failure in applied.failures:
            self.metrics.refused_children.labels(failure.reason).inc()
        return compute_status(stack, inputs, observed, stack.status, self.clock())

    async def _report(
        self, owner: Owner, previous: StackStatus | None, status: StackStatus, written: dict[str, Any] | None
    ) -> None:
        """Write the status and tell what flipped, where it is not what stands there."""
        for condition in status.conditions:
            gauge = self.metrics.conditions.labels(owner.key.namespace, owner.key.name, condition.type.value)
            gauge.set(condition.status == "True")
        wanted = status.to_object()
        if wanted == written:
            return
        await self.cluster.apply_status(owner, wanted)
        for flip in flips(previous, status):
            warning = flip.type == "Warning"
            await self.cluster.tell(owner, self.clock(), warning=warning, reason=flip.reason, message=flip.message)

    async def _refuse(self, owner: Owner, document: dict[str, Any], message: str, reason: Reason) -> None:
        """A stack that the API server let through and that cannot be carried out: its children stay as they are."""
        written = document.get("status")
        try:
            previous = StackStatus.model_validate(written) if written else None
        except ValueError:
            previous = None
        generation = document["metadata"].get("generation")
        await self._report(
            owner, previous, rejected_status(message, generation, previous, self.clock(), reason), written
        )

    async def _leaving(self, owner: Owner, stack: StreamingStack) -> tuple[Model, ...]:
        """Models that are out of the spec and whose pools still have streams."""
        children = self.cache.children(owner.key)
        wanted = {model.name for model in stack.spec.models}
        pools = leaving.pools(children, owner.uid)
        for pool in leaving.returned(pools, wanted):
            await self.cluster.mark_leaving(owner.key, pool.deployment, None)
        staying = []
        for pool in leaving.unwanted(pools, wanted):
            now = self.clock()
            if not pool.seen.leaving_since:
                await self.cluster.mark_leaving(owner.key, pool.deployment, now.isoformat(timespec="seconds"))
            since = datetime.fromisoformat(pool.seen.leaving_since) if pool.seen.leaving_since else now
            streams = leaving.streams_of(pool.model, children, self._readings(owner.key))
            longest = timedelta(seconds=stack.spec.gateway.max_session_seconds)
            after = self.unlisted_after
            if leaving.must_stay(since, now, streams, unlisted_after=after, longest_session=longest):
                staying += await self._model_of(owner.key, pool)
        return tuple(staying)

    async def _model_of(self, key: Key, pool: leaving.Pool) -> list[Model]:
        """The model as its pool was built from; nothing where that cannot be read any more."""
        body = await self.api.get(DEPLOYMENT, key.namespace, pool.deployment, metadata_only=True)
        annotations = msgspec.json.decode(body)["metadata"].get("annotations", {}) if body else {}
        try:
            return [Model.model_validate_json(annotations[names.MODEL])]
        except (KeyError, ValueError):
            log.warning("a pool that leaves cannot be kept", namespace=key.namespace, stack=key.name, model=pool.model)
            return []

    def _undelivered(self, key: Key, stack: StreamingStack) -> int:
        wanted = stack.spec.license_proxy.replicas
        return leaving.undelivered_proxies(self.cache.children(key), self._readings(key), wanted)

    def _readings(self, key: Key) -> dict[str, Reading]:
        """By pod uid."""
        found = {}
        for seen in self.cache.children(key).values():
            reading = self.readings.get(seen)
            if reading is not None:
                found[seen.uid] = reading
        return found

    async def _end(self, key: Key, *, gone: bool) -> float | None:
        """The stack is deleted. The garbage collector does the rest; its gateways end soon instead of in hours."""
        if gone:
            self.cluster.forget(key)
            self.metrics.forget_stack(key.namespace, key.name)
            if self.stacks.is_known(key):  # nobody saw it go
                self.stacks.deleted(key)
            self.stacks.forget(key)
        if not gone:
            self.stacks.ends(key)
        if not self.stacks.is_ending(key):
            return None
        if await self.former.end(key, before=None):
            self.stacks.looked(key)
            return ENDING_SECONDS
        if gone:
            self.stacks.ended(key)
        return None if gone else ENDING_SECONDS

    async def _end_former(self, key: Key, created: str) -> None:
        """Gateways of a stack of the same name that was deleted before this one was made."""
        if not self.stacks.is_ending(key):
            return
        if await self.former.end(key, before=created):
            self.stacks.looked(key)
        else:
            self.stacks.ended(key)

    def _again(self, stack: StreamingStack, inputs: Inputs, applied: Applied, status: StackStatus) -> float | None:
        """When to look again though nothing is heard of."""
        waits = [waiting.delay for waiting in applied.waiting]
        if applied.failures:
            waits.append(REFUSED_SECONDS)
        if inputs.missing or inputs.license.state != "Genuine":
            waits.append(FAILING_INPUT_SECONDS)
        if inputs.leaving or applied.held or self.stacks.is_ending(_key(stack)):
            waits.append(leaving.LOOK_AGAIN_SECONDS)
        if status.gateway.draining or any(model.draining for model in status.models):
            waits.append(COUNTS_EVERY.total_seconds() + 1)  # their sessions are told until the last one ends
        if any(condition.reason is Reason.LOADING_MODEL for condition in status.conditions):
            waits.append(LOADING_SECONDS)
        if inputs.license.expires is not None:
            left = (inputs.license.expires - self.clock()).total_seconds()
            waits += [left + 1] if left > 0 else []
        return min(waits, default=None)


def _lacks_route(stack: StreamingStack, inputs: Inputs) -> bool:
    """Nothing that the cluster serves takes the place of an Ingress that was there before."""
    return stack.spec.gateway.expose.type == "HTTPRoute" and HTTP_ROUTE not in inputs.apis


def _key(stack: StreamingStack) -> Key:
    return Key(stack.metadata.namespace or "default", stack.metadata.name)
