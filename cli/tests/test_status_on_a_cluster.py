"""`status` against a real API server, as a user runs it, and how every command finds its cluster."""

import asyncio
import json
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from .site import Site, command, ready

pytest_plugins = ["e2e_cluster.testing"]
pytestmark = pytest.mark.cluster


async def test_status_shows_the_stacks_of_a_namespace(site: Site) -> None:
    site.stack("one", ready(countsTime="2026-06-01T12:00:00Z"))
    site.stack("two")
    status, out, err = await site.run("status")
    assert (status, err) == (0, "")
    assert f"{site.namespace}/one  Ready" in out
    assert "3/96 sessions" in out
    assert "ago, from the stack's status, as no pod could be asked" in out
    assert f"{site.namespace}/two  no word from an operator yet" in out
    only = (await site.run("status", "two"))[1]
    assert "/one" not in only


async def test_status_for_programs_is_the_objects(site: Site) -> None:
    site.stack("one", ready())
    _, out, _ = await site.run("status", "--json")
    found = json.loads(out)["items"]
    assert [stack["metadata"]["name"] for stack in found] == ["one"]
    assert found[0]["status"]["gateway"]["sessions"] == 3
    assert "managedFields" not in found[0]["metadata"]


async def test_status_of_everywhere_shows_the_stacks_of_every_namespace(site: Site, elsewhere: Site) -> None:
    site.stack("one", ready())
    elsewhere.stack("two", ready())
    told = {f"{site.namespace}/one  Ready", f"{elsewhere.namespace}/two  Ready"}
    for option in ("-A", "--all-namespaces"):
        status, out, err = await site.run("status", option)
        assert (status, err) == (0, "")
        assert {line for line in told if line in out} == told
    assert f"{elsewhere.namespace}/" not in (await site.run("status"))[1]


async def test_the_context_that_is_named_says_which_cluster_and_namespace(site: Site, tmp_path: Path) -> None:
    site.stack("one", ready())
    config = yaml.safe_load(site.api.kubeconfig.read_text())
    [cluster], [user] = config["clusters"], config["users"]
    gone = {"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}}
    here = {"cluster": cluster["name"], "user": user["name"], "namespace": site.namespace}
    away = {"cluster": "gone", "user": user["name"]}
    config["clusters"].append(gone)
    config["contexts"] = [{"name": "here", "context": here}, {"name": "away", "context": away}]
    config["current-context"] = "away"
    (tmp_path / "config").write_text(yaml.safe_dump(config))

    async def shown(*arguments: str) -> tuple[int, str, str]:
        return await command("status", *arguments, KUBECONFIG=str(tmp_path / "config"))

    status, out, err = await shown("--context", "here")
    assert (status, err) == (0, "")
    assert f"{site.namespace}/one  Ready" in out
    status, _, err = await shown()
    assert status == 1
    assert "no answer from http://127.0.0.1:1" in err
    status, _, err = await shown("--context", "nowhere")
    assert status == 2
    assert "nowhere" in err
    assert err.count("\n") == 1


async def test_status_watches_until_it_is_interrupted(site: Site) -> None:
    site.stack("one", ready())
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streamingstack_cli.main", "status", "--watch", "--every", "0.5", "-n", site.namespace,
        stdout=pipe, stderr=pipe, env={**os.environ, "COLUMNS": "160", "KUBECONFIG": str(site.api.kubeconfig)},
        # In the background of a shell it would be ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        await _until(process, "3/96 sessions")
        site.stack("one", ready(gateway={"ready": 2, "desired": 2, "sessions": 7, "capacity": 96}))
        await _until(process, "7/96 sessions")
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 60)
        assert "Traceback" not in err.decode()
    finally:
        if process.returncode is None:
            process.kill()


async def _until(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(120):
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line, "the command ended"


async def test_a_stack_that_is_not_there_is_told_with_those_that_are(site: Site) -> None:
    site.stack("one")
    for arguments in (["status", "two"], ["doctor", "two"]):
        status, _, err = await site.run(*arguments)
        assert status == 2
        assert f"no stack two in namespace {site.namespace} (there: one)" in err


async def test_an_empty_namespace_says_where_to_look(site: Site) -> None:
    assert f"no stacks in namespace {site.namespace}; -A looks everywhere" in (await site.run("status"))[1]


async def test_without_a_kubeconfig_the_remedy_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("just words")
    for variables, says in (
        ({"HOME": str(tmp_path), "KUBECONFIG": ""}, "~/.kube/config not found"),
        ({"KUBECONFIG": str(tmp_path / "gone")}, "gone not found"),
        ({"KUBECONFIG": str(broken)}, "not a kubeconfig"),
    ):
        status, out, err = await command("status", **variables)
        assert (status, out) == (2, "")
        assert says in err
        assert err.count("\n") == 1


async def test_a_cluster_that_does_not_answer_is_told(site: Site, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = yaml.safe_load(site.api.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    status, _, err = await site.run("status", kubeconfig=tmp_path / "config")
    assert status == 1
    assert f"no answer from https://127.0.0.1:{port}" in err
    assert err.count("\n") == 1
