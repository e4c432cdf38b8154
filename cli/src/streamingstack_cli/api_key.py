"""The API key of a local stack: made once, kept readable by its owner only; the gateway gets its hash."""

import hashlib
import os
import secrets
from pathlib import Path

from streamingstack_cli.layout import State


def local_key(state: State) -> str:
    """The key, made on first use, with its hash beside the gateway's files."""
    try:
        key = state.api_key.read_text().strip()
    except FileNotFoundError:
        key = ""
    if not key:
        key = f"local-{secrets.token_urlsafe(24)}"
        write_private(state.api_key, key + "\n")
    write_private(state.api_key_hashes, f"{hashlib.sha256(key.encode()).hexdigest()} local\n")
    return key


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file that its owner alone can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    os.replace(fresh, path)
