"""Stacks for people: one block each, good news in one line, bad news with its remedy. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from streamingstack_cli.cluster.stacks import Condition, Load, Part, StackView

_BAR = 20
_NEARLY_FULL = 0.8


def shown(views: Sequence[StackView], now: datetime) -> RenderableType:
    """All stacks, one below the other."""
    return Group(*(line for view in views for line in (*_stack(view, now), Text())))


def _stack(view: StackView, now: datetime) -> Iterable[RenderableType]:
    yield _headline(view)
    if view.endpoint:
        yield Text(f"  {view.endpoint}")
    yield Text(f"  {_license(view, now)}")
    yield Padding(_parts(view), (0, 0, 0, 2))
    if counted := _counted(view, now):
        yield Text(f"  {counted}", style="dim")
    yield from _conditions(view, now)


def _headline(view: StackView) -> Text:
    ready = view.ready
    word, style = ("no word from an operator yet", "yellow")
    if view.ending:
        word, style = "is being deleted", "yellow"
    elif ready is not None:
        word = "Ready" if ready.is_good and ready.reason in ("", "Ready") else f"{_state(ready)}: {ready.reason}"
        style = "green" if ready.is_good else "red"
    behind = "  (the operator has not looked at the last change yet)" if view.behind and ready else ""
    return Text.assemble((f"{view.namespace}/{view.name}", "bold"), "  ", (word, style), (behind, "yellow"))


def _state(ready: Condition) -> str:
    return "Ready" if ready.is_good else "Not ready" if ready.status == "False" else "Unknown"


def _license(view: StackView, now: datetime) -> str:
    trusted = f", trusted for {_span(view.trusted_until - now)}" if view.trusted_until else ""
    backlog = f"; usage of {view.backlog} sessions waits for delivery" if view.backlog else ""
    return f"licence {view.license_state}{trusted}{backlog}"


def _parts(view: StackView) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("part", "pods", "draining", "", "in use", "phase"):
        table.add_column(heading, no_wrap=True)
    table.add_row("gateway", *_cells(view.gateway, "sessions"), "")
    for part in view.models:
        table.add_row(part.name, *_cells(part, "streams"), part.phase)
    return table


def _counted(view: StackView, now: datetime) -> str:
    """Of when the loads are that the table shows; empty where it shows none."""
    shown = [part for part in (view.gateway, *view.models) if part.load.active is not None]
    kept = [part.name for part in shown if not part.live]
    ago = f"as of {_span(now - view.counted)} ago" if view.counted else "as of an unknown time"
    if not shown:
        return ""
    if not kept:
        return "in use: as the pods tell now"
    if len(kept) == len(shown):
        return f"in use: {ago}, from the stack's status, as no pod could be asked"
    return f"in use: as the pods tell now, but for {', '.join(kept)}: {ago}, from the stack's status"


def _cells(part: Part, what: str) -> tuple[Text | str, ...]:
    pods = Text(f"{part.ready}/{part.desired}", "" if part.ready >= part.desired else "yellow")
    draining = f"{part.draining or ''}{f' ({part.draining_active} {what})' if part.draining_active else ''}"
    return pods, draining, _bar(part.load), _use(part.load, what)


def _use(load: Load, what: str) -> str:
    if load.active is None:
        return ""
    told = f"{load.active} {what}" if load.capacity is None else f"{load.active}/{load.capacity} {what}"
    return f"{told}; silent pods: {load.silent}" if load.silent else told


def _bar(load: Load) -> Text:
    if load.active is None or not load.capacity:
        return Text()
    share = min(1.0, load.active / load.capacity)
    filled = min(_BAR, round(share * _BAR) or (1 if load.active else 0))
    style = "red" if share >= 1 else "yellow" if share >= _NEARLY_FULL else "green"
    return Text.assemble(("#" * filled, style), ("." * (_BAR - filled), "dim"))


def _conditions(view: StackView, now: datetime) -> Iterable[RenderableType]:
    good = [condition.type for condition in view.conditions if condition.is_good and condition.type != "Progressing"]
    if good:
        yield Text(f"  holds: {', '.join(good)}", style="dim")
    for condition in view.conditions:
        if not condition.is_good:
            since = f", for {_span(now - condition.since)}" if condition.since else ""
            style = "yellow" if condition.type == "Progressing" or condition.status == "Unknown" else "red"
            heading = Text.assemble((f"{condition.type}={condition.status} {condition.reason}", style), since)
            yield Padding(heading, (0, 0, 0, 2))
            if condition.message:
                yield Padding(Text(condition.message), (0, 0, 0, 4))


def _span(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
