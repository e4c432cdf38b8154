"""How much disk and memory a cluster needs, and what is told where there is less."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_cluster import room
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import ClusterPlan, plan
from e2e_cluster.room import GIB, Need

README = Path(__file__).parents[1] / "README.md"


def need(folder: str, needed: float, *, device: int, free: float) -> Need:
    return Need(Path(folder), int(needed * GIB), folder.upper().strip("/"), device, int(free * GIB))


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        ([], ""),
        ([need("/a", 6, device=1, free=6)], ""),
        ([need("/a", 6, device=1, free=8), need("/b", 6, device=2, free=6)], ""),
        ([need("/a", 6, device=1, free=5.9)], "disk of /a: 5.9 GiB free, 6 needed; free some, or set A"),
        (
            [need("/a", 6, device=1, free=8), need("/c", 1, device=2, free=9), need("/b", 3, device=1, free=8)],
            "disk of /a, /b: 8 GiB free, 9 needed; free some, or set A or B",
        ),
    ],
)
def test_folders_of_one_disk_need_the_sum_of_what_each_needs(needs: list[Need], told: str) -> None:
    assert room.short_of_disk(needs) == told


@pytest.mark.parametrize(
    ("available", "told"),
    [
        (4 * GIB, ""),
        (64 * GIB, ""),
        (
            2 * GIB,
            "memory: 2 GiB available, 4 needed; stop what else runs, or give the machine or container more",
        ),
    ],
)
def test_too_little_memory_is_told_with_the_remedy(available: int, told: str) -> None:
    assert room.short_of_memory(available) == told


@pytest.mark.parametrize(
    ("limits", "available"),
    [
        ([], 8 * GIB),
        (["max\n"], 8 * GIB),
        (["9223372036854771712\n"], 8 * GIB),
        ([f"{3 * GIB}\n", "max\n"], 3 * GIB),
        ([f"{3 * GIB}\n", f"{2 * GIB}\n"], 2 * GIB),
    ],
)
def test_a_control_groups_limit_counts_where_it_is_less_than_what_the_machine_has(
    limits: list[str], available: int
) -> None:
    meminfo = f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable:    {8 << 20} kB\n"
    assert room.available_memory(meminfo, limits) == available


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        ("0::/\n", ["memory.max"]),
        ("0::/a/b\n", ["a/b/memory.max", "a/memory.max", "memory.max"]),
        (
            "4:memory:/a\n1:cpu:/x\n0::/\n",
            ["memory/a/memory.limit_in_bytes", "memory/memory.limit_in_bytes", "memory.max"],
        ),
    ],
)
def test_limits_are_looked_for_in_ones_own_control_group_and_above_it(cgroup: str, files: list[str]) -> None:
    assert [str(path.relative_to("/g")) for path in room.memory_limits(cgroup, Path("/g"))] == files


@pytest.fixture
def placed(tmp_path: Path) -> ClusterPlan:
    return replace(plan(environ={"HOME": "/home/u"}), state=tmp_path / "not/there/yet", cache=tmp_path / "cache")


def test_what_was_built_needs_no_room_again(placed: ClusterPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STATE_NEEDED", 0)
    for name in room.BUILDS_NEEDED:
        monkeypatch.setitem(room.BUILDS_NEEDED, name, 1 << 60)
    with pytest.raises(ClusterError, match=r"needed; free some, or set .*XDG_CACHE_HOME.*GOMODCACHE"):
        room.check(placed)
    kubelet = placed.cache / "binaries/kubelet-0123456789abcdef/kubelet"
    kubelet.parent.mkdir(parents=True)
    kubelet.touch()
    monkeypatch.setattr(room, "MEMORY_NEEDED", 0)
    room.check(placed)


def test_this_machines_own_disk_and_memory_are_asked(placed: ClusterPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BUILDS_NEEDED", {})
    monkeypatch.setattr(room, "STATE_NEEDED", 1 << 60)
    with pytest.raises(ClusterError, match=rf"^disk of {placed.state}: .*set XDG_STATE_HOME$"):
        room.check(placed)
    monkeypatch.setattr(room, "STATE_NEEDED", 0)
    monkeypatch.setattr(room, "MEMORY_NEEDED", 1 << 60)
    with pytest.raises(ClusterError, match=r"^memory: ") as told:
        room.check(placed)
    said = re.search(r"memory: ([\d.]+) GiB", str(told.value))
    assert said
    assert 0 < float(said[1]) * GIB <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_the_readme_tells_what_is_asked_for() -> None:
    whole = (room.STATE_NEEDED + sum(room.BUILDS_NEEDED.values())) // GIB
    told = " ".join(README.read_text().split())
    assert f"{room.MEMORY_NEEDED // GIB} GiB of memory" in told
    assert f"{room.STATE_NEEDED // GIB} GiB of disk ({whole} the first time" in told
