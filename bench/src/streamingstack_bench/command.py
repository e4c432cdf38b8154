"""The command `streamingstack bench`: its options, and nothing else, so that naming it costs no start-up time."""

from pathlib import Path
from typing import Annotated

import typer

ENGLISH = "universal-streaming-english"


def bench(
    url: Annotated[str, typer.Option(help="Gateway, ws:// or wss://.")] = "ws://127.0.0.1:8080",
    api_key: Annotated[str, typer.Option(envvar="STREAMINGSTACK_API_KEY", help="API key of the gateway.")] = "",
    speech_model: Annotated[
        list[str] | None, typer.Option(help="Model to ask for; repeatable, one after the other.", show_default=ENGLISH)
    ] = None,
    audio: Annotated[
        Path, typer.Option(envvar="STREAMINGSTACK_AUDIO", help="Folder with manifest.jsonl, or WAV files with .txt.")
    ] = Path("examples/audio"),
    language: Annotated[
        list[str] | None, typer.Option(help="Only recordings in this language; repeatable. English models: en.")
    ] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="Only so many recordings.")] = None,
    recorded_only: Annotated[bool, typer.Option(help="Leave out recordings that were made from others.")] = False,
    sessions: Annotated[str, typer.Option(help="Sessions at once, one load after the other.")] = "1,2,4,8",
    duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds of each load, recordings over and over; else each once.")
    ] = None,
    clips_per_session: Annotated[int, typer.Option(min=1, help="Recordings that one session plays in a row.")] = 1,
    chunk_ms: Annotated[int, typer.Option(min=50, max=1000, help="Audio in one message.")] = 100,
    stagger: Annotated[float, typer.Option(min=0, help="Seconds between the starts of two clients.")] = 0.5,
    param: Annotated[
        list[str] | None, typer.Option(help="Query parameter of the protocol as name=value; repeatable.")
    ] = None,
    stack: Annotated[Path | None, typer.Option(help="Stack YAML: its weights are heard offline to compare.")] = None,
    up: Annotated[
        Path | None, typer.Option(help="Stack YAML to run here meanwhile; sets --stack, --url, --api-key and --pid.")
    ] = None,
    port_offset: Annotated[int, typer.Option(help="For --up: shift every port.")] = 0,
    state: Annotated[Path | None, typer.Option(help="For --up: where the stack keeps its files.")] = None,
    pid: Annotated[int | None, typer.Option(help="Process whose descendants are the stack: CPU and memory.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the report: .png, .svg or .pdf.")] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="Write the tables as sections of this file.")
    ] = None,
    section: Annotated[str, typer.Option(help="Name of the sections; those of this name are replaced.")] = "load",
    title: Annotated[str, typer.Option(help="Title of those sections.")] = "Load",
    keep_text: Annotated[bool, typer.Option(help="Put what was heard into the JSON.")] = False,
    seed: Annotated[int, typer.Option(help="Order of the recordings.")] = 1,
    max_wer_gap: Annotated[
        float | None, typer.Option(help="Fail where streamed is more points of WER above offline.")
    ] = None,
    max_pss: Annotated[float | None, typer.Option(help="Fail where the stack takes more GB.")] = None,
    require_whole: Annotated[bool, typer.Option(help="Fail where any session was refused or broken.")] = False,
) -> None:
    """Stream real recordings in real time over many sessions and report lag, errors and cost."""
    from streamingstack_bench.bench import Asked, run_bench  # measuring libraries: loaded only when measuring

    asked = Asked(
        url=url,
        api_key=api_key,
        speech_models=tuple(speech_model or [ENGLISH]),
        audio=audio,
        languages=tuple(language or ()),
        clips=clips,
        recorded_only=recorded_only,
        sessions=sessions,
        duration_s=duration,
        clips_per_session=clips_per_session,
        chunk_ms=chunk_ms,
        stagger_s=stagger,
        param=tuple(param or ()),
        stack=stack or up,
        up=up,
        port_offset=port_offset,
        state=state,
        pid=pid,
        json=json_file,
        plot=plot,
        markdown=markdown_file,
        section=section,
        title=title,
        keep_text=keep_text,
        seed=seed,
        floors=(max_wer_gap, max_pss, require_whole),
    )
    raise typer.Exit(run_bench(asked))


app = typer.Typer(add_completion=False)
app.command(name="bench")(bench)

if __name__ == "__main__":
    app()
