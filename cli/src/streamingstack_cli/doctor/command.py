"""`streamingstack doctor`."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from stack_model.api import StackError, StreamingStack, load_stack, read_stack
from streaming_operator import names

from streamingstack_cli.cluster.access import KEY_IN_SECRET
from streamingstack_cli.cluster.api import Cluster, ForbiddenError, cluster, stack_of
from streamingstack_cli.cluster.reach import Reach
from streamingstack_cli.doctor.bundle import write_bundle
from streamingstack_cli.doctor.examination import examine, told
from streamingstack_cli.doctor.facts import Level
from streamingstack_cli.doctor.gather import Gatherer
from streamingstack_cli.errors import CommandError


async def doctor(reach: Reach, name: str | None, file: Path | None, bundle: Path | None, console: Console) -> bool:
    """Print what stops or weakens a stack here; whether nothing stops it. Raises CommandError.

    The stack is the one called `name`, the only one of the namespace, or that of `file`, which need not be applied.
    """
    written = _from_file(file) if file else None
    if written and written.metadata.namespace and reach.namespace is None:
        reach = replace(reach, namespace=written.metadata.namespace)
    async with cluster(reach) as found:
        stack = written or await _from_cluster(found, name)
        facts = await Gatherer(found, stack).facts()
        findings = examine(facts, datetime.now(UTC))
        subject = f"{found.namespace}/{stack.metadata.name}"
        report = told(findings, subject)
        console.print(report, markup=False, highlight=False, end="")
        if bundle is not None:
            secrets = {text for values in facts.data.values() for text in _texts(values)} | await _first_key(
                found, stack
            )
            count = await write_bundle(bundle, found, stack.metadata.name, report, facts.applied, secrets)
            console.print(f"{bundle}: {count} files, without Secrets, transcripts and keys; read it before you send it")
        return not any(finding.level is Level.STOPS for finding in findings)


def _from_file(file: Path) -> StreamingStack:
    try:
        return load_stack(file)
    except StackError as refused:
        raise CommandError(str(refused), 2) from None


async def _from_cluster(found: Cluster, name: str | None) -> StreamingStack:
    try:
        return read_stack(await stack_of(found, name or await _only_one(found)))
    except StackError as refused:
        raise CommandError(f"the cluster's stack is not one of this version of the command: {refused}") from None


async def _only_one(found: Cluster) -> str:
    path = f"apis/streamingstack.dev/v1alpha1/namespaces/{found.namespace}/streamingstacks"
    there = sorted(stack["metadata"]["name"] for stack in await found.items(path))
    if len(there) == 1:
        return str(there[0])
    listed = f"there are {', '.join(there)}" if there else "there is none"
    raise CommandError(
        f"which stack? In namespace {found.namespace} {listed}; give its name, -n, or -f FILE for one not applied yet",
        2,
    )


async def _first_key(found: Cluster, stack: StreamingStack) -> set[str]:
    path = f"api/v1/namespaces/{found.namespace}/secrets/{names.first_key(stack.metadata.name)}"
    try:
        secret = await found.get(path)
    except ForbiddenError:
        return set()
    encoded = ((secret or {}).get("data") or {}).get(KEY_IN_SECRET)
    return {base64.b64decode(encoded).decode(errors="replace")} if encoded else set()


def _texts(values: object) -> list[str]:
    if not isinstance(values, dict):
        return []
    return [line for value in values.values() for line in value.decode(errors="replace").splitlines() if len(line) > 7]
