"""`status`, `doctor` and `transcribe --stack` against a real API server, as a user runs them."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import sys
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_cluster.api_server import ApiServer
from e2e_cluster.kubernetes_api import KubernetesApi
from license_token.development import development_license
from streamingstack_cli.main import app
from typer.testing import CliRunner

from .conftest import EXAMPLES, ROOT, gateway
from .test_recording import wav

pytest_plugins = ["e2e_cluster.testing"]
pytestmark = pytest.mark.cluster

KEY = "key-of-the-first-tenant-5d41402a"
SPOKEN = "Hello there"


@dataclass
class Site:
    """A namespace of its own on the API server, and the command."""

    api: KubernetesApi
    namespace: str

    def apply(self, *documents: dict[str, Any]) -> None:
        named = [{**entry, "metadata": {**entry["metadata"], "namespace": self.namespace}} for entry in documents]
        self.api.apply(named)

    def stack(self, name: str = "demo", status: dict[str, Any] | None = None, **spec: Any) -> None:
        stack = yaml.safe_load((EXAMPLES / "minimal.yaml").read_text())
        stack["metadata"] = {"name": name}
        stack["spec"] |= spec
        self.apply(stack)
        if status is not None:
            patch = json.dumps({"status": status})
            arguments = (
                "-n",
                self.namespace,
                "patch",
                "sst",
                name,
                "--subresource=status",
                "--type=merge",
                "-p",
                patch,
            )
            self.api.kubectl(*arguments)

    def secret(self, name: str, **data: str) -> None:
        encoded = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded})

    async def run(self, *arguments: str, kubeconfig: Path | None = None) -> tuple[int, str, str]:
        return await command(*arguments, "-n", self.namespace, KUBECONFIG=str(kubeconfig or self.api.kubeconfig))


async def command(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Status, standard output and standard error; in this process, which has loaded everything already."""
    environment = {"COLUMNS": "160", "NO_COLOR": "1", **variables}
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def known(api_server: ApiServer) -> KubernetesApi:
    """An API server that knows StreamingStacks."""
    api = KubernetesApi(api_server.kubeconfig)
    api.apply_text((ROOT / "crds" / "streamingstacks.yaml").read_text())
    wait = ("wait", "--for=condition=Established", "crd/streamingstacks.streamingstack.dev", "--timeout=60s")
    api.kubectl(*wait)
    return api


@contextlib.contextmanager
def made_site(known: KubernetesApi) -> Iterator[Site]:
    namespace = f"cli-{uuid.uuid4().hex[:8]}"
    known.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])
    yield Site(known, namespace)
    with contextlib.suppress(Exception):
        known.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def site(known: KubernetesApi) -> Iterator[Site]:
    with made_site(known) as made:
        yield made


@pytest.fixture
def elsewhere(known: KubernetesApi) -> Iterator[Site]:
    """Another namespace."""
    with made_site(known) as made:
        yield made


def ready(**more: Any) -> dict[str, Any]:
    time = "2026-06-01T12:00:00Z"
    condition = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": time}
    return {
        "observedGeneration": 1,
        "conditions": [condition],
        "gateway": {"ready": 2, "desired": 2, "draining": 0, "sessions": 3, "capacity": 96},
        **more,
    }


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


def restricted_to(site: Site, tmp_path: Path, *rules: dict[str, Any]) -> Path:
    """The kubeconfig of a user with nothing but `rules`."""
    account = {"kind": "ServiceAccount", "name": "guest", "namespace": site.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "guest"}
    rbac = "rbac.authorization.k8s.io/v1"
    site.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "guest"}},
        {"apiVersion": rbac, "kind": "Role", "metadata": {"name": "guest"}, "rules": list(rules)},
        {
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": {"name": "guest"},
            "roleRef": role,
            "subjects": [account],
        },
    )
    token = site.api.kubectl("-n", site.namespace, "create", "token", "guest").strip()
    config = yaml.safe_load(site.api.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "guest"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_what_a_user_may_not_see_is_told_and_the_rest_is_checked(site: Site, tmp_path: Path) -> None:
    site.stack("one", ready())
    kubeconfig = restricted_to(
        site,
        tmp_path,
        {"apiGroups": ["streamingstack.dev"], "resources": ["streamingstacks"], "verbs": ["get", "list"]},
    )
    assert "3/96 sessions" in (await site.run("status", kubeconfig=kubeconfig))[1]
    status, out, _ = await site.run("doctor", kubeconfig=kubeconfig)
    assert "Secret license: you may not read it, so it was not checked" in out
    assert "no operator" not in out
    assert status in (0, 1)
    nothing = restricted_to(site, tmp_path)
    status, _, err = await site.run("status", kubeconfig=nothing)
    assert status == 1
    assert "not allowed: streamingstacks" in err


def with_license(site: Site, folder: Path) -> None:
    made = development_license(folder, "demo")
    site.secret("license", **{"license.jwt": made.license_path.read_text()})
    keys = {"public-keys.json": made.jwks_path.read_text()}
    site.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "license-keys"}, "data": keys})


async def test_doctor_names_what_stops_a_stack_and_passes_when_it_is_mended(site: Site, tmp_path: Path) -> None:
    storage = {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.com/none",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    }  # fmt: skip
    file = str(EXAMPLES / "minimal.yaml")
    status, out, _ = await site.run("doctor", "-f", file)
    assert status == 1
    assert f"Secret {site.namespace}/license with the key license.jwt is not there" in out
    assert "no StorageClass is the default" in out
    site.api.apply([storage])
    try:
        with_license(site, tmp_path)
        status, out, err = await site.run("doctor", "-f", file)
        assert status == 0, out + err
        assert "egressCidrs is empty" in out
    finally:
        site.api.kubectl("delete", "storageclass", "standard")


async def test_a_bundle_has_everything_but_secrets(site: Site, tmp_path: Path) -> None:
    with_license(site, tmp_path)
    site.stack("demo", ready(), gateway={"pods": {"env": [{"name": "MY_TOKEN", "value": "env-sesame"}]}})
    site.secret("demo-first-key", api_key=KEY)
    token = (
        base64.b64decode(site.api.get("-n", site.namespace, "secret", "license")["data"]["license.jwt"])
        .decode()
        .strip()
    )
    labels = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "gateway"}
    pod = {"containers": [{"name": "gateway", "image": "x", "env": [{"name": "NOTE", "value": f"key {KEY}"}]}]}
    annotations = {"note": f"licence {token}"}
    site.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}},
        {
            "apiVersion": "v1", "kind": "Pod", "spec": pod,
            "metadata": {"name": "demo-gateway-0", "labels": labels, "annotations": annotations},
        },
    )  # fmt: skip
    bundle = tmp_path / "bundle.tar.gz"
    _, out, err = await site.run("doctor", "demo", "--bundle", str(bundle))
    assert f"{bundle}: " in out, err
    with tarfile.open(bundle) as archive:
        files = {member.name: archive.extractfile(member).read().decode() for member in archive}  # type: ignore[union-attr]
    assert {"doctor.txt", "stack.yaml", "pods.yaml"} <= files.keys()
    assert "demo-gateway-0" in files["pods.yaml"]
    everything = "".join(files.values())
    for secret in (KEY, token, "env-sesame"):
        assert secret not in everything
    assert "kind: Secret" not in everything


async def test_transcribe_finds_endpoint_and_key_of_a_stack(site: Site, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(KEY.encode()).hexdigest()} first\n")
    audio = tmp_path / "a.wav"
    audio.write_bytes(wav(bytes(7 * 32000)))
    async with gateway(keys) as url:
        site.stack("demo", ready(endpoint=url), gateway={"expose": {"type": "Ingress", "ingressClassName": "any"}})
        status, _, err = await site.run("transcribe", str(audio), "--stack", "demo", "--speed", "10")
        assert status == 1
        assert f"no key api-key in Secret {site.namespace}/demo-first-key" in err
        site.secret("demo-first-key", api_key=KEY)
        status, out, err = await site.run("transcribe", str(audio), "--stack", "demo", "--speed", "10")
    assert status == 0, err
    assert SPOKEN in out
    assert KEY not in out + err


@pytest.mark.parametrize(
    ("gateway_spec", "says"),
    [
        ({}, "kubectl -n"),
        ({"auth": {"secretName": "mine"}, "expose": {"type": "Ingress"}}, "give one with --api-key"),
    ],
)
async def test_what_transcribe_cannot_find_it_asks_for(
    site: Site, tmp_path: Path, gateway_spec: dict[str, Any], says: str
) -> None:
    audio = tmp_path / "a.wav"
    audio.write_bytes(wav(bytes(32000)))
    site.stack("demo", ready(endpoint="ws://127.0.0.1:9"), gateway=gateway_spec)
    status, _, err = await site.run("transcribe", str(audio), "--stack", "demo")
    assert status == 1
    assert says in err
