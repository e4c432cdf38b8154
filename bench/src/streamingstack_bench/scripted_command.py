"""The command of a scripted recogniser: `python -m streamingstack_bench.scripted`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from service_kit.drain import terminate_event

from streamingstack_bench.scripted import Script, serve_scripted

app = typer.Typer(add_completion=False)


async def _serve(script: Script, drain_seconds: float, **options: Any) -> None:
    terminate = terminate_event()
    async with serve_scripted(script, **options) as server:
        typer.echo(f"Ready to serve! port {server.port}")
        await terminate.wait()
        await server.drain(drain_seconds)


@app.command()
def main(
    script: Annotated[Path, typer.Option(help="Script as JSON: words with text, start_ms, end_ms.")],
    port: Annotated[int, typer.Option(help="Port to listen on; 0: a free one, printed.")] = 0,
    capacity: Annotated[int, typer.Option(help="Streams it takes.")] = 28,
    replacing: Annotated[bool, typer.Option(help="Speak as a Universal-3 model.")] = False,
    delay_seconds: Annotated[float, typer.Option(help="How long each decode takes.")] = 0.0,
    drain_seconds: Annotated[float, typer.Option(help="Time to move streams away after SIGTERM.")] = 5.0,
) -> None:
    """Serve a scripted recogniser until SIGTERM."""
    options = {"port": port, "capacity": capacity, "replacing": replacing, "delay_seconds": delay_seconds}
    asyncio.run(_serve(Script.load(script), drain_seconds, **options))
