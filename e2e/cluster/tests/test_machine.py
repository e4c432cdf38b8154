"""What is asked of the machine, and how what is missing is told."""

import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from e2e_cluster import binaries, installation, machine_mounts, preflight, sysctls, teardown
from e2e_cluster.errors import ClusterError
from e2e_cluster.loading import images_of, missing
from e2e_cluster.plan import ClusterPlan, plan
from e2e_cluster.programs import Program


@pytest.mark.parametrize(
    ("effective", "missing"),
    [
        ("000001ffffffffff", []),
        ("000001fffeffffff", []),
        ("00000000a80425fb", ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]),
        ("0000000000000000", ["CAP_NET_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_ADMIN", "CAP_MKNOD"]),
    ],
)
def test_missing_capabilities_are_named(effective: str, missing: list[str]) -> None:
    assert preflight.missing_capabilities(f"Name:\tx\nCapEff:\t{effective}\n") == missing


# What the kernel refuses, by a piece of the command that asks for it, and what is then told.
REFUSED = {
    "netns add": "network namespaces are not allowed",
    "type bridge": "the kernel has no bridges",
    "type veth": "the kernel has no veth",
    "add table": "the kernel has no nftables with NAT",
    "-t overlay": "no overlay mounts on .*set XDG_STATE_HOME",
}


@dataclass
class Kernel:
    """Programs on PATH that refuse what `refused` is a piece of, and write down what they were asked."""

    folder: Path

    def plan(self) -> ClusterPlan:
        return replace(plan(environ={"HOME": "/home/u"}), state=self.folder / "state")

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def refuses(self, refused: str) -> None:
        told = f"case \"$(basename $0) $*\" in *'{refused}'*) echo first >&2; echo 'not permitted' >&2; exit 2;; esac"
        for name in ("ip", "nft", "mount", "umount"):
            self._put(name, f"echo $(basename $0) $* >>{self.folder}/asked\n{told}")
        self._put("nsenter", 'shift\nexec "$@"')

    def _put(self, name: str, script: str) -> None:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel(tmp_path / "bin")
    found.folder.mkdir()
    groups = tmp_path / "cgroup"
    groups.mkdir()
    (groups / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    monkeypatch.setattr(preflight, "_CGROUPS", groups)
    monkeypatch.setenv("PATH", f"{found.folder}:/usr/bin:/bin")
    return found


@pytest.mark.parametrize("refused", REFUSED)
def test_what_the_kernel_refuses_is_told_in_one_line_and_nothing_is_left(kernel: Kernel, refused: str) -> None:
    kernel.refuses(refused)
    with pytest.raises(ClusterError, match=rf"^{REFUSED[refused]}.*\(not permitted\)$") as told:
        preflight.check_kernel(kernel.plan())
    assert "\n" not in str(told.value)
    added = [line.split()[-1] for line in kernel.asked() if line.startswith("ip netns add")]
    deleted = [line.split()[-1] for line in kernel.asked() if line.startswith("ip netns delete")]
    assert deleted == ([] if refused == "netns add" else added)
    assert not list((kernel.folder / "state").glob("*"))


def test_a_kernel_that_has_everything_passes_and_is_asked_for_each(kernel: Kernel) -> None:
    kernel.refuses("nothing at all")
    preflight.check_kernel(kernel.plan())
    assert all(any(piece in line for line in kernel.asked()) for piece in REFUSED)


def test_control_groups_that_lack_a_controller_are_named(kernel: Kernel, tmp_path: Path) -> None:
    kernel.refuses("nothing at all")
    (tmp_path / "cgroup" / "cgroup.controllers").write_text("cpu io memory\n")
    with pytest.raises(ClusterError, match=r"control groups lack cpuset, pids: mount them at"):
        preflight.check_kernel(kernel.plan())


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installation, "_FOLDERS", str(tmp_path))
    assert {"containerd", "runc", "etcd-server", "nftables"} <= set(installation.missing_packages())


def test_a_missing_go_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GO", str(tmp_path / "no-go"))
    with pytest.raises(ClusterError, match=r"install Go 1\.\d+ or newer"):
        binaries.go()


@pytest.mark.parametrize("said", ["go1.19.8", "devel"])
def test_a_go_too_old_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str) -> None:
    old = tmp_path / "go"
    old.write_text(f"#!/bin/sh\necho {said}\n")
    old.chmod(0o755)
    monkeypatch.setenv("GO", str(old))
    with pytest.raises(ClusterError, match="too old"):
        binaries.go()


def test_a_built_program_is_known_by_all_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module a\n")
    program = binaries.GoProgram("a", tmp_path)
    first = binaries.content_key(program, "go1.26")
    assert binaries.content_key(program, "go1.26") == first
    assert binaries.content_key(program, "go1.27") != first
    assert binaries.content_key(binaries.GoProgram("a", tmp_path, ldflags="-X a=b"), "go1.26") != first
    (tmp_path / "main.go").write_text("package main\n")
    assert binaries.content_key(program, "go1.26") != first


@pytest.mark.parametrize("part", ["calico-felix", "calico", "crd"])
def test_a_policy_engine_that_lacks_a_part_is_refused(tmp_path: Path, part: str) -> None:
    for name in {"calico-felix", "calico", "crd"} - {part}:
        (tmp_path / name).touch()
    with pytest.raises(ClusterError, match=part):
        preflight.calico_folder({"CALICO_DIR": str(tmp_path)})
    (tmp_path / part).touch()
    assert preflight.calico_folder({"CALICO_DIR": str(tmp_path)}) == tmp_path
    assert preflight.calico_folder({}) is None


def _archive(path: Path, table: str, content: object) -> Path:
    with tarfile.open(path, "w") as tar:
        text = json.dumps(content).encode()
        entry = tarfile.TarInfo(f"./{table}")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return path


def test_an_oci_archive_tells_its_images_by_name_and_digest(tmp_path: Path) -> None:
    name = {"org.opencontainers.image.ref.name": "registry.example/a:1"}
    index = {"manifests": [{"digest": "sha256:1", "annotations": name}, {"digest": "sha256:2"}]}
    assert images_of(_archive(tmp_path / "a.tar", "index.json", index)) == {"registry.example/a:1": "sha256:1"}


def test_a_docker_archive_does_not_tell_digests(tmp_path: Path) -> None:
    assert images_of(_archive(tmp_path / "a.tar", "manifest.json", [{"RepoTags": ["a:1"]}])) == {}


def test_what_is_no_image_archive_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.tar"
    text.write_text("no tar")
    empty = tmp_path / "b.tar"
    tarfile.open(empty, "w").close()
    for file in (text, empty, tmp_path / "missing"):
        with pytest.raises(ClusterError, match="no image archive"):
            images_of(file)


_LISTING = """\
REF                  TYPE                                       DIGEST   SIZE    PLATFORMS   LABELS
registry.example/a:1 application/vnd.oci.image.manifest.v1+json sha256:1 1.0 MiB linux/amd64 x=y
"""


@pytest.mark.parametrize(
    ("images", "lacks"),
    [
        ({"registry.example/a:1": "sha256:1"}, False),
        ({"registry.example/a:1": "sha256:2"}, True),
        ({"registry.example/b:1": "sha256:1"}, True),
        ({"registry.example/a:1": "sha256:1", "registry.example/b:1": "sha256:1"}, True),
        ({}, True),
    ],
)
def test_an_archive_is_loaded_unless_each_name_means_its_image_already(images: dict[str, str], lacks: bool) -> None:
    assert missing(images, _LISTING) == lacks


def test_kernel_settings_are_kept_once_and_put_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysctls, "_ROOT", tmp_path / "sys")
    for name in sysctls.CHANGED:
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text("0\n")
    kept = tmp_path / "kept.json"
    sysctls.keep(kept)
    (tmp_path / "sys" / "kernel/panic").write_text("10\n")
    sysctls.keep(kept)
    sysctls.put_back(kept)
    assert (tmp_path / "sys" / "kernel/panic").read_text().strip() == "0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_mounts_that_came_since_are_taken_away_unless_somebody_uses_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there, came, used = points = [tmp_path / name for name in ("there", "came", "used")]
    monkeypatch.setattr(machine_mounts, "SHARED", points)
    for point in points:
        point.mkdir()
    try:
        _mount(there)
        machine_mounts.keep(tmp_path / "kept.json")
        _mount(came)
        _mount(used)
        (used / "somebody's").touch()
        machine_mounts.keep(tmp_path / "kept.json")
        machine_mounts.put_back(tmp_path / "kept.json")
        assert machine_mounts.absent() == [came]
    finally:
        for point in points:
            subprocess.run(["umount", str(point)], capture_output=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_what_a_program_with_mounts_of_its_own_mounts_is_not_on_the_machine(tmp_path: Path) -> None:
    point = tmp_path / "point"
    point.mkdir()
    inside = f"mount --bind {point} {point} && grep -c {point} /proc/self/mountinfo"
    argv = Program("part", ("sh", "-c", inside), own_mounts=True).argv
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == "1"
    assert str(point) not in Path("/proc/self/mountinfo").read_text()


def _mount(point: Path) -> None:
    subprocess.run(["mount", "--bind", str(point), str(point)], check=True)


def test_a_link_to_a_log_of_the_cluster_is_left_behind_and_one_to_anothers_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(teardown, "_LOG_LINKS", tmp_path)
    own, other = plan("own", environ={"HOME": "/home/u"}), plan("other", environ={"HOME": "/home/u"})
    (tmp_path / "own.log").symlink_to(own.logs / "pods" / "0.log")
    (tmp_path / "other.log").symlink_to(other.logs / "pods" / "0.log")
    (tmp_path / "file.log").touch()
    assert teardown.remains(own) == [f"link {tmp_path}/own.log"]
