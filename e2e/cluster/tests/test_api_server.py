"""A real API server stands up for tests, and goes away after them."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from e2e_cluster.api_server import ApiServer
from e2e_cluster.kubernetes_api import KubernetesApi

pytest_plugins = ["e2e_cluster.testing"]
pytestmark = pytest.mark.cluster


def test_it_is_the_planned_kubernetes(api_server: ApiServer) -> None:
    assert '"gitVersion": "v1.34.4"' in KubernetesApi(api_server.kubeconfig).kubectl("get", "--raw", "/version")


def test_an_object_is_kept_and_a_bad_one_refused(api_server: ApiServer) -> None:
    api = KubernetesApi(api_server.kubeconfig)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "1"}}
    api.apply([config])
    version = api.get("configmap", "kept")["metadata"]["resourceVersion"]
    api.apply([config])
    assert api.get("configmap", "kept")["metadata"]["resourceVersion"] == version
    with pytest.raises(Exception, match="Invalid value"):
        api.apply([{**config, "metadata": {"name": "Not_A_Name"}}])


def test_with_controllers_what_a_deleted_owner_owned_goes_too(api_server_with_controllers: ApiServer) -> None:
    api = KubernetesApi(api_server_with_controllers.kubeconfig)
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}
    api.apply([owner])
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": api.get("cm", "owner")["metadata"]["uid"],
    }
    api.apply([{**owner, "metadata": {"name": "owned", "ownerReferences": [reference]}}])
    api.kubectl("delete", "configmap", "owner")
    api.until("the owned object goes", lambda: "owned" not in api.kubectl("get", "cm", "-o", "name"), seconds=60)


def test_a_killed_server_command_leaves_no_process(tmp_path: Path) -> None:
    command = subprocess.Popen([sys.executable, "-m", "e2e_cluster", "api", f"--folder={tmp_path}"])
    deadline = time.monotonic() + 90
    while not (tmp_path / "ready.json").exists():
        assert command.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert KubernetesApi(tmp_path / "kubeconfig").ready()
    children = psutil.Process(command.pid).children(recursive=True)
    assert {child.name() for child in children} == {"etcd", "kube-apiserver"}
    command.kill()
    command.wait()
    psutil.wait_procs(children, timeout=30)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert yaml.safe_load((tmp_path / "kubeconfig").read_text())["kind"] == "Config"
