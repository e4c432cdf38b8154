"""`streamingstack status`: stacks as they are, once or again and again."""

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.live import Live

from streamingstack_cli.cluster.api import STACKS, Cluster, Object, cluster, printed, require_stacks, stack_of
from streamingstack_cli.cluster.live_counts import LiveCounts
from streamingstack_cli.cluster.reach import Look, Reach
from streamingstack_cli.cluster.stacks import StackView, view_of, with_live
from streamingstack_cli.cluster.view import shown
from streamingstack_cli.errors import CommandError


async def show(reach: Reach, look: Look, console: Console) -> None:
    """Once. Raises CommandError."""
    async with cluster(reach) as found:
        console.print(await _body(found, look, LiveCounts()))


async def show_json(reach: Reach, look: Look, console: Console) -> None:
    """The objects themselves, for programs. Raises CommandError."""
    async with cluster(reach) as found:
        stacks = [_without_noise(stack) for stack in await _stacks(found, look)]
        console.print(printed({"items": stacks}), soft_wrap=True, markup=False, highlight=False)


async def watch(reach: Reach, look: Look, console: Console, every: float) -> None:
    """Again and again, until Ctrl-C; one below the other where there is no terminal.

    An API server that is away for a while is told and waited for.
    """
    async with cluster(reach) as found:
        live_counts = LiveCounts()
        body = await _body(found, look, live_counts)
        with Live(body, console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live:
            while True:
                if live is not None:
                    live.update(body, refresh=True)
                else:
                    console.print(body)
                await asyncio.sleep(every)
                try:
                    body = await _body(found, look, live_counts)
                except CommandError as failure:
                    body = f"{failure}; trying again"


async def _body(found: Cluster, look: Look, live_counts: LiveCounts) -> RenderableType:
    views = await _views(found, look, live_counts)
    return shown(views, datetime.now(UTC)) if views else _nothing(found, look)


async def _views(found: Cluster, look: Look, live_counts: LiveCounts) -> list[StackView]:
    views = [view_of(stack) for stack in await _stacks(found, look)]
    counts = await asyncio.gather(*(live_counts.of(found, view.namespace, view.name) for view in views))
    return [with_live(view, *told) for view, told in zip(views, counts, strict=True)]


async def _stacks(found: Cluster, look: Look) -> list[Object]:
    if look.name is not None:
        return [await stack_of(found, look.name)]
    where = "" if look.everywhere else f"/namespaces/{found.namespace}"
    stacks = await found.items(f"{STACKS}{where}/streamingstacks")
    if not stacks:
        await require_stacks(found)
    return sorted(stacks, key=lambda stack: (stack["metadata"]["namespace"], stack["metadata"]["name"]))


def _nothing(found: Cluster, look: Look) -> str:
    where = "the cluster" if look.everywhere else f"namespace {found.namespace}"
    more = "" if look.everywhere else "; -A looks everywhere"
    return f"no stacks in {where}{more}"


def _without_noise(stack: Object) -> Object:
    metadata = {name: value for name, value in stack["metadata"].items() if name != "managedFields"}
    return {**stack, "metadata": metadata}
