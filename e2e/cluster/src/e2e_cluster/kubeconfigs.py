"""kubeconfig files, pure."""

import base64

import yaml

from e2e_cluster.certificates import Pair


def kubeconfig(server: str, ca: str, client: Pair, *, namespace: str = "default") -> str:
    """The text of a kubeconfig with one cluster, one user and everything inside it; PEM texts in, YAML out."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "clusters": [
                {"name": "e2e", "cluster": {"server": server, "certificate-authority-data": _encoded(ca)}},
            ],
            "users": [
                {
                    "name": "e2e",
                    "user": {
                        "client-certificate-data": _encoded(client.certificate),
                        "client-key-data": _encoded(client.key),
                    },
                }
            ],
            "contexts": [
                {"name": "e2e", "context": {"cluster": "e2e", "user": "e2e", "namespace": namespace}},
            ],
        },
        sort_keys=False,
    )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
