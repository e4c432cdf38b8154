"""The operator takes the metrics adapter's registration away when nobody answers, and no other registration ever."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from streaming_operator import names
from streaming_operator.api_server import ApiServer
from streaming_operator.withdrawal import PATIENCE, Withdrawal

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - PATIENCE


def _registration(available: str = "False", since: datetime = LONG_AGO, **changed: Any) -> dict[str, Any]:
    condition = {"type": "Available", "status": available, "lastTransitionTime": since.isoformat(), "message": "away"}
    labels = {names.MANAGED_BY: changed.pop("manager", names.METRICS_ADAPTER)}
    return {
        "metadata": {"name": names.METRICS_API, "uid": "7", "labels": labels, **changed.pop("metadata", {})},
        "spec": {"service": changed.pop("service", {"namespace": "system", "name": "adapter"})},
        "status": {"conditions": [condition]},
    }


CASES: list[tuple[str, dict[str, Any] | None, bool]] = [
    ("away for long enough", _registration(), True),
    ("away for a moment", _registration(since=NOW - PATIENCE + timedelta(seconds=1)), False),
    ("it answers", _registration("True"), False),
    ("nobody has looked yet", _registration() | {"status": {}}, False),
    ("somebody else's", _registration(manager="Helm"), False),
    ("an adapter of another release", _registration(service={"namespace": "other", "name": "adapter"}), False),
    ("served by the API server itself", _registration(service=None), False),
    ("on its way out", _registration(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), False),
    ("there is none", None, False),
]


@pytest.mark.parametrize(("why", "found", "withdrawn"), CASES, ids=[case[0] for case in CASES])
async def test_a_registration_that_leads_nowhere_is_withdrawn(
    why: str, found: dict[str, Any] | None, withdrawn: bool
) -> None:
    deleted: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == f"/apis/apiregistration.k8s.io/v1/apiservices/{names.METRICS_API}"
        if request.method == "DELETE":
            deleted.append(json.loads(request.content))
            return httpx2.Response(200, json={})
        return httpx2.Response(200, json=found) if found else httpx2.Response(404, json={"code": 404})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://api") as http:
        await Withdrawal(ApiServer(http), "system", lambda: NOW).look()
    assert [options["preconditions"] for options in deleted] == ([{"uid": "7"}] if withdrawn else []), why
