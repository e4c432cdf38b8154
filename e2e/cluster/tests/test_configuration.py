"""Configuration files of the parts: they parse, agree with the plan, and stay in the node's own folders."""

import base64
import configparser
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from e2e_cluster import binaries, dns, local
from e2e_cluster.certificates import Pair
from e2e_cluster.kubeconfigs import kubeconfig
from e2e_cluster.node_files import containerd_toml, kube_proxy_yaml, kubelet_yaml, pod_network
from e2e_cluster.plan import plan
from e2e_cluster.programs import Program, flags
from e2e_cluster.supervision import supervisor_config

PLAN = plan(environ={"HOME": "/home/u"})
NODE = PLAN.nodes[0]


def test_containerd_keeps_everything_in_the_nodes_folders() -> None:
    read = tomllib.loads(containerd_toml(NODE, "pause:1"))
    cri = read["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "pause:1"
    assert cri["restrict_oom_score_adj"] is True
    assert read["grpc"]["address"] == str(NODE.containerd_socket)
    own = (str(NODE.state), str(NODE.run))
    runc = cri["containerd"]["runtimes"]["runc"]["options"]
    for path in (read["root"], read["state"], cri["cni"]["bin_dir"], cri["cni"]["conf_dir"], runc["Root"]):
        assert path.startswith(own)


def test_kubelet_and_containerd_agree_on_control_groups_and_socket() -> None:
    kubelet = yaml.safe_load(kubelet_yaml(PLAN, NODE))
    assert kubelet["cgroupDriver"] == "cgroupfs"
    assert "SystemdCgroup = false" in containerd_toml(NODE, "pause:1")
    assert kubelet["containerRuntimeEndpoint"] == f"unix://{NODE.containerd_socket}"
    assert kubelet["cgroupRoot"] == f"/{NODE.cgroup}"
    assert kubelet["clusterDNS"] == [str(PLAN.dns)]


def test_a_node_is_missed_later_than_it_may_be_late() -> None:
    kubelet = yaml.safe_load(kubelet_yaml(PLAN, NODE))
    renewed_every = kubelet["nodeLeaseDurationSeconds"] / 4
    assert renewed_every * 3 < 20


def test_kube_proxy_leaves_the_machines_limits_alone() -> None:
    read = yaml.safe_load(kube_proxy_yaml(PLAN, NODE, Path("/k")))
    assert read["mode"] == "nftables"
    assert read["clusterCIDR"] == str(PLAN.pods)
    assert set(read["conntrack"].values()) == {0, "0s"}


@pytest.mark.parametrize(("policies", "interface"), [(None, "ptp"), (Path("/k"), "calico")])
def test_pods_get_addresses_of_their_node_and_host_ports(policies: Path | None, interface: str) -> None:
    read = json.loads(pod_network(NODE, policies))
    assert [plugin["type"] for plugin in read["plugins"]] == [interface, "portmap"]
    assert read["plugins"][0]["ipam"]["ranges"] == [[{"subnet": str(NODE.pods)}]]
    assert read["plugins"][0]["ipam"]["dataDir"].startswith(str(NODE.run))
    assert read["plugins"][1]["capabilities"] == {"portMappings": True}


def test_a_kubeconfig_has_all_that_a_client_needs_inside_it() -> None:
    read = yaml.safe_load(kubeconfig("https://h:1", "CA", Pair("CERTIFICATE", "KEY")))
    assert read["current-context"] == read["contexts"][0]["name"]
    assert base64.b64decode(read["users"][0]["user"]["client-key-data"]) == b"KEY"
    assert read["clusters"][0]["cluster"]["server"] == "https://h:1"


def test_the_dns_has_the_planned_address_and_no_placeholder_is_left() -> None:
    documents = list(yaml.safe_load_all(dns.manifest(PLAN)))
    assert "@" not in dns.manifest(PLAN).replace("\n", "").split("---", 1)[1]
    service = next(document for document in documents if document["kind"] == "Service")
    assert service["spec"]["clusterIP"] == str(PLAN.dns)


@pytest.mark.parametrize(
    ("value", "spelt"), [(True, "--a-b=true"), (False, "--a-b=false"), (0, "--a-b=0"), (Path("/x"), "--a-b=/x")]
)
def test_flags_are_spelt_as_go_reads_them(value: object, spelt: str) -> None:
    assert flags(a_b=value, left_out=None) == (spelt,)


def test_a_program_with_mounts_of_its_own_makes_them_inside_its_network_namespace() -> None:
    alone = Program("part", ("/bin/part",), own_mounts=True)
    assert alone.argv == ("unshare", "--mount", "--propagation=slave", "--", "/bin/part")
    assert replace(alone, namespace=Path("/run/netns/n")).argv == ("nsenter", "--net=/run/netns/n", "--", *alone.argv)


def test_only_the_policy_engine_has_mounts_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "folder", lambda *_: Path("/bin"))
    own = local.Local(PLAN, Path("/calico"), print).node_programs(NODE)
    assert [part for part, program in own.items() if program.own_mounts] == ["felix"]


def test_supervisor_starts_nothing_by_itself_and_keeps_command_lines_whole() -> None:
    awkward = Program("part", ("/bin/with space", "--a=100%"), {"A": "b"}, Path("/run/netns/n"))
    read = configparser.RawConfigParser()
    read.read_string(supervisor_config(PLAN, [awkward]))
    part = read["program:part"]
    assert part["command"] == "nsenter --net=/run/netns/n -- '/bin/with space' --a=100%%"
    assert part["autostart"] == "false"
    assert part["autorestart"] == "true"
    assert part["environment"] == 'A="b"'
