"""Configuration files of a node's parts, pure: containerd, the pod network, kubelet and kube-proxy."""

import json
from pathlib import Path
from typing import Any

import yaml

from e2e_cluster.plan import ClusterPlan, NodePlan

CNI_PLUGINS = Path("/usr/lib/cni")


def containerd_toml(node: NodePlan, pause_image: str) -> str:
    """containerd's configuration: everything of it below the node's own folders."""
    return f"""\
version = 2
root = "{node.state}/containerd"
state = "{node.run}/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]

[grpc]
  address = "{node.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{node.state}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  disable_tcp_service = true
  # Where CAP_SYS_RESOURCE is missing no process may be made less likely to be killed.
  restrict_oom_score_adj = true
  # Not in /var/run: all mounts of a node are found below its own folders.
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{node.state}/cni/bin"
    conf_dir = "{node.state}/cni/conf"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{node.run}/runc"
"""


def pod_network(node: NodePlan, policy_kubeconfig: Path | None) -> str:
    """The CNI configuration: routed pods by `ptp`, or by Calico's plugin where its engine enforces policies."""
    addresses = {
        "type": "host-local",
        "dataDir": f"{node.run}/cni",
        "ranges": [[{"subnet": str(node.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    # Routed, not bridged: an answer to a pod of the same node passes the rules that turn it back, as it must.
    interface: dict[str, Any] = {"type": "ptp", "mtu": 1500, "ipam": addresses}
    if policy_kubeconfig is not None:
        interface = {
            "type": "calico",
            "datastore_type": "kubernetes",
            "nodename": node.name,
            "nodename_file_optional": True,
            "log_file_path": f"{node.run}/calico-cni.log",
            "mtu": 1500,
            "ipam": {**addresses, "routes": []},
            "policy": {"type": "k8s"},
            "kubernetes": {"kubeconfig": str(policy_kubeconfig)},
        }
    ports = {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.3.1", "name": node.cgroup, "plugins": [interface, ports]}, indent=2)


def kubelet_yaml(plan: ClusterPlan, node: NodePlan) -> str:
    """The kubelet's configuration."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": str(node.address),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(plan.pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(plan.pki / f"{node.name}-serving.crt"),
            "tlsPrivateKeyFile": str(plan.pki / f"{node.name}-serving.key"),
            "containerRuntimeEndpoint": f"unix://{node.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{node.cgroup}",
            "enforceNodeAllocatable": [],
            "clusterDNS": [str(plan.dns)],
            "clusterDomain": plan.domain,
            # Pods ask the cluster's DNS alone; nothing of the machine's resolver gets in.
            "resolvConf": "/dev/null",
            "failSwapOn": False,
            "podLogsDir": str(plan.logs / "pods" / node.name),
            "volumePluginDir": f"{node.state}/volume-plugins",
            # Somebody's machine: full disks and old images are theirs to judge.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "serializeImagePulls": False,
            # A changed Secret or ConfigMap is in its pods' files within seconds, not after a minute or more.
            "syncFrequency": "10s",
            # A node that was cut off is noticed in seconds, not in a minute.
            "nodeStatusUpdateFrequency": "4s",
            "nodeLeaseDurationSeconds": 20,
            "logging": {"verbosity": 1},
        },
        sort_keys=False,
    )


def kube_proxy_yaml(plan: ClusterPlan, node: NodePlan, kubeconfig: Path) -> str:
    """kube-proxy's configuration; it writes nftables rules in the node's network namespace alone."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "hostnameOverride": node.name,
            "clusterCIDR": str(plan.pods),
            "metricsBindAddress": "127.0.0.1:10249",
            "healthzBindAddress": "127.0.0.1:10256",
            "nftables": {"minSyncPeriod": "200ms"},
            # These limits are the machine's, not the namespace's.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        },
        sort_keys=False,
    )


def node_object(node: NodePlan) -> dict[str, Any]:
    """The Node, made before its kubelet starts, so that its pod range is the planned one."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": {"kubernetes.io/hostname": node.name}},
        "spec": {"podCIDR": str(node.pods), "podCIDRs": [str(node.pods)]},
    }
