"""`python -m model_store serve` and `python -m model_store fetch`."""

import argparse
import re
from pathlib import Path


def main() -> None:
    """Run the store, or copy a model from it."""
    wanted = _parser().parse_args()
    # Imported when it is known which: an init container starts without the libraries of the sources.
    if wanted.command == "serve":
        from model_store.serving.service import serve_command

        serve_command()
    else:
        from model_store.pods.command import fetch_command

        fetch_command(wanted.store, wanted.model, wanted.expect, wanted.to)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model_store", description="Models of a stack: fetched, verified, served.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="Fetch the models of MODELS_FILE and serve them; configured by the environment.")
    fetch = commands.add_parser("fetch", help="Copy one model from a store and wait for it where it is not there yet.")
    fetch.add_argument("--from", dest="store", required=True, type=_url, metavar="URL", help="The store.")
    fetch.add_argument("--model", required=True, type=_name, metavar="NAME", help="The model's name in the stack.")
    fetch.add_argument(
        "--expect", type=_identity, metavar="IDENTITY", help="Wait until the store's list has exactly this model."
    )
    fetch.add_argument(
        "--to", required=True, type=Path, metavar="FOLDER", help="The model appears here under its name."
    )
    return parser


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+/?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no http://host:port")
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a model: small letters, digits and '-'")
    return text


def _identity(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError("expected 64 hexadecimal digits")
    return text


if __name__ == "__main__":
    main()
