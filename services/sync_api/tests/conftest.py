"""A whole sync API before a scripted recogniser, and a licence proxy."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from scripted_sync_api import Stack, scripted_sync_api
from stand_in_proxy import Proxy, stand_in_proxy


@pytest.fixture
def stack() -> Any:
    """`async with stack(script, models=..., capacity=..., **settings) as running: ...`."""
    return scripted_sync_api


@pytest.fixture
async def plain_stack() -> AsyncIterator[Stack]:
    """A sync API with the default script and settings."""
    async with scripted_sync_api() as running:
        yield running


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A licence proxy that says what a test wants."""
    async with stand_in_proxy() as made:
        yield made
