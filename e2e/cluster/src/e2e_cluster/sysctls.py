"""Settings of the machine's kernel that kubelet changes: kept by `up`, put back by `down`."""

import json
from pathlib import Path

# What kubelet's container manager writes, and no namespace hides.
CHANGED = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_ROOT = Path("/proc/sys")


def keep(file: Path) -> None:
    """Write the values of now to `file`, unless it is there from an earlier time."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({name: (_ROOT / name).read_text().strip() for name in CHANGED}, indent=2))


def put_back(file: Path) -> None:
    """Give the settings the values that `file` has; nothing without one."""
    if not file.exists():
        return
    for name, value in json.loads(file.read_text()).items():
        if name in CHANGED and (_ROOT / name).read_text().strip() != value:
            (_ROOT / name).write_text(value)
