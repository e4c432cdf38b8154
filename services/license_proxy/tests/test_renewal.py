"""A licence file that changes is followed in place; what is not genuine changes nothing."""

from typing import Any

from license_token import PublicKeys, SigningKey


def limit(proxy: Any) -> Any:
    return proxy.get("/v1/license")["session_limit"]


def test_a_renewal_makes_a_failed_licence_ready_without_a_restart(site: Any) -> None:
    site.write_license(site.issuer.expired())
    proxy = site.start()
    assert proxy.state == "Failed"
    site.write_license(site.issuer.token(session_limit=5))
    site.eventually(lambda: proxy.state == "Ready", "the renewal is taken")
    assert limit(proxy) == 5
    assert proxy.process.poll() is None


def test_a_forged_replacement_is_refused_once_in_the_log_and_the_old_licence_stays(site: Any) -> None:
    site.write_license(site.issuer.token(session_limit=5))
    proxy = site.start()
    assert limit(proxy) == 5
    site.write_license(site.issuer.token(SigningKey.generate(), session_limit=5000))
    refusals = site.eventually(lambda: proxy.events("licence file not taken, the one in force stays"), "the refusal")
    assert (proxy.state, limit(proxy)) == ("Ready", 5)
    assert str(site.license_path) in refusals[0]["problem"]
    site.license_path.unlink()
    site.eventually(lambda: proxy.metric("license_proxy_license_replacements_refused_total") == 2, "the second refusal")
    site.write_license(site.issuer.token(session_limit=6))
    site.eventually(lambda: limit(proxy) == 6, "the renewal after the refusals")
    assert len(proxy.events("licence file not taken, the one in force stays")) == 2


def test_a_licence_of_a_new_key_is_taken_once_that_key_is_pinned(site: Any) -> None:
    proxy = site.start()
    assert proxy.state == "Ready"
    new = SigningKey.generate()
    site.write_license(site.issuer.token(new, session_limit=8))
    site.eventually(lambda: proxy.events("licence file not taken, the one in force stays"), "the refusal")
    both = PublicKeys((*site.issuer.key.public_keys().keys, *new.public_keys().keys))
    site.keys_path.write_text(both.to_json())
    site.eventually(lambda: limit(proxy) == 8, "the licence of the new key")


def test_a_mounted_secret_that_changes_by_swapping_links_is_followed(site: Any) -> None:
    for number in (1, 2):
        folder = site.root / f"..data_{number}"
        folder.mkdir()
        (folder / "license.jwt").write_text(site.issuer.token(session_limit=number))
    link, path = site.root / "..data", site.root / "mounted.jwt"
    link.symlink_to("..data_1")
    path.symlink_to("..data/license.jwt")
    proxy = site.start(LICENSE_FILE_PATH=str(path))
    assert limit(proxy) == 1
    swapped = site.root / "..data_tmp"
    swapped.symlink_to("..data_2")
    swapped.rename(link)
    site.eventually(lambda: limit(proxy) == 2, "the swapped Secret")
