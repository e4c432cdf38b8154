"""A volume outlives the pod that wrote to it."""

import secrets
from collections.abc import Mapping

import pytest
from live_namespace import LiveNamespace, until
from plain_stack import MANIFESTS

pytestmark = pytest.mark.kubernetes


def test_what_a_pod_wrote_to_its_volume_is_there_for_the_next(
    namespace: LiveNamespace, images: Mapping[str, str]
) -> None:
    token = secrets.token_hex(8)
    namespace.apply_file(MANIFESTS / "volume.yaml", APP="writer", **images)
    namespace.await_ready("writer")
    namespace.run_in("writer", "python", "-c", f"open('/kept/token', 'w').write('{token}')")
    namespace.core.delete_namespaced_pod("writer", namespace.name)
    until("the writer is gone", lambda: not namespace.everything("writer"), 60)
    namespace.apply_file(MANIFESTS / "volume.yaml", APP="reader", **images)
    namespace.await_ready("reader")
    assert namespace.run_in("reader", "cat", "/kept/token") == token
