"""The bill of materials of an image: what Debian and Python say is installed in it, and what lies there as files."""

import email.message
import email.parser
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from imagebuild.contents import Contents

_DPKG = re.compile(r"^var/lib/dpkg/status(\.d/[^/]+)?$")
_METADATA = re.compile(r"^.*/[^/]+\.dist-info/METADATA$")
_MODELS = re.compile(r"^opt/streamingstack/hearing/[^/]+\.onnx$")


def is_evidence(path: str) -> bool:
    """Whether the bill is made from this file."""
    return any(pattern.match(path) for pattern in (_DPKG, _METADATA, _MODELS))


def write_bill(contents: Contents, config: dict[str, Any], name: str) -> str:
    """CycloneDX 1.6, JSON. The same contents give the same bill but for its serial number and time."""
    labels = config.get("config", {}).get("Labels") or {}
    version = labels.get("org.opencontainers.image.version")
    bom = Bom(components=sorted({*_debian(contents), *_python(contents), *_models(contents)}))
    image = Component(name=name, version=version, type=ComponentType.CONTAINER)
    bom.metadata.component = image
    bom.register_dependency(image, bom.components)
    bom.metadata.properties.add(
        Property(name="revision", value=labels.get("org.opencontainers.image.revision", "unknown"))
    )
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


def _debian(contents: Contents) -> Iterator[Component]:
    for path, content in contents.read.items():
        if not _DPKG.match(path):
            continue
        for paragraph in content.decode(errors="replace").split("\n\n"):
            fields = _fields(paragraph)
            if fields["Package"] and "installed" in (fields["Status"] or "install ok installed"):
                name, version = fields["Package"], fields["Version"]
                purl = PackageURL("deb", "debian", name, version, {"arch": fields["Architecture"] or "all"})
                yield Component(name=name, version=version, purl=purl, bom_ref=str(purl))


def _python(contents: Contents) -> Iterator[Component]:
    for path, content in contents.read.items():
        if not _METADATA.match(path):
            continue
        fields = _fields(content.decode(errors="replace"))
        name, version = fields["Name"], fields["Version"]
        expression = fields["License-Expression"] or fields["License"]
        # Some projects put the whole text there.
        short = expression and len(expression) < 100 and "\n" not in expression
        purl = PackageURL("pypi", None, re.sub(r"[-_.]+", "-", name or "").lower(), version)
        yield Component(
            name=name or path,
            version=version,
            purl=purl,
            bom_ref=str(purl),
            licenses=[LicenseFactory().make_from_string(expression)] if short else (),
        )


def _models(contents: Contents) -> Iterator[Component]:
    for path, content in contents.read.items():
        if _MODELS.match(path):
            digest = hashlib.sha256(content).hexdigest()
            yield Component(
                name=path.rpartition("/")[2],
                type=ComponentType.MACHINE_LEARNING_MODEL,
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
                bom_ref=f"sha256:{digest}",
            )


def _fields(text: str) -> "email.message.Message[str, str]":
    return email.parser.HeaderParser().parsestr(text.lstrip("\n"))
