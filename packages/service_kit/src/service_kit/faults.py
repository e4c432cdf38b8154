"""What may be said of an unexpected exception: never its text, which can quote what a client said."""


def place_of(failure: BaseException) -> str:
    """File and line where it was raised, such as `session.py:120`; "unknown" without a traceback."""
    trace = failure.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "unknown"
