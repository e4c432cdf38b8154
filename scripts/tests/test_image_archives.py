"""From a builder's layout to an archive, what is read out of layers, and what is found wrong."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from imagebuild.bill import is_evidence, write_bill
from imagebuild.catalogue import Image
from imagebuild.checks import LABELS, faults
from imagebuild.contents import Contents, Entry, read_contents
from imagebuild.layout import adopt, blob, prune, read_built, write_archive

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


def layout_with(root: Path, name: str, *layers: bytes) -> Path:
    """What `buildah push` and `docker save` write."""

    def put(content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blob(root, digest).parent.mkdir(parents=True, exist_ok=True)
        blob(root, digest).write_bytes(content)
        return {"digest": digest, "size": len(content)}

    manifest = {"config": put(json.dumps({**CONFIG, "of": name}).encode()), "layers": [put(one) for one in layers]}
    entry = {**put(json.dumps(manifest).encode()), "annotations": {"org.opencontainers.image.ref.name": name}}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return root


def test_an_archive_holds_one_image_compressed_under_its_full_name(tmp_path: Path) -> None:
    layers = (layer({"a": "lower" * 1000}), layer({"b": "upper"}))
    built = read_built(layout_with(tmp_path / "layout", "gateway", *layers), "gateway")
    target = tmp_path / "gateway.tar"
    archived = write_archive(built, tmp_path / "layers", "localhost/x/gateway:1", {"k": "v"}, target)
    with tarfile.open(target) as tar:
        content = {member.name: file.read() for member in tar if (file := tar.extractfile(member))}
    (entry,) = json.loads(content["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "localhost/x/gateway:1"
    assert entry["digest"] == archived.digest
    manifest = json.loads(content[f"blobs/{archived.digest.replace(':', '/')}"])
    assert manifest["annotations"] == {"k": "v"}
    assert manifest["config"]["digest"] == built.image_id
    packed = [content[f"blobs/{one['digest'].replace(':', '/')}"] for one in manifest["layers"]]
    assert [gzip.decompress(one) for one in packed] == list(layers)
    assert archived.size == sum(map(len, packed))
    assert {one["size"] for one in manifest["layers"]} == set(map(len, packed))


def test_the_same_image_gives_the_same_archive_and_compresses_nothing_twice(tmp_path: Path) -> None:
    built = read_built(layout_with(tmp_path / "layout", "gateway", layer({"a": "x"})), "gateway")
    write_archive(built, tmp_path / "layers", "n", {}, tmp_path / "one.tar")
    (kept,) = (tmp_path / "layers").iterdir()
    at = kept.stat().st_mtime_ns
    write_archive(built, tmp_path / "layers", "n", {}, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert kept.stat().st_mtime_ns == at


def test_what_docker_saved_is_adopted_beside_what_is_there_and_what_nobody_needs_is_removed(tmp_path: Path) -> None:
    layout, layers = tmp_path / "layout", tmp_path / "layers"
    layout_with(layout, "asr", layer({"a": "x"}))
    adopt(layout_with(tmp_path / "saved", "saved", layer({"b": "y"})), layout, "gateway")
    for name in ("asr", "gateway"):
        write_archive(read_built(layout, name), layers, name, {}, tmp_path / f"{name}.tar")
    prune(layout, layers, ["gateway"])
    assert len(list(layers.iterdir())) == 1
    assert len(list((layout / "blobs" / "sha256").iterdir())) == 3
    assert read_built(layout, "gateway").layers
    with pytest.raises(KeyError):
        read_built(layout, "asr")


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
        (
            {"config": {**CONFIG["config"], "Labels": {**CONFIG["config"]["Labels"], LABELS[3]: "unknown"}}},
            1,
            "revision",
        ),
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
