"""What may be said of an unexpected exception: never its text, which can quote what a client said."""

import traceback

_DEEPEST = 12


def way_of(failure: BaseException) -> list[str]:
    """Files and lines from where it was caught to where it was raised, the last dozen, such as `session.py:120`."""
    frames = list(traceback.walk_tb(failure.__traceback__))[-_DEEPEST:]
    return [f"{frame.f_code.co_filename.rpartition('/')[2]}:{line}" for frame, line in frames]


def place_of(failure: BaseException) -> str:
    """File and line where it was raised, such as `session.py:120`; "unknown" without a traceback."""
    return (way_of(failure) or ["unknown"])[-1]
