"""A licence is accepted whole, genuine and in time, or it is refused with the reason."""

import base64
import json
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from license_token import (
    Billing,
    Claims,
    KeyFileInvalid,
    LicenseError,
    LicenseExpired,
    LicenseForged,
    LicenseMalformed,
    LicenseNotYetValid,
    LicenseWrongAudience,
    PublicKeys,
    SigningKey,
    development_claims,
    issue,
    unverified_claims,
    verify,
    verify_genuine,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KEY = SigningKey.generate()
OTHER = SigningKey.generate()
KEYS = KEY.public_keys()
CLAIMS = development_claims("acme", NOW)
TOKEN = issue(CLAIMS, KEY.private_key, KEY.key_id)
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(document: object) -> str:
    return b64(json.dumps(document).encode())


def signed(payload: dict[str, Any], **header: Any) -> str:
    return jwt.PyJWS().encode(
        json.dumps(payload).encode(), KEY.private_key, algorithm="EdDSA", headers={"kid": KEY.key_id} | header
    )


def with_claims(**changed: Any) -> str:
    """A token that our own key signed, with some claims other than usual; None leaves a claim out."""
    return signed({name: value for name, value in (CLAIMS.payload() | changed).items() if value is not None})


def jwks(*entries: dict[str, Any]) -> PublicKeys:
    return PublicKeys.from_json(json.dumps({"keys": entries}))


def test_an_issued_licence_verifies_to_the_same_claims() -> None:
    assert verify(TOKEN, KEYS, NOW) == CLAIMS


@given(
    customer=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64).filter(str.strip),
    models=st.one_of(st.just("*"), st.lists(st.sampled_from(["en-default", "ml-default", "u3-pro"]), min_size=1)),
    session_limit=st.none() | st.integers(1, 10**6),
    billing=st.sampled_from(Billing),
    trust=st.integers(0, 10**8),
    begins=st.integers(0, 10**9),
    lasts=st.integers(1, 10**9),
)
def test_any_claims_survive_the_way_through_a_token(
    customer: str, models: Any, session_limit: int | None, billing: Billing, trust: int, begins: int, lasts: int
) -> None:
    issued_at = datetime.fromtimestamp(begins, UTC)
    claims = Claims(
        license_id="1",
        issuer="i",
        audience="streamingstack",
        customer=customer,
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=lasts),
        billing=billing,
        models=models if models == "*" else tuple(models),
        session_limit=session_limit,
        trust_window_seconds=trust,
    )
    assert verify(issue(claims, KEY.private_key, KEY.key_id), KEYS, issued_at) == claims


def test_every_single_character_changed_anywhere_in_a_token_is_refused() -> None:
    alphabet = string.ascii_letters + string.digits + "-_"
    for at, character in enumerate(TOKEN):
        for other in (alphabet[(alphabet.find(character) + 1) % 64], "=", ".", "!"):
            if other != character:
                with pytest.raises((LicenseForged, LicenseMalformed)):
                    verify(TOKEN[:at] + other + TOKEN[at + 1 :], KEYS, NOW)


def test_every_byte_of_the_payload_flipped_is_forged() -> None:
    header, payload, signature = TOKEN.split(".")
    clear = base64.urlsafe_b64decode(payload + "==")
    for at in range(len(clear)):
        changed = bytearray(clear)
        changed[at] ^= 1
        with pytest.raises(LicenseForged):
            verify(f"{header}.{b64(bytes(changed))}.{signature}", KEYS, NOW)


def test_every_truncation_is_refused() -> None:
    for length in range(len(TOKEN)):
        with pytest.raises((LicenseForged, LicenseMalformed)):
            verify(TOKEN[:length], KEYS, NOW)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{0,60}"))
@settings(max_examples=300)
def test_any_text_is_refused_by_a_licence_error_and_by_nothing_else(text: str) -> None:
    with pytest.raises(LicenseError):
        verify(text, KEYS, NOW)


@pytest.mark.parametrize("text", ["[" * 9000, '{"a":' * 2000, "1", "null", '"x"', "{}"])
def test_json_made_to_break_parsers_is_refused(text: str) -> None:
    for token in (f"{b64(text.encode())}.e30.AA", f"{TOKEN.split('.')[0]}.{b64(text.encode())}.AA"):
        with pytest.raises((LicenseMalformed, LicenseForged)):
            verify(token, KEYS, NOW)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, ["EdDSA"], "HS256", "HS512", "ES384"])
@pytest.mark.parametrize("signature", ["", "AA", TOKEN.split(".")[2]], ids=["none", "short", "another licence's"])
def test_an_algorithm_that_is_not_allowed_is_forged(algorithm: Any, signature: str) -> None:
    with pytest.raises((LicenseForged, LicenseMalformed)) as refused:
        verify(f"{part({'alg': algorithm, 'kid': KEY.key_id})}.{part(CLAIMS.payload())}.{signature}", KEYS, NOW)
    if algorithm and isinstance(algorithm, str):
        assert isinstance(refused.value, LicenseForged)


def secrets_of_the_public_key() -> dict[str, bytes]:
    """Everything an attacker could take for the secret of an HMAC when all they have is the public key."""
    public: Ed25519PublicKey = KEY.private_key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"raw": public.public_bytes_raw(), "pem": pem, "jwks": KEYS.to_json().encode()}


@pytest.mark.parametrize("secret", secrets_of_the_public_key().values(), ids=secrets_of_the_public_key().keys())
@pytest.mark.parametrize("named", ["HS256", "EdDSA", "RS256"])
def test_a_mac_made_with_the_public_key_as_its_secret_is_forged(secret: bytes, named: str) -> None:
    signing_input = f"{part({'alg': named, 'typ': 'JWT', 'kid': KEY.key_id})}.{part(CLAIMS.payload())}"
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(signing_input.encode())
    with pytest.raises(LicenseForged):
        verify(f"{signing_input}.{b64(mac.finalize())}", KEYS, NOW)


@pytest.mark.parametrize("key_id", [OTHER.key_id, KEY.key_id, None], ids=["its own", "the pinned", "none"])
def test_a_licence_signed_by_another_key_is_forged_whatever_key_it_names(key_id: str | None) -> None:
    token = jwt.PyJWS().encode(
        json.dumps(CLAIMS.payload()).encode(), OTHER.private_key, "EdDSA", headers={"kid": key_id} if key_id else None
    )
    with pytest.raises(LicenseForged):
        verify(token, KEYS, NOW)


def test_a_licence_without_a_key_id_is_tried_with_every_pinned_key() -> None:
    token = jwt.PyJWS().encode(json.dumps(CLAIMS.payload()).encode(), KEY.private_key, "EdDSA")
    both = PublicKeys((*OTHER.public_keys().keys, *KEYS.keys))
    assert verify(token, both, NOW) == CLAIMS


@pytest.mark.parametrize(
    ("algorithm", "private_key", "entry"),
    [
        ("RS256", RSA_KEY, RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)),
        ("ES256", EC_KEY, ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True)),
    ],
)
def test_rs256_and_es256_are_accepted_from_keys_of_their_kind(algorithm: str, private_key: Any, entry: Any) -> None:
    entry = {name: entry[name] for name in entry if name != "key_ops"}
    token = jwt.PyJWS().encode(json.dumps(CLAIMS.payload()).encode(), private_key, algorithm, headers={"kid": "k"})
    assert verify(token, jwks(entry | {"kid": "k"}), NOW) == CLAIMS
    with pytest.raises(LicenseForged):
        verify(token, KEYS, NOW)


@pytest.mark.parametrize("audience", ["other-product", "StreamingStack", "streamingstack2"])
def test_a_licence_for_another_product_is_refused(audience: str) -> None:
    with pytest.raises(LicenseWrongAudience, match="streamingstack"):
        verify(with_claims(aud=audience), KEYS, NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in ("jti", "iss", "aud", "sub", "iat", "exp", "billing", "models")),
        ("exp", "tomorrow"), ("exp", True), ("exp", -1), ("exp", 1e30), ("exp", 0), ("exp", [1]), ("nbf", "x"),
        ("sub", ""), ("sub", "   "), ("sub", 7), ("aud", ["streamingstack", "other"]),
        ("billing", "free"), ("models", []), ("models", ""), ("models", "en-default"), ("models", [1]),
        ("models", [""]),
        ("session_limit", 0), ("session_limit", -1), ("session_limit", "5"), ("session_limit", 1.5),
        ("session_limit", True), ("trust_window_seconds", -1), ("trust_window_seconds", 1e30),
        ("development", "yes"),
    ],
)  # fmt: skip
def test_a_signed_licence_with_a_claim_that_makes_no_sense_names_the_claim(name: str, value: Any) -> None:
    with pytest.raises(LicenseMalformed) as refused:
        verify(with_claims(**{name: value}), KEYS, NOW)
    assert name in str(refused.value) or name == "exp"


def test_claims_of_a_newer_issuer_are_ignored() -> None:
    assert verify(with_claims(region="eu"), KEYS, NOW) == CLAIMS


AT_EXPIRY = CLAIMS.expires_at - NOW
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("after", "leeway", "refused"),
    [
        (timedelta(0), timedelta(0), None),
        (AT_EXPIRY - timedelta(seconds=1), timedelta(0), None),
        (AT_EXPIRY, timedelta(0), LicenseExpired),
        (AT_EXPIRY, MINUTE, None),
        (AT_EXPIRY + MINUTE - timedelta(seconds=1), MINUTE, None),
        (AT_EXPIRY + MINUTE, MINUTE, LicenseExpired),
        (timedelta(seconds=-1), timedelta(0), LicenseNotYetValid),
        (-MINUTE, MINUTE, None),
        (-MINUTE - timedelta(seconds=1), MINUTE, LicenseNotYetValid),
        (timedelta(days=365 * 50), MINUTE, LicenseExpired),
        (timedelta(days=-365 * 50), MINUTE, LicenseNotYetValid),
    ],
)
def test_a_licence_is_valid_from_its_start_until_its_end_give_or_take_the_clocks(
    after: timedelta, leeway: timedelta, refused: type[LicenseExpired | LicenseNotYetValid] | None
) -> None:
    if refused is None:
        assert verify(TOKEN, KEYS, NOW + after, leeway) == CLAIMS
        return
    with pytest.raises(refused) as error:
        verify(TOKEN, KEYS, NOW + after, leeway)
    assert isinstance(error.value, LicenseExpired | LicenseNotYetValid)
    assert error.value.claims == CLAIMS


@given(st.datetimes(timezones=st.just(UTC)))
def test_no_clock_however_wrong_breaks_verification(now: datetime) -> None:
    try:
        claims = verify(TOKEN, KEYS, now)
    except (LicenseExpired, LicenseNotYetValid) as error:
        claims = error.claims
    assert claims == CLAIMS


def test_not_before_moves_the_start() -> None:
    token = with_claims(nbf=int((NOW + timedelta(days=3)).timestamp()))
    assert verify_genuine(token, KEYS).valid_from == NOW + timedelta(days=3)
    with pytest.raises(LicenseNotYetValid):
        verify(token, KEYS, NOW)


def test_a_forged_licence_that_is_also_expired_is_forged() -> None:
    token = issue(CLAIMS, OTHER.private_key, OTHER.key_id)
    with pytest.raises(LicenseForged):
        verify(token, KEYS, CLAIMS.expires_at + timedelta(days=1))


@pytest.mark.parametrize(
    "token",
    [TOKEN[:-3], TOKEN[:40], "x", with_claims(sub=7), with_claims(aud="x")],
    ids=["cut short", "its head", "a letter", "a wrong claim", "another audience"],
)
def test_no_error_repeats_any_of_the_token(token: str) -> None:
    with pytest.raises(LicenseError) as refused:
        verify(token, KEYS, NOW)
    parts = [piece for piece in token.split(".") if len(piece) > 8]
    assert not any(piece[:12] in str(refused.value) for piece in parts)
    assert refused.value.remedy in str(refused.value)


def test_claims_can_be_shown_without_trusting_them() -> None:
    assert unverified_claims(issue(CLAIMS, OTHER.private_key, OTHER.key_id))["sub"] == "acme"


@pytest.mark.parametrize(
    ("models", "asked", "covered"),
    [("*", "anything", True), (("en-default",), "en-default", True), (("en-default",), "u3-pro", False)],
)
def test_a_licence_covers_the_models_it_names(models: Any, asked: str, covered: bool) -> None:
    assert CLAIMS.model_copy(update={"models": models}).covers(asked) is covered


def private_jwk() -> dict[str, Any]:
    jwk: dict[str, Any] = json.loads(KEY.to_json())
    return jwk


def small_rsa() -> dict[str, Any]:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return RSAAlgorithm.to_jwk(small.public_key(), as_dict=True)


PUBLIC = json.loads(KEYS.to_json())["keys"][0]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "not JSON"), ("[" * 100_000, "not JSON"), ("[]", "keys"), ("{}", "keys"), ('{"keys": []}', "keys"),
        ({"keys": [7]}, "keys[0]"), ({"keys": [PUBLIC, {"kty": "oct", "k": "c2VjcmV0"}]}, "keys[1]"),
        ({"keys": [private_jwk()]}, "private"), ({"keys": [small_rsa()]}, "2048"),
        ({"keys": [PUBLIC | {"alg": "HS256"}]}, "keys[0]"), ({"keys": [PUBLIC | {"use": "enc"}]}, "EdDSA"),
        ({"keys": [PUBLIC | {"x": "AA"}]}, "keys[0]"), ({"keys": [{"kty": "OKP"}]}, "keys[0]"),
        ({"keys": [PUBLIC | {"crv": "Ed448"}]}, "keys[0]"), ({"keys": [PUBLIC | {"kid": 7}]}, "kid"),
    ],
)  # fmt: skip
def test_public_keys_that_cannot_be_trusted_are_refused_with_the_place(document: Any, said: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(KeyFileInvalid) as refused:
        PublicKeys.from_json(text)
    assert said in str(refused.value)
    assert private_jwk()["d"] not in str(refused.value)
