"""The licence proxy starts with a genuine licence and with nothing else; it says in one line why not."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from license_proxy.ledger import FILE_NAME
from license_token import SigningKey


def unsigned(token: str) -> str:
    """The licence with `alg: none` and no signature."""
    return "eyJhbGciOiJub25lIn0." + token.split(".")[1] + "."


def as_folder(site: Any) -> None:
    site.license_path.unlink()
    site.license_path.mkdir()


def ledger_is_no_database(site: Any) -> None:
    (site.root / "state").mkdir()
    (site.root / "state" / FILE_NAME).write_bytes(b"x" * 4096)


# What is wrong, the file that must be named, what must be said of it.
REFUSED: dict[str, tuple[Callable[[Any], object], str, str]] = {
    "missing": (lambda site: site.license_path.unlink(), "license.jwt", "no such file"),
    "unreadable": (as_folder, "license.jwt", "Is a directory"),
    "empty": (lambda site: site.license_path.write_bytes(b""), "license.jwt", "empty"),
    "truncated": (lambda site: site.write_license(site.issuer.token()[:120]), "license.jwt", "not a JWT"),
    "forged": (lambda site: site.write_license(site.issuer.token(SigningKey.generate())), "license.jwt", "pinned"),
    "alg none": (lambda site: site.write_license(unsigned(site.issuer.token())), "license.jwt", "algorithm"),
    "state is a file": (lambda site: (site.root / "state").write_text("x"), "state", "STATE_DIR"),
    "ledger is no database": (ledger_is_no_database, FILE_NAME, "move the file aside"),
}


@pytest.fixture(scope="module")
def refused(make_site: Callable[[], Any]) -> dict[str, Any]:
    """A proxy for each case, all started at once."""
    sites = {name: make_site() for name in REFUSED}
    for name, (spoil, _, _) in REFUSED.items():
        spoil(sites[name])
        sites[name].start()
    return sites


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_start_with_is_one_line_that_names_the_path_and_the_remedy(
    refused: dict[str, Any], case: str
) -> None:
    site, (_, file, said) = refused[case], REFUSED[case]
    proxy = site.started[0]
    assert proxy.wait() == 1
    lines = proxy.log.splitlines()
    assert len(lines) == 1
    assert f"{site.root / file}" in lines[0] or f"{site.root / 'state' / file}" in lines[0]
    assert said in lines[0]
    assert "; " in lines[0]  # the remedy
    assert site.issuer.token().split(".")[1][:20] not in lines[0]
    assert json.loads(site.issuer.key.to_json())["d"] not in lines[0]


@pytest.mark.parametrize("variable", ["LICENSE_FILE_PATH", "LICENSE_PUBLIC_KEYS_PATH"])
def test_a_variable_that_is_not_set_is_named_and_no_secret_is_shown(site: Any, variable: str) -> None:
    proxy = site.start(unset=(variable,), USAGE_TRACKING_API_KEY="hush-hush")
    assert proxy.wait() == 1
    assert f"{variable} is not set" in proxy.log
    assert "hush-hush" not in proxy.log


def test_a_wrong_number_in_the_environment_is_named(site: Any) -> None:
    proxy = site.start(SERVER_PORT="eighty")
    assert proxy.wait() == 2
    assert "SERVER_PORT" in proxy.log


def test_a_port_that_is_taken_is_one_line(site: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy = site.start(SERVER_PORT=str(taken.getsockname()[1]))
        assert proxy.wait() == 1
        assert "SERVER_PORT" in proxy.log.splitlines()[-1]
