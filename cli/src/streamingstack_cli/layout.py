"""Where a local stack keeps what it needs; paths only, nothing is touched."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack_model.local import Ports
from streaming_asr.triton.launch import TritonFiles

# A Unix socket's path holds 107 bytes.
_LONGEST_SOCKET = 100


@dataclass(frozen=True)
class State:
    """The folder of one local stack."""

    root: Path

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What supervisord and its children are started from."""
        return self.root / "run"

    @property
    def api_key(self) -> Path:
        """The key that clients use; readable by its owner only."""
        return self.root / "api-key"

    @property
    def api_key_hashes(self) -> Path:
        """What the gateway knows of it."""
        return self.root / "gateway" / "api-keys"

    @property
    def token_secret(self) -> Path:
        """What the gateway signs temporary tokens with."""
        return self.root / "gateway" / "token-secret"

    @property
    def routes(self) -> Path:
        """The load balancer's routes file."""
        return self.root / "load-balancer" / "routes.yaml"

    def log(self, process: str) -> Path:
        """The log of one process."""
        return self.logs / f"{process}.log"

    def socket(self, temporary: Path) -> Path:
        """supervisord's socket: here, or in `temporary` where this path is too long for one."""
        here = self.run / "supervisor.sock"
        if len(bytes(here)) <= _LONGEST_SOCKET:
            return here
        return temporary / f"streamingstack-{hashlib.sha256(bytes(here)).hexdigest()[:16]}.sock"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for wss: a certificate with its intermediates, and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Layout:
    """Everything outside the StreamingStack that the processes of a local run depend on."""

    state: State
    ports: Ports
    host: str
    python: str
    model_repository: Path
    backends: Path
    triton: TritonFiles
    models: Mapping[str, Path]
    hearing: Path
    license: Path
    public_keys: Path
    inherited: Mapping[str, str]
    tls: TlsFiles | None = None
