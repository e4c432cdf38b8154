"""A real API server that judges StreamingStacks by our definition."""

import time
from collections.abc import Iterator

import httpx2
import pytest
from e2e_cluster.api_server import ApiServer
from e2e_cluster.reading import Reader
from stack_model.crd import NAME, PLURAL, definition_yaml

from .crd_cases import WHOLE, Document, changed


class Judge:
    """A real API server with our definition; nothing that it judges is stored."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def refusal(self, document: Document) -> str | None:
        """Why the object is refused; None where it is accepted."""
        answer = self.client.post(
            f"/apis/streamingstack.dev/v1alpha1/namespaces/default/{PLURAL}",
            params={"dryRun": "All", "fieldValidation": "Strict", "fieldManager": "rules"},
            json=document,
        )
        if answer.status_code == 201:
            return None
        # Plain text where the kind is not served yet.
        told = answer.headers["Content-Type"].startswith("application/json")
        return str(answer.json()["message"]) if told else answer.text

    def define(self) -> None:
        """Server-side apply of the definition, and wait until it is in force."""
        answer = self.client.patch(
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}",
            params={"fieldManager": "rules", "force": "true"},
            content=definition_yaml().encode(),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        assert answer.status_code in (200, 201), answer.text
        newest = changed({"spec.tls": {"internal": {"secretName": "tls"}}})
        deadline = time.monotonic() + 60
        while "tls.internal.secretName" not in (self.refusal(newest) or "") or self.refusal(WHOLE):
            assert time.monotonic() < deadline, self.refusal(WHOLE)
            time.sleep(0.1)


@pytest.fixture(scope="session")
def judge(api_server: ApiServer) -> Iterator[Judge]:
    server = Reader(api_server.kubeconfig)
    with httpx2.Client(base_url=server.server, verify=server.tls, trust_env=False, timeout=30) as client:
        judge = Judge(client)
        judge.define()
        yield judge
