"""Which metrics are served, of which pods, and which series of those pods they come from. Pure."""

from dataclasses import dataclass

from streaming_operator import names


@dataclass(frozen=True)
class Part:
    """One kind of pod that carries load. Series are those of its own metrics, a counter's with `_total`.

    `crowded` are the reasons of a refusal that another pod would have spared the client: only they are demand. A wrong
    key or a licence at its limit is none.
    """

    component: str
    wanted: str
    active: str
    capacity: str
    refused: str
    draining: str
    crowded: frozenset[str]


GATEWAY = Part(
    component=names.GATEWAY,
    wanted=names.GATEWAY_LOAD,
    active="streaming_gateway_sessions_active",
    capacity="streaming_gateway_sessions_capacity",
    refused="streaming_gateway_sessions_refused_total",
    draining="streaming_gateway_draining",
    # Its places, and its memory for held audio; full recognisers are the pool's demand and not the gateway's.
    crowded=frozenset({"capacity", "budget"}),
)
ASR = Part(
    component=names.ASR,
    wanted=names.ASR_LOAD,
    active="streaming_asr_streams_active",
    capacity="streaming_asr_streams_capacity",
    refused="streaming_asr_streams_refused_total",
    draining="streaming_asr_draining",
    crowded=frozenset({"full"}),
)
PARTS = {part.component: part for part in (GATEWAY, ASR)}
# By the name that is asked for.
METRICS = {name: part for part in PARTS.values() for name in (part.wanted, part.active, part.capacity)}
