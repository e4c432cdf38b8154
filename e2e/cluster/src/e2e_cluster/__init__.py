"""A real Kubernetes cluster for end-to-end tests, from package registries alone.

`python -m e2e_cluster up|down|status|load|door|api` is what people and the Makefile use. What code builds on:

- `plan.ClusterPlan`: names, addresses, ports and folders of one local cluster, pure; `plan.plan(name)` makes one.
- `door.Door`: all that an end-to-end test sees of a cluster: kubeconfig, ingress, `load(archives)`, `cut`, `restore`.
- `testing`: pytest fixtures (`pytest_plugins = ["e2e_cluster.testing"]`); `api_server` is a real API server alone.
- `api_server.start_api(folder)`: the same without pytest.
- `binaries.GoProgram` and `binaries.build(programs)`: Go programs, cached by content; `binaries.module_folder(...)`: a
  module's files in Go's module cache, for manifests that are taken from there.
- `addons.oci_archive`: a container image of a few files, as an archive that `load` reads.
- `tools.kubectl()`, `tools.helm()`: paths of the programs.
- `kubernetes_api.KubernetesApi(kubeconfig)`: `apply(documents)`, `kubectl(...)`, `get(...)`, `until(what, ...)`;
  its `reader` (`reading.Reader`) reads the same objects without kubectl, for what asks again and again.
- `installation`: Debian packages that are missing are installed, without starting their services.

How the addons join (`addons/__init__.py`): `up` of the local cluster calls, with a `local.Local`
(`plan`, `kubeconfig`, `ca` as a `certificates.Authority`, `calico` as the folder of the policy engine or None, `say`):

1. `addons.images(local) -> list[Path]`: archives to be loaded into every node, built before anything starts;
2. `addons.before_nodes(local)`: the API server is ready, no kubelet runs yet (CRDs and RBAC of the policy engine);
3. `addons.after_nodes(local)`: nodes are Ready and DNS answers, images are loaded; returns when the addons are ready;
4. `addons.describe(plan) -> dict`: what `Door` says of ingress: `ingress_address`, `http_port`, `https_port`,
   `gateway_class`, `gateway` ("namespace/name"), `ingress_class`, `storage_class`.

Each step must be idempotent and quick when there is nothing to do.
"""
