"""Becomes another process that ends with its parent: `child.py FILE`, with nothing but the standard library.

FILE is JSON: {"argv": [...], "environment": {...}, "directory": "..."}; the environment is added to the inherited one.
The command starts supervisord this way, and supervisord a stack's processes: whoever is killed, nothing stays behind.
"""

import ctypes
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then be the process."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the parent has ended")
    with open(sys.argv[1], encoding="utf-8") as file:
        wanted = json.load(file)
    os.chdir(wanted["directory"])
    try:
        os.execvpe(wanted["argv"][0], wanted["argv"], {**os.environ, **wanted["environment"]})  # noqa: S606
    except OSError as failure:
        sys.exit(f"cannot start {wanted['argv'][0]}: {failure.strerror}")


if __name__ == "__main__":
    main()
