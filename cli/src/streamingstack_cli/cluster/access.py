"""How to speak to a stack of the cluster: its endpoint, and the key that the operator made."""

import base64
import binascii
from dataclasses import dataclass

from streaming_operator import names

from streamingstack_cli.cluster.api import Cluster, ForbiddenError, Object, cluster, stack_of
from streamingstack_cli.cluster.reach import Reach
from streamingstack_cli.errors import CommandError

KEY_IN_SECRET = "api-key"  # noqa: S105 - its name
_ANY_KEY = "any-non-empty"


@dataclass(frozen=True)
class Access:
    """Where clients connect, and with what; `repr` never shows the key."""

    url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Access({self.url!r})"


async def access_to(reach: Reach, stack: str, url: str | None, api_key: str | None) -> Access:
    """What is needed for a session; `url` and `api_key` replace what the cluster says. Raises CommandError."""
    async with cluster(reach) as found:
        wanted = await stack_of(found, stack)
        return Access(url or _endpoint(wanted, found.namespace), api_key or await _key(found, wanted))


def _endpoint(stack: Object, namespace: str) -> str:
    endpoint = (stack.get("status") or {}).get("endpoint")
    if endpoint and stack["spec"].get("gateway", {}).get("expose", {}).get("type", "None") != "None":
        return str(endpoint)
    service = names.gateway(stack["metadata"]["name"])
    raise CommandError(
        f"the stack has no endpoint outside of the cluster; set spec.gateway.expose, or run "
        f"`kubectl -n {namespace} port-forward service/{service} 8080:{names.GATEWAY_PORT}` and add "
        "--url ws://127.0.0.1:8080"
    )


async def _key(found: Cluster, stack: Object) -> str:
    auth = stack["spec"].get("gateway", {}).get("auth", {})
    if auth.get("mode") == "AnyNonEmpty":
        return _ANY_KEY
    if auth.get("secretName"):
        raise CommandError(
            f"the stack's keys are your own (Secret {auth['secretName']} holds only their hashes); give one with "
            "--api-key or STREAMINGSTACK_API_KEY"
        )
    name = names.first_key(stack["metadata"]["name"])
    try:
        secret = await found.get(f"api/v1/namespaces/{found.namespace}/secrets/{name}")
    except ForbiddenError:
        raise CommandError(
            f"you may not read Secret {found.namespace}/{name}; ask for that right, or give a key with --api-key"
        ) from None
    try:
        return base64.b64decode((secret or {})["data"][KEY_IN_SECRET], validate=True).decode()
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError):
        raise CommandError(
            f"no key {KEY_IN_SECRET} in Secret {found.namespace}/{name}; the operator makes it when the stack is "
            "accepted: see streamingstack status"
        ) from None
