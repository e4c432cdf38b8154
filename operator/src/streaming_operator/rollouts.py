"""When the gateway's rollout waits: its old pods may drain for hours, and each takes its room with it. Pure."""

from streaming_operator.seen import Seen, Size


def must_wait(gateway: Seen | None, draining: int, most: int) -> bool:
    """Whether a rollout that is under way goes no further: more than `most` pods drain, whatever ended them."""
    if gateway is None or not isinstance(gateway.state, Size) or draining <= most:
        return False
    return not gateway.state.updated
