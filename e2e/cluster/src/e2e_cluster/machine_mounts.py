"""Mounts that programs make on the machine wherever they run: `down` takes away those that `up` did not find."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil

# `ip netns add` makes it.
SHARED = (Path("/run/netns"),)


def absent() -> list[Path]:
    """Which of `SHARED` are not mounted."""
    mounted = _mounted()
    return [point for point in SHARED if str(point) not in mounted]


def take_away(points: Iterable[Path]) -> None:
    """Unmount those that nobody uses: a point that holds anything stays."""
    for point in points:
        if str(point) in _mounted() and not any(point.iterdir()):
            subprocess.run(["umount", str(point)], capture_output=True, check=False)


def _mounted() -> set[str]:
    # Not `Path.is_mount`: it takes a folder that is mounted on itself, as that of namespaces, for none.
    return {partition.mountpoint for partition in psutil.disk_partitions(all=True)}


def keep(file: Path) -> None:
    """Write to `file` which are not mounted now, unless it is there from an earlier time."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([str(point) for point in absent()]))


def put_back(file: Path) -> None:
    """Take away those that `file` names; nothing without one."""
    if file.exists():
        take_away(Path(point) for point in json.loads(file.read_text()))
