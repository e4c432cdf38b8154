"""The store as the process that is deployed: its environment, its logs, its end."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import httpx2
from stack_model.stored_models import StoredModel, dump_stored_models

from .conftest import FileServer, model_file


async def test_sigterm_ends_a_store_at_once_even_while_a_source_hangs(server: FileServer, tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    server.files, server.bytes_per_second = {"/a": content}, 20  # a byte a twentieth of a second
    models = tmp_path / "models.yaml"
    model = StoredModel(name="m", files=[model_file("a", content, f"{server.url}/a")])
    models.write_text(dump_stored_models([model]))
    ports = {"HOST": "127.0.0.1", "SERVER_PORT": "0", "METRICS_PORT": "0"}
    environment = {**os.environ, **ports, "MODELS_FILE": str(models), "STORE_DIR": str(tmp_path / "store")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "model_store", "serve", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    port = 0
    async for line in process.stderr:
        told = json.loads(line)
        if told["event"] == "Ready to serve!":
            port = told["port"]
            break
    async with httpx2.AsyncClient(trust_env=False) as http, asyncio.timeout(20):
        while not (await http.get(f"http://127.0.0.1:{port}/models/m")).json().get("bytesDone"):
            await asyncio.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest = (await process.communicate())[1].decode()
    assert process.returncode == 0
    assert time.monotonic() - began < 15
    assert '"stopped"' in rest
    assert "Traceback" not in rest


async def test_a_store_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    for extra, says in (
        ({}, "environment variable models_file: Field required"),
        ({"MODELS_FILE": "/nowhere", "EXTRA_CA_FILE": str(tmp_path)}, "EXTRA_CA_FILE"),
        ({"MODELS_FILE": "/nowhere", "SERVER_PORT": "70000"}, "less than or equal to 65535"),
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "model_store", "serve",
            env={**os.environ, **extra}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said = (await process.communicate())[1].decode()
        assert process.returncode in (1, 2)
        assert says in said
        assert len(said.strip().splitlines()) == 1
