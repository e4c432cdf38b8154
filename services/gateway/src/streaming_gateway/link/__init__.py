"""A session's way to words, over however many recogniser streams it takes."""

from streaming_gateway.link.api import (
    BacklogDroppedError,
    BudgetSpentError,
    Hearing,
    LinkLostError,
    LinkRequest,
    NoCapacityError,
    UnknownModelError,
)
from streaming_gateway.link.link import RecognizerLink
from streaming_gateway.link.orders import MOST_ORDERS
from streaming_gateway.link.recognizers import Recognizers
from streaming_gateway.link.settings import LinkSettings

__all__ = [
    "MOST_ORDERS",
    "BacklogDroppedError",
    "BudgetSpentError",
    "Hearing",
    "LinkLostError",
    "LinkRequest",
    "LinkSettings",
    "NoCapacityError",
    "RecognizerLink",
    "Recognizers",
    "UnknownModelError",
]
