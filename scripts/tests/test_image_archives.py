"""From a builder's layout to an archive, what is read out of layers, and what is found wrong."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from imagebuild.bill import is_evidence, write_bill
from imagebuild.catalogue import Image
from imagebuild.checks import LABELS, faults
from imagebuild.contents import Contents, Entry, read_contents
from imagebuild.saved import prune, read_saved, write_archive

IMAGE = Image("gateway", "services/gateway/Containerfile", limit=1000)
CONFIG: dict[str, Any] = {"config": {"User": "10001:10001", "Labels": dict.fromkeys(LABELS, "1.0")}}
REVISION = "org.opencontainers.image.revision"


def layer(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    return packed.getvalue()


def saved_by_buildah(folder: Path, *layers: bytes, named: Sequence[bytes] = ()) -> Path:
    """What `buildah push dir:` writes; `named` are the layers that the configuration tells of, where they differ."""
    folder.mkdir(parents=True)

    def put(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (folder / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    digests = [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in named or layers]
    config = put(json.dumps({**CONFIG, "rootfs": {"diff_ids": digests}}).encode())
    (folder / "manifest.json").write_text(json.dumps({"config": config, "layers": [put(one) for one in layers]}))
    return folder


def saved_by_docker(folder: Path, *layers: bytes, named: Sequence[bytes] = ()) -> Path:
    """What `docker save` writes, unpacked: an OCI layout."""
    blobs = saved_by_buildah(folder / "blobs" / "sha256", *layers, named=named)
    manifest = (blobs / "manifest.json").read_bytes()
    digest = hashlib.sha256(manifest).hexdigest()
    (blobs / "manifest.json").rename(blobs / digest)
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": f"sha256:{digest}"}]}))
    return folder


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}


@pytest.mark.parametrize("save", [saved_by_buildah, saved_by_docker])
@pytest.mark.parametrize("as_saved", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_an_archive_holds_one_image_under_its_full_name_and_each_layer_gzipped_once(
    tmp_path: Path, save: Callable[..., Path], as_saved: Callable[[bytes], bytes]
) -> None:
    layers = (layer({"a": "lower" * 1000}), layer({"b": "upper"}))
    saved = read_saved(save(tmp_path / "saved", *map(as_saved, layers), named=layers))
    archived = write_archive(saved, tmp_path / "layers", "localhost/x/gateway:1", {"k": "v"}, tmp_path / "gateway.tar")
    content = members(tmp_path / "gateway.tar")
    (entry,) = json.loads(content["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "localhost/x/gateway:1"
    assert entry["digest"] == archived.digest
    manifest = json.loads(content[f"blobs/{archived.digest.replace(':', '/')}"])
    assert manifest["annotations"] == {"k": "v"}
    config = json.loads(content[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
    packed = [content[f"blobs/{one['digest'].replace(':', '/')}"] for one in manifest["layers"]]
    tars = [gzip.decompress(one) for one in packed]
    assert tars == list(layers)
    assert [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars] == config["rootfs"]["diff_ids"]
    assert archived.size == sum(map(len, packed))
    assert [one["size"] for one in manifest["layers"]] == [len(one) for one in packed]


def test_the_same_image_gives_the_same_archive_and_compresses_nothing_twice(tmp_path: Path) -> None:
    saved = read_saved(saved_by_buildah(tmp_path / "saved", layer({"a": "x"})))
    write_archive(saved, tmp_path / "layers", "n", {}, tmp_path / "one.tar")
    (kept,) = (tmp_path / "layers").iterdir()
    at = kept.stat().st_mtime_ns
    write_archive(saved, tmp_path / "layers", "n", {}, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert kept.stat().st_mtime_ns == at


def test_a_layer_that_the_image_does_not_tell_of_is_refused_and_leaves_no_archive(tmp_path: Path) -> None:
    wrong = read_saved(saved_by_buildah(tmp_path / "saved", layer({"a": "x"}), named=[layer({"a": "y"})]))
    with pytest.raises(ValueError, match="the image says"):
        write_archive(wrong, tmp_path / "layers", "n", {}, tmp_path / "n.tar")
    assert not (tmp_path / "n.tar").exists()
    with pytest.raises(ValueError, match="1 layers were saved, the image has 2"):
        read_saved(saved_by_buildah(tmp_path / "short", layer({"a": "x"}), named=[b"", b""]))


def test_layers_that_no_image_needs_are_removed(tmp_path: Path) -> None:
    saved = read_saved(saved_by_buildah(tmp_path / "saved", layer({"a": "x"}), layer({"b": "y"})))
    write_archive(saved, tmp_path / "layers", "n", {}, tmp_path / "n.tar")
    prune(tmp_path / "layers", [saved.layers[1].digest])
    assert [path.name for path in (tmp_path / "layers").iterdir()] == [f"{saved.layers[1].digest}.tar.gz"]


def test_upper_layers_hide_what_they_replace_and_what_they_take_away(tmp_path: Path) -> None:
    paths = []
    for number, files in enumerate(
        (
            {"./etc/gone": "1", "etc/kept": "1", "d/one": "1", "d/two": "1", "etc/changed": "old"},
            {"etc/.wh.gone": "", "d/.wh..wh..opq": "", "d/three": "1", "etc/changed": "new"},
        )
    ):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(layer(files))
    contents = read_contents(paths, lambda path: path.startswith("etc/"))
    assert set(contents.entries) == {"etc/kept", "d/three", "etc/changed"}
    assert contents.read["etc/changed"] == b"new"


def holding(*paths: str, uid: int = 0, mode: int = 0o644) -> Contents:
    return Contents({path: Entry(mode, 1, uid, False) for path in paths})


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (holding("usr/lib/python3/site-packages/pip/__init__.py"), "pip"),
        (holding("usr/local/bin/pip3"), "pip"),
        (holding("opt/streamingstack/src/streaming_gateway/test_turns.py"), "our tests"),
        (holding("usr/local/bin/uv"), "uv"),
        (holding("root/.cache/uv/x"), "a cache"),
        (holding("lock/uv.lock"), "a lock file"),
        (holding("usr/bin/gcc-12"), "a compiler"),
        (holding("opt/streamingstack/src/a.py", uid=10001), "can be written by others"),
        (holding("opt/streamingstack/src/a.py", mode=0o666), "can be written by others"),
        (holding("opt/streamingstack/bin/a", mode=0o4755), "changes its user"),
    ],
)
def test_what_does_not_belong_into_an_image_is_named(contents: Contents, says: str) -> None:
    (fault,) = faults(IMAGE, CONFIG, contents, 10)
    assert says in fault


def test_an_image_as_it_should_be_has_no_faults() -> None:
    assert faults(IMAGE, CONFIG, holding("opt/streamingstack/src/a.py", "usr/bin/pipes"), 1000) == []


@pytest.mark.parametrize(
    ("config", "size", "says"),
    [
        (CONFIG, 1001, "more than"),
        ({"config": {**CONFIG["config"], "User": ""}}, 1, "'root'"),
        ({"config": {**CONFIG["config"], "User": "streamingstack"}}, 1, "only a number"),
        ({"config": {**CONFIG["config"], "Labels": {**CONFIG["config"]["Labels"], REVISION: ""}}}, 1, REVISION),
    ],
)
def test_a_wrong_size_user_or_label_is_named(config: dict[str, Any], size: int, says: str) -> None:
    (fault,) = faults(IMAGE, config, Contents(), size)
    assert says in fault


def test_the_bill_lists_debian_packages_python_packages_and_models_and_is_valid() -> None:
    contents = Contents(
        read={
            "var/lib/dpkg/status": b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\n"
            b"Version: 2.36-9\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n",
            "opt/streamingstack/lib/python3.11/site-packages/Uv_Loop-0.2.dist-info/METADATA": (
                b"Name: Uv_Loop\nVersion: 0.2\nLicense-Expression: MIT\n\nText"
            ),
            "opt/streamingstack/hearing/vad.onnx": b"weights",
        }
    )
    assert all(map(is_evidence, contents.read))
    text = write_bill(contents, CONFIG, "gateway")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    found = {component["name"]: component for component in bill["components"]}
    assert set(found) == {"libc6", "Uv_Loop", "vad.onnx"}
    assert found["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9?arch=amd64"
    assert found["Uv_Loop"]["purl"] == "pkg:pypi/uv-loop@0.2"
    assert found["vad.onnx"]["hashes"][0]["content"] == hashlib.sha256(b"weights").hexdigest()
    assert bill["metadata"]["component"]["version"] == "1.0"
