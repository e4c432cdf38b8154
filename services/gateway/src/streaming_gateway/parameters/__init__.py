"""What a client may ask for, in the query and in mid-session, and what it gets."""

from streaming_gateway.parameters.model import ConnectParameters, Tunable, read_query, read_update
from streaming_gateway.parameters.presets import Universal3Defaults
from streaming_gateway.parameters.session_config import API_VERSION, SessionConfig, resolve

__all__ = [
    "API_VERSION",
    "ConnectParameters",
    "SessionConfig",
    "Tunable",
    "Universal3Defaults",
    "read_query",
    "read_update",
    "resolve",
]
