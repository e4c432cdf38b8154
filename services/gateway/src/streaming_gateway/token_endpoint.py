"""`GET /v3/token`: a temporary token for who has a key, so that browsers need none; its errors are the cloud's."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streaming_gateway.auth import Authenticator, credential
from streaming_gateway.problems import Problem

Answer = tuple[HTTPStatus, dict[str, Any]]


class _Wanted(BaseModel):
    """The query, in seconds; what else is in it is ignored."""

    model_config = ConfigDict(extra="ignore")

    expires_in_seconds: int = Field(ge=1, le=600)
    max_session_duration_seconds: int = Field(default=10_800, ge=60, le=10_800)


def token_answer(auth: Authenticator, query: str, authorization: Sequence[str]) -> Answer:
    """Status and body. `authorization` are the values of all Authorization headers."""
    if not auth.makes_tokens:
        return HTTPStatus.NOT_IMPLEMENTED, {"error": "this gateway makes no tokens: set TOKEN_SECRET_FILE"}
    missing = [] if authorization else [_problem("missing", ["header", "authorization"], "Field required", None)]
    try:
        wanted = _Wanted.model_validate(dict(parse_qsl(query, keep_blank_values=True)))
    except ValidationError as refused:
        return _unprocessable([*map(_of_query, refused.errors(include_url=False)), *missing])
    if missing:
        return _unprocessable(missing)
    try:
        token = auth.token(
            credential(authorization, None),
            lifetime_seconds=wanted.expires_in_seconds,
            session_seconds=wanted.max_session_duration_seconds,
        )
    except Problem as refused:
        return HTTPStatus.UNAUTHORIZED, {"error": refused.text}
    return HTTPStatus.OK, {"token": token, "expires_in_seconds": wanted.expires_in_seconds}


def _unprocessable(detail: list[dict[str, Any]]) -> Answer:
    return HTTPStatus.UNPROCESSABLE_ENTITY, {"detail": detail}


def _of_query(error: Any) -> dict[str, Any]:
    given = None if error["type"] == "missing" else error["input"]
    found = _problem(error["type"], ["query", *error["loc"]], error["msg"], given)
    return {**found, "ctx": error["ctx"]} if "ctx" in error else found


def _problem(kind: str, place: list[str], message: str, given: Any) -> dict[str, Any]:
    return {"type": kind, "loc": place, "msg": message, "input": given}
