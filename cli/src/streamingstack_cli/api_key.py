"""The API key of a local stack, and what its tokens are signed with: made once, readable by their owner only."""

import hashlib
import os
import secrets
from pathlib import Path

from streamingstack_cli.layout import State


def local_key(state: State) -> str:
    """The key, made on first use, with its hash and the secret of its tokens beside the gateway's files."""
    key = _made_once(state.api_key, "local-")
    _made_once(state.token_secret, "")
    write_private(state.api_key_hashes, f"{hashlib.sha256(key.encode()).hexdigest()} local\n")
    return key


def _made_once(path: Path, prefix: str) -> str:
    """What stands in the file, which is made with something random where it is missing."""
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        text = ""
    if not text:
        text = f"{prefix}{secrets.token_urlsafe(32)}"
        write_private(path, text + "\n")
    return text


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file that its owner alone can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    os.replace(fresh, path)
