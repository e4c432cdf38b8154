"""`python -m streaming_operator run | render -f STACK.yaml | apply-crds`."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from lightkube.core.exceptions import ConfigError
from service_kit.logs import configure_logs
from service_kit.settings import load_settings
from stack_model.api import StackError

from streaming_operator.api_errors import ApiRefusal, ApiUnreachable
from streaming_operator.api_server import ApiServer, connect
from streaming_operator.kinds import CUSTOM_RESOURCE_DEFINITION
from streaming_operator.settings import OperatorSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "run":
            return _run()
        if chosen.command == "render":
            return _render(chosen.file)
        return asyncio.run(_apply_crds(chosen.kubeconfig))
    except (StackError, ApiRefusal, ApiUnreachable, ConfigError, OSError) as failure:
        sys.stderr.write(f"streaming-operator: {failure}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="streaming-operator", description="StreamingStacks, carried out.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="watch StreamingStacks and keep them; configured by the environment")
    render = commands.add_parser("render", help="print the objects of a stack as YAML; needs no cluster")
    render.add_argument("-f", "--file", type=Path, required=True, help="a StreamingStack")
    crds = commands.add_parser("apply-crds", help="bring the custom resource definition up to date, server-side")
    crds.add_argument("--kubeconfig", help="default: the pod's service account, else KUBECONFIG")
    return parser


def _run() -> int:
    from streaming_operator.running import run

    settings = load_settings(OperatorSettings)
    configure_logs("streaming-operator", structured=settings.structured_logging, level=settings.log_level)
    for chatty in ("httpx2", "httpcore2", "kopf", "aiohttp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    asyncio.run(run(settings))
    return 0


def _render(file: Path) -> int:
    from streaming_operator.render import render

    sys.stdout.write(render(file))
    return 0


async def _apply_crds(kubeconfig: str | None) -> int:
    from stack_model.crd import definition

    document = definition()
    name = document["metadata"]["name"]
    async with connect(kubeconfig) as http:
        await ApiServer(http).apply(CUSTOM_RESOURCE_DEFINITION, None, name, msgspec.json.encode(document))
    sys.stdout.write(f"applied {name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
