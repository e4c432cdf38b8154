"""Ninety seconds of silence in mid-stream; the clients are silent since the first test, so this comes last."""

import asyncio

import pytest


async def test_by_default_nginx_would_cut_a_silence_of_sixty_seconds(silences):
    code, seconds = await asyncio.to_thread(ended, silences["default"])
    assert code != "OK"
    assert 55 < seconds < 75


@pytest.mark.parametrize("dialect_name", ["static", "resolve"])
async def test_a_silence_of_ninety_seconds_cuts_nothing(dialect_name, silences):
    code, seconds = await asyncio.to_thread(ended, silences[dialect_name])
    assert code == "OK"
    assert seconds > 89


def ended(client):
    output, _ = client.communicate(timeout=150)
    code, seconds = output.split()
    return code, float(seconds)
