"""The licence proxy as the process that is deployed, for what gateways count together."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from license_token import SigningKey, development_claims, issue


@dataclass
class LicenseProxyProcess:
    """Killed and started again at the same port."""

    folder: Path
    port: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        variables = {
            "HOST": "127.0.0.1",
            "SERVER_PORT": str(self.port),
            "LICENSE_FILE_PATH": str(self.folder / "license.jwt"),
            "LICENSE_PUBLIC_KEYS_PATH": str(self.folder / "public-keys.json"),
            "STATE_DIR": str(self.folder / "state"),
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "license_proxy", env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE
        )
        assert self.process.stderr is not None
        async with asyncio.timeout(30):
            while "licence proxy ready" not in (line := (await self.process.stderr.readline()).decode()):
                assert line, "the licence proxy did not start"
        self.port = json.loads(line)["port"]

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()

    async def leased(self) -> int:
        """Sessions of all gateways, as it knows them."""
        async with httpx2.AsyncClient(base_url=self.url, trust_env=False) as http:
            lines = (await http.get("/metrics")).text.splitlines()
        return round(
            float(next(line for line in lines if line.startswith("license_proxy_sessions_leased ")).split()[1])
        )


@contextlib.asynccontextmanager
async def license_proxy_process(folder: Path, **claims: Any) -> AsyncIterator[LicenseProxyProcess]:
    """Runs while the context is open, with a genuine licence of these claims."""
    folder.mkdir(parents=True, exist_ok=True)
    key, now = SigningKey.generate(), datetime.now(UTC).replace(microsecond=0)
    licensed = development_claims("acme", now).model_copy(update=claims)
    (folder / "license.jwt").write_text(issue(licensed, key.private_key, key.key_id))
    (folder / "public-keys.json").write_text(key.public_keys().to_json())
    made = LicenseProxyProcess(folder)
    try:
        await made.start()
        yield made
    finally:
        await made.kill()
