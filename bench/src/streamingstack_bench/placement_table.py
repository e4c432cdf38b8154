"""The tables of the placement simulation: `python -m streamingstack_bench.placement_table --help`."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from streamingstack_bench.placement import Policy, World, refusals, scale_up
from streamingstack_bench.report import line, with_section

LOADS = (0.5, 0.75, 0.9)
UP_AT = 0.75


def markdown(world: World, *, count: int, seeds: int) -> str:
    """Two tables; `count` sessions for each cell of the first, `seeds` runs for each row of the second."""
    about = (
        f"{world.gateways} gateways of {world.capacity} places behind {world.proxies} proxies; sessions come at random "
        f"and last {world.mean_minutes:.0f} minutes on the mean (lognormal, sigma {world.spread}). Load is the share "
        f"of all places that the sessions would take. {count:,} sessions a cell, by `make placement`."
    )
    loads = [f"{load:.0%}".replace("%", " %") for load in LOADS]
    heads = ["policy", *loads, *(f"{load}, one retry" for load in loads)]
    refused = [line(heads), line(["---"] * len(heads))]
    landed = [line(["policy", "share of the first minute", "half as full as the others after"]), line(["---"] * 3)]
    for policy in track(Policy, "placement", transient=True):
        cells = [
            refusals(world, policy, load, retries=retries, count=count).share for retries in (0, 1) for load in LOADS
        ]
        refused.append(line([policy, *(_share(cell) for cell in cells)]))
        landed.append(line([policy, *_landing(world, policy, seeds)]))
    up = f"One gateway more at {UP_AT:.0%} load, where new sessions then land (mean of {seeds} runs):".replace(
        "%", " %"
    )
    head = ["## Placement: sessions refused while there is room", "", about, "", "Sessions refused:", ""]
    return "\n".join([*head, *refused, "", up, "", *landed]) + "\n"


def _share(share: float) -> str:
    return "0" if not share else f"{100 * share:.2f} %"


def _landing(world: World, policy: Policy, seeds: int) -> list[str]:
    runs = [scale_up(world, policy, UP_AT, seed=seed) for seed in range(seeds)]
    times = [run.half_full_after for run in runs if run.half_full_after is not None]
    after = f"{60 * np.mean(times):.0f} s" if len(times) == len(runs) else "over 30 min"
    return [f"{100 * np.mean([run.first_minute for run in runs]):.0f} %", after]


app = typer.Typer(add_completion=False)


@app.command()
def main(
    count: Annotated[int, typer.Option(min=100, help="Sessions for each cell.")] = 100_000,
    seeds: Annotated[int, typer.Option(min=1, help="Runs for each scale-up.")] = 10,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write a section of this file.")] = None,
) -> None:
    """Random, round robin and least-request placement over 20 gateways: refusals, and who finds a new gateway."""
    section = markdown(World(), count=count, seeds=seeds)
    typer.echo(section)
    if markdown_file is not None:
        document = markdown_file.read_text() if markdown_file.exists() else ""
        markdown_file.write_text(with_section(document, "placement", section))


if __name__ == "__main__":
    app()
