"""Objects read over HTTPS: what asks again and again until something holds would spend its time starting kubectl."""

import base64
import http.client
import json
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from e2e_cluster.errors import ClusterError

# All kinds of all groups at once, in place of a request for each group.
AGGREGATED_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SECONDS = 30
# HTTPException: a connection that broke in the middle of an answer.
_NO_ANSWER = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Resource:
    """How one kind of object is addressed."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """Of one object, or of all without a name."""
        root = "apis" if "/" in self.api_version else "api"
        within = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"/{root}/{self.api_version}{within}/{self.plural}" + (f"/{name}" if name else "")


class Reader:
    """Reads what an API server holds, as the user of a kubeconfig with a client certificate.

    Kinds are named as kubectl names them: `pods`, `pod`, `po`, `deployments.apps`.
    """

    def __init__(self, kubeconfig: Path) -> None:
        """Nothing is asked yet."""
        self._kubeconfig = kubeconfig
        self._resources: dict[str, Resource] = {}

    @property
    def server(self) -> str:
        """Its URL."""
        return str(self._config["clusters"][0]["cluster"]["server"])

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """What trusts the server and shows it the user's certificate."""
        ca = base64.b64decode(self._config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        user = self._config["users"][0]["user"]
        context = ssl.create_default_context(cadata=ca)
        if "client-certificate-data" in user:
            # The standard library reads client certificates from files alone.
            with tempfile.NamedTemporaryFile("wb") as pair:
                for part in ("client-key-data", "client-certificate-data"):
                    pair.write(base64.b64decode(user[part]))
                pair.flush()
                context.load_cert_chain(pair.name)
        return context

    def one(self, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        """One object, None where there is none. ClusterError where the server does not answer or refuses."""
        return self.read(self._resource(kind).path(namespace, name))

    def all(self, namespace: str, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of one kind with these labels. ClusterError as of `one`."""
        resource = self._resource(kind)
        query = f"?{urllib.parse.urlencode({'labelSelector': selector})}" if selector else ""
        found = self.read(resource.path(namespace) + query) or {"items": []}
        # Those of a list say neither what they are nor of which version.
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in found["items"]]

    def answers(self, path: str) -> bool:
        """Whether the server has something at this path now."""
        try:
            with self._open(path, seconds=5):
                return True
        except _NO_ANSWER:
            return False

    def read(self, path: str, accept: str = "application/json") -> dict[str, Any] | None:
        """What the server has at a path, in that form; None where it has nothing. ClusterError as of `one`."""
        try:
            with self._open(path, accept) as answer:
                read: dict[str, Any] = json.load(answer)
                return read
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise ClusterError(f"GET {path}: {error.code} {error.read(600).decode(errors='replace')}") from error
        except _NO_ANSWER as error:
            raise ClusterError(f"GET {path}: {error}") from error

    def _resource(self, kind: str) -> Resource:
        if kind not in self._resources:
            self._resources = _named(self.read(root, AGGREGATED_DISCOVERY) or {} for root in ("/apis", "/api"))
        if kind not in self._resources:
            raise ClusterError(f"the API server knows no {kind!r}")
        return self._resources[kind]

    def _open(self, path: str, accept: str = "*/*", seconds: float = _SECONDS) -> Any:
        request = urllib.request.Request(self.server + path, headers={"Accept": accept})
        return self._opener.open(request, timeout=seconds)

    @cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        # Clusters of this machine are behind no proxy, whatever the environment says.
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)
        )

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = yaml.safe_load(self._kubeconfig.read_text())
        return config


def _named(discoveries: Iterable[Mapping[str, Any]]) -> dict[str, Resource]:
    """Each resource in its group's preferred version, by all of its names. Of one name in several groups the last is
    meant, so that the core's discovery goes last."""
    found: dict[str, Resource] = {}
    for group in (group for discovery in discoveries for group in discovery.get("items", ())):
        name = group["metadata"].get("name", "")
        # The first is the preferred one; what only a later one has is in that.
        for version in reversed(group["versions"]):
            api_version = f"{name}/{version['version']}" if name else version["version"]
            for each in version.get("resources", ()):
                found |= _by_name(each, name, api_version)
    return found


def _by_name(resource: Mapping[str, Any], group: str, api_version: str) -> dict[str, Resource]:
    made = Resource(
        api_version, resource["responseKind"]["kind"], resource["resource"], resource["scope"] == "Namespaced"
    )
    short = [name for name in (made.plural, resource.get("singularResource"), *resource.get("shortNames", ())) if name]
    return dict.fromkeys(short + [f"{name}.{group}" for name in short if group], made)
