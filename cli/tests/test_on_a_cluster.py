"""`doctor` and `transcribe --stack` against a real API server, as a user runs them."""

import base64
import hashlib
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from license_token.development import development_license

from .conftest import EXAMPLES, gateway
from .site import Site, ready
from .test_recording import wav

pytest_plugins = ["e2e_cluster.testing"]
pytestmark = pytest.mark.cluster

KEY = "key-of-the-first-tenant-5d41402a"
SPOKEN = "Hello there"


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
