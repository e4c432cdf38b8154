"""The control plane's processes: command lines, pure; keys and kubeconfigs beside them in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from e2e_cluster.certificates import Authority
from e2e_cluster.kubeconfigs import kubeconfig
from e2e_cluster.pki import KeyStore, write_private
from e2e_cluster.programs import Program, flags

_CONTROLLERS = "*,-bootstrapsigner,-tokencleaner"


@dataclass(frozen=True)
class ControlPlane:
    """Where a control plane listens and keeps its files. Ports are all different; `services` is the Service range."""

    folder: Path
    address: IPv4Address
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    services: str
    binaries: Path
    data: Path
    """The store's folder; in memory where there is room, since it syncs at every write."""
    controller_manager_port: int = 0
    scheduler_port: int = 0
    routed: bool = True
    """Aggregated APIs and webhooks are reached by pod address; else by their Service's address or external name."""
    names: tuple[str, ...] = ()
    """Further names and addresses under which the API server is reached."""

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def keys(self) -> KeyStore:
        """Keys and certificates."""
        return KeyStore(self.folder / "pki")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    def kubeconfig_of(self, name: str) -> Path:
        """The kubeconfig of a part."""
        return self.folder / "etc" / f"{name}.kubeconfig"

    def prepare(self) -> Authority:
        """Make what is missing of keys, certificates and kubeconfigs; the cluster's own authority."""
        keys = self.keys
        ca = keys.authority("ca")
        keys.server(
            ca, "apiserver", ("kubernetes.default.svc", "localhost", "127.0.0.1", str(self.address), *self.names)
        )
        keys.client(ca, "apiserver-kubelet", "kube-apiserver-kubelet-client", ("system:masters",))
        keys.client(keys.authority("front-proxy-ca"), "front-proxy", "front-proxy-client")
        keys.signing_key("service-accounts")
        self.write_kubeconfig(ca, self.kubeconfig, "admin", "kubernetes-admin", ("system:masters",))
        for part in ("controller-manager", "scheduler"):
            self.write_kubeconfig(ca, self.kubeconfig_of(part), part, f"system:kube-{part}")
        return ca

    def write_kubeconfig(self, ca: Authority, path: Path, name: str, user: str, groups: Sequence[str] = ()) -> None:
        """Write a kubeconfig with a client certificate kept under `name`."""
        pair = self.keys.client(ca, name, user, groups)
        write_private(path, kubeconfig(self.url, ca.pair.certificate, pair))

    def etcd(self) -> Program:
        """The store, on the loopback interface alone."""
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self.etcd_peer_port}"
        return Program(
            "etcd",
            (
                "etcd",
                *flags(
                    name="default",
                    data_dir=self.data,
                    listen_client_urls=client,
                    advertise_client_urls=client,
                    listen_peer_urls=peer,
                    initial_advertise_peer_urls=peer,
                    initial_cluster=f"default={peer}",
                    log_level="warn",
                    logger="zap",
                    # A test cluster is small and short; fewer, cheaper snapshots.
                    snapshot_count=10000,
                ),
            ),
        )

    def api_server(self) -> Program:
        """The API server, with the aggregation layer and all default admission."""
        keys = self.keys
        return Program(
            "kube-apiserver",
            (
                str(self.binaries / "kube-apiserver"),
                *flags(
                    bind_address=self.address,
                    advertise_address=self.address,
                    secure_port=self.api_port,
                    etcd_servers=f"http://127.0.0.1:{self.etcd_port}",
                    service_cluster_ip_range=self.services,
                    authorization_mode="Node,RBAC",
                    enable_admission_plugins="NodeRestriction",
                    client_ca_file=keys.certificate("ca"),
                    tls_cert_file=keys.certificate("apiserver"),
                    tls_private_key_file=keys.key("apiserver"),
                    kubelet_certificate_authority=keys.certificate("ca"),
                    kubelet_client_certificate=keys.certificate("apiserver-kubelet"),
                    kubelet_client_key=keys.key("apiserver-kubelet"),
                    kubelet_preferred_address_types="InternalIP",
                    service_account_issuer="https://kubernetes.default.svc.cluster.local",
                    service_account_key_file=keys.key("service-accounts"),
                    service_account_signing_key_file=keys.key("service-accounts"),
                    requestheader_client_ca_file=keys.certificate("front-proxy-ca"),
                    requestheader_allowed_names="front-proxy-client",
                    requestheader_extra_headers_prefix="X-Remote-Extra-",
                    requestheader_group_headers="X-Remote-Group",
                    requestheader_username_headers="X-Remote-User",
                    proxy_client_cert_file=keys.certificate("front-proxy"),
                    proxy_client_key_file=keys.key("front-proxy"),
                    # It runs outside the Service network.
                    enable_aggregator_routing=self.routed,
                    profiling=False,
                    v=1,
                ),
            ),
        )

    def controller_manager(self, pods: str | None = None) -> Program:
        """The controllers; `pods` is the range of all pods where there are nodes."""
        keys = self.keys
        config = self.kubeconfig_of("controller-manager")
        return Program(
            "kube-controller-manager",
            (
                str(self.binaries / "kube-controller-manager"),
                *flags(
                    kubeconfig=config,
                    authentication_kubeconfig=config,
                    authorization_kubeconfig=config,
                    bind_address="127.0.0.1",
                    secure_port=self.controller_manager_port,
                    cert_dir=self.folder / "etc/controller-manager",
                    leader_elect=False,
                    controllers=_CONTROLLERS,
                    flex_volume_plugin_dir=self.folder / "etc/flex-volumes",
                    use_service_account_credentials=True,
                    service_account_private_key_file=keys.key("service-accounts"),
                    root_ca_file=keys.certificate("ca"),
                    cluster_signing_cert_file=keys.certificate("ca"),
                    cluster_signing_key_file=keys.key("ca"),
                    cluster_cidr=pods,
                    # Nodes come with their range: the plan fixes it.
                    allocate_node_cidrs=False,
                    horizontal_pod_autoscaler_sync_period="5s",
                    # A node that was cut off is noticed within seconds, so that a test can wait for it.
                    node_monitor_period="2s",
                    node_monitor_grace_period="20s",
                    profiling=False,
                    v=1,
                ),
            ),
        )

    def scheduler(self) -> Program:
        """The scheduler."""
        config = self.kubeconfig_of("scheduler")
        return Program(
            "kube-scheduler",
            (
                str(self.binaries / "kube-scheduler"),
                *flags(
                    kubeconfig=config,
                    authentication_kubeconfig=config,
                    authorization_kubeconfig=config,
                    bind_address="127.0.0.1",
                    secure_port=self.scheduler_port,
                    cert_dir=self.folder / "etc/scheduler",
                    leader_elect=False,
                    profiling=False,
                    v=1,
                ),
            ),
        )
