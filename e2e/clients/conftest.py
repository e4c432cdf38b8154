"""For the real clients: a gateway before a scripted recogniser, its certificates, and what is spoken to it."""

import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from scripted_gateway import Stack, scripted_gateway

AUDIO = Path(__file__).resolve().parents[2] / "examples" / "audio"
RATE = 16_000
VENDOR = "streaming.assemblyai.com"


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority that clients are to trust, and what the gateway serves with."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, Path]:
        """Of a gateway that ends TLS itself."""
        return {"tls_cert_file": self.certificate, "tls_key_file": self.key}


@pytest.fixture
def stack() -> Any:
    """`async with stack(script, replacing=..., **settings) as running: ...`."""
    return scripted_gateway


@pytest.fixture
async def plain_stack() -> AsyncIterator[Stack]:
    """A stack with the default script and settings."""
    async with scripted_gateway() as running:
        yield running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority of our own, for this machine's own address, and for the vendor's that some clients insist on."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    served = authority.issue_cert("127.0.0.1", VENDOR)
    made = Certificates(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(made.authority)
    made.certificate.write_bytes(b"".join(part.bytes() for part in served.cert_chain_pems))
    served.private_key_pem.write_to_path(made.key)
    return made


@pytest.fixture(scope="session")
def recording() -> Path:
    """Four utterances with pauses, 22 s."""
    return AUDIO / "en_derived_pauses_1688.wav"


@pytest.fixture(scope="session")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One utterance of 2.8 s twice, each with 1.5 s of silence after it: 8.7 s."""
    with wave.open(str(AUDIO / "en_libri_1688-142285-0002.wav")) as utterance:
        said = utterance.readframes(utterance.getnframes())
    path = tmp_path_factory.mktemp("utterances") / "twice.wav"
    with wave.open(str(path), "wb") as twice:
        twice.setnchannels(1)
        twice.setsampwidth(2)
        twice.setframerate(RATE)
        twice.writeframes(2 * (said + bytes(2 * RATE * 3 // 2)))
    return path
