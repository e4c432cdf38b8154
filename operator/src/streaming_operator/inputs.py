"""Gathers what children depend on beside the stack itself: licence, Secrets, what the cluster offers."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import msgspec
from license_token import KeyFileInvalid, LicenseError, LicenseForged, LicenseWrongAudience, PublicKeys, verify_genuine
from stack_model.api import Model, StreamingStack

from streaming_operator.api_server import ApiServer
from streaming_operator.cluster import Cluster
from streaming_operator.discovery import Discovery
from streaming_operator.facts import Inputs, LicenseFact
from streaming_operator.kinds import CONFIG_MAP, SECRET
from streaming_operator.manifests import Owner
from streaming_operator.references import Reference, license_references, other_references


class _Metadata(msgspec.Struct, rename="camel"):
    uid: str = ""
    resource_version: str = ""


class _Data(msgspec.Struct, rename="camel"):
    metadata: _Metadata
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


_data = msgspec.json.Decoder(_Data)


@dataclass(frozen=True)
class Gatherer:
    """Reads for one operator. `always` is what no cluster tells: images, the operator's own namespace."""

    api: ApiServer
    cluster: Cluster
    discovery: Discovery
    always: Inputs

    async def gather(
        self, owner: Owner, stack: StreamingStack, leaving: tuple[Model, ...], undelivered_proxies: int
    ) -> Inputs:
        """All inputs of one stack. Raises ApiRefusal, ApiUnreachable."""
        offer = await self.discovery.offer()
        namespace = owner.key.namespace
        missing: set[str] = set()
        versions: dict[str, str] = {}
        for reference in other_references(stack):
            found = await self._read(namespace, reference)
            if found is None:
                missing.add(reference.id)
            elif reference.key is not None and reference.key not in _values(found):
                missing.add(f"{reference.id}[{reference.key}]")
            elif reference.read_at_start:
                versions[reference.id] = _version(found)
        if stack.spec.images.flavour != "Vendor":
            await self.cluster.keep_token_secret(owner)
        return replace(
            self.always,
            license=await self._license(namespace, stack),
            apis=offer.apis,
            storage_classes=offer.storage_classes,
            image_volumes=offer.image_volumes,
            gpu_nodes=offer.gpu_nodes,
            missing=frozenset(missing),
            versions=versions,
            first_key_hash=await self._first_key_hash(owner, stack),
            leaving=leaving,
            undelivered_proxies=undelivered_proxies,
        )

    async def _first_key_hash(self, owner: Owner, stack: StreamingStack) -> str | None:
        auth = stack.spec.gateway.auth
        if auth.mode != "Keys" or auth.secret_name is not None:
            return None
        return await self.cluster.first_key_hash(owner)

    async def _license(self, namespace: str, stack: StreamingStack) -> LicenseFact:
        where, keys_where = license_references(stack)
        secret = await self._read(namespace, where)
        if secret is None:
            return LicenseFact("Missing", f"Secret {namespace}/{where.name} not found")
        token = _values(secret).get(where.key or "")
        if token is None:
            return LicenseFact("Missing", f"Secret {namespace}/{where.name} has no key {where.key}")
        keys = await self._read(namespace, keys_where)
        text = _values(keys).get(keys_where.key or "") if keys else None
        if text is None:
            what = f"ConfigMap {namespace}/{keys_where.name}"
            return LicenseFact(
                "NoPublicKeys", f"{what} not found" if keys is None else f"{what} has no key {keys_where.key}"
            )
        return replace(judge_license(token, text), resource_version=secret.metadata.resource_version)

    async def _read(self, namespace: str, reference: Reference) -> _Data | None:
        body = await self.api.get(SECRET if reference.kind == "Secret" else CONFIG_MAP, namespace, reference.name)
        if body is None:
            return None
        found = _data.decode(body)
        if reference.kind == "ConfigMap":
            plain = {name: base64.b64encode(text.encode()).decode() for name, text in (found.data or {}).items()}
            return _Data(found.metadata, {**plain, **(found.binary_data or {})})
        return found


def judge_license(token: bytes, public_keys: bytes) -> LicenseFact:
    """What a licence and the keys beside it are worth, whatever the time. No part of either is in the answer."""
    try:
        keys = PublicKeys.from_json(public_keys.decode())
    except (KeyFileInvalid, UnicodeDecodeError) as unusable:
        detail = str(unusable) if isinstance(unusable, KeyFileInvalid) else "the public keys are not text"
        return LicenseFact("NoPublicKeys", detail)
    try:
        claims = verify_genuine(token.decode().strip(), keys)
    except UnicodeDecodeError:
        return LicenseFact("Unreadable", "the licence is not text; copy it again")
    except (LicenseForged, LicenseWrongAudience) as forged:
        return LicenseFact("Forged", str(forged))
    except LicenseError as unreadable:
        return LicenseFact("Unreadable", str(unreadable))
    return LicenseFact("Genuine", expires=claims.expires_at, customer=claims.customer)


def _values(found: _Data) -> Mapping[str, bytes]:
    values = {}
    for name, encoded in (found.data or {}).items():
        try:
            values[name] = base64.b64decode(encoded, validate=True)
        except binascii.Error:  # the API server refuses it; nobody's value then
            continue
    return values


def _version(found: _Data) -> str:
    """Changes with the content only, and tells nothing of it: the object's uid is in it too."""
    told = msgspec.json.encode([found.metadata.uid, found.data], order="sorted")
    return sha256(told).hexdigest()[:16]
