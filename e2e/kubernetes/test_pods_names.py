"""nginx follows the names of headless services while pods come and go."""

import pytest
from live_namespace import LiveNamespace, until
from plain_stack import RECOGNISERS, STARTUP_SECONDS, PlainStack

pytestmark = pytest.mark.kubernetes
# DNS answers are believed for 2 s; the rest is a busy machine.
FOLLOWED_SECONDS = 30.0


def test_nginx_finds_recognisers_that_come_and_forgets_those_that_go(
    namespace: LiveNamespace, stack: PlainStack
) -> None:
    with namespace.forwarded("deployment/asr-lb", 50051) as port:

        def follows() -> bool:
            return stack.reached(port) == stack.recogniser_addresses()

        until("streams reach both recognisers", follows, FOLLOWED_SECONDS)
        namespace.scale(RECOGNISERS, 1)
        namespace.await_ready(RECOGNISERS, 1)
        until("streams reach the one that stayed, and no other", follows, FOLLOWED_SECONDS)
        before = stack.recogniser_addresses()
        namespace.scale(RECOGNISERS, 2)
        namespace.await_ready(RECOGNISERS, 2, STARTUP_SECONDS)
        until("streams reach the new one too", follows, FOLLOWED_SECONDS)
        assert before < stack.reached(port)
