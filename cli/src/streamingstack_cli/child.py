"""Becomes another process that ends with its parent: `child.py FILE`, with nothing but the standard library.

FILE is JSON: {"argv": [...], "environment": {...}, "directory": "..."}; the environment is added to the inherited one.
With "sweeps": true what is left of its process group is killed once it has ended.
The command starts supervisord this way, and supervisord a stack's processes: whoever is killed, nothing stays behind.
"""

import contextlib
import ctypes
import json
import os
import select
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
    if wanted.get("sweeps"):
        _sweep_after_this()
    try:
        os.execvpe(wanted["argv"][0], wanted["argv"], {**os.environ, **wanted["environment"]})  # noqa: S606
    except OSError as failure:
        sys.exit(f"cannot start {wanted['argv'][0]}: {failure.strerror}")


def _sweep_after_this() -> None:
    """Leave a process behind that waits for the end of this one and kills the rest of its group."""
    os.setpgrp()
    group = os.getpid()
    leader = os.pidfd_open(group)
    if os.fork():
        os.close(leader)
        return
    os.setsid()  # out of the group that it ends
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # pipes of the supervisor, who waits for their end
        os.dup2(nothing, standard)
    select.select([leader], [], [])  # readable once it has ended
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
