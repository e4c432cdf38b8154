"""While it runs the proxy says what the licence says, whatever its state, and ends when it is told to."""

import signal
from datetime import timedelta
from typing import Any

import pytest
from license_proxy.ledger import FILE_NAME, Ledger
from license_proxy.proxy import LAST_CHECK_IN


def test_a_good_licence_is_ready_and_tells_gateways_what_to_enforce(site: Any) -> None:
    site.write_license(site.issuer.token(models=("en-default",), session_limit=40))
    proxy = site.start()
    assert proxy.client.get("/health").status_code == 200
    assert proxy.get("/v1/status") == {"state": "Ready", "last_successful_checkin": None, "trust_expiration": None}
    told = proxy.get("/v1/license")
    assert told["expires_at"] == site.issuer.claims().expires_at.isoformat()
    del told["expires_at"]
    assert told == {
        "customer": "acme",
        "billing": "flat",
        "models": ["en-default"],
        "session_limit": 40,
        "trust_window_seconds": 345600,
        "development": True,
    }
    assert proxy.metric('license_proxy_license_state{state="Ready"}') == 1
    assert proxy.metric('license_proxy_license_state{state="Failed"}') == 0


def test_an_expired_licence_starts_failed_lives_and_still_takes_usage(site: Any, event: Any) -> None:
    site.write_license(site.issuer.expired())
    proxy = site.start()
    assert proxy.state == "Failed"
    assert proxy.client.get("/health").status_code == 200
    assert proxy.post(event()).json() == {"accepted": 1}


def test_a_licence_whose_time_has_not_come_starts_failed(site: Any) -> None:
    site.write_license(site.issuer.token(not_before=site.issuer.now + timedelta(days=2)))
    assert site.start().state == "Failed"


def test_a_licence_that_expires_while_running_fails_without_ending_the_process(site: Any) -> None:
    almost_over = site.issuer.now - timedelta(seconds=57)  # clocks may differ by 60 s
    site.write_license(site.issuer.token(issued_at=almost_over - timedelta(days=1), expires_at=almost_over))
    proxy = site.start()
    site.eventually(lambda: proxy.state == "Failed", "the licence expires")
    assert [record["reason"] for record in proxy.events("licence state")][-1] == "Expired"
    assert proxy.process.poll() is None


def test_the_last_check_in_survives_restarts(site: Any) -> None:
    ledger = Ledger(site.root / "state")
    ledger.remember(LAST_CHECK_IN, "2026-05-01T12:00:00+00:00")
    ledger.close()
    for _ in range(2):
        proxy = site.start()
        assert proxy.get("/v1/status")["last_successful_checkin"] == "2026-05-01T12:00:00+00:00"
        assert proxy.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to(site: Any, event: Any, number: signal.Signals) -> None:
    proxy = site.start()
    assert proxy.post(event()).status_code == 200
    proxy.process.send_signal(number)
    assert proxy.wait() == 0
    assert "Traceback" not in proxy.log
    assert [path.name for path in (site.root / "state").iterdir()] == [FILE_NAME]  # the write-ahead log is merged
