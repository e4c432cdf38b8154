"""Whole-folder sources: what lies below one URI."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from model_store.errors import (
    ModelStoreError,
    SourceError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnreachableError,
)
from model_store.remote import (
    FileRemote,
    HttpRemote,
    InterruptedReadError,
    Remote,
    S3Remote,
    http_client,
    no_credentials,
    s3_failure,
)
from model_store.uris import FileSource, HubSource, S3Source, safe_path


@dataclass(frozen=True)
class Entry:
    """One file of a folder: `version` changes with its content; `sha256` and `size` (bytes) where the source tells."""

    path: str
    remote: Remote = field(compare=False)
    version: str
    sha256: str | None = None
    size: int | None = None


def signature(uri: str, entries: Sequence[Entry]) -> str:
    """A name for exactly this content of this source."""
    lines = [uri, *(f"{entry.path}\0{entry.version}" for entry in sorted(entries, key=lambda entry: entry.path))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def list_directory(source: FileSource) -> list[Entry]:
    """The files of a local folder, or the one file."""
    root = source.path
    if root.is_file():
        return [_local(root, root.name)]
    if not root.is_dir():
        raise SourceNotFoundError(f"{root}: no such folder; correct the source")
    found = sorted(path for path in root.rglob("*") if path.is_file())
    entries = [_local(path, path.relative_to(root).as_posix()) for path in found]
    return _not_empty(entries, str(root))


def _local(path: Path, name: str) -> Entry:
    status = path.stat()
    return Entry(name, FileRemote(path), f"{status.st_mtime_ns}-{status.st_size}", size=status.st_size)


def list_hub(source: HubSource) -> list[Entry]:
    """The files of a model on a hub, at the commit that its revision stands for now.

    Hidden files are left out. HF_ENDPOINT and HF_TOKEN are honoured by the library.
    """
    _quiet_library()
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    name = f"hf://{source.repository}@{source.revision}"
    endpoint = os.environ.get("HF_ENDPOINT")
    api = HfApi(endpoint=endpoint)
    try:
        info = api.model_info(source.repository, revision=source.revision, files_metadata=True, timeout=30)
    except HfHubHTTPError as refused:
        raise _hub_failure(name, refused) from None
    except (httpx2.HTTPError, OSError) as failure:
        raise SourceUnreachableError(f"{name}: no answer ({failure}); check the network and HF_ENDPOINT") from None
    client, headers = http_client(), _hub_headers()
    entries = [
        Entry(
            path=file.rfilename,
            remote=HttpRemote(client, _hub_url(source, info.sha, file.rfilename, endpoint), headers),
            version=str(info.sha),
            sha256=file.lfs.sha256 if file.lfs else None,
            size=file.size,
        )
        for file in info.siblings or []
        if not any(part.startswith(".") for part in file.rfilename.split("/"))
    ]
    return _not_empty(entries, name)


def hub_file(client: httpx2.Client, source: HubSource) -> HttpRemote:
    """One file of a model on a hub; raises SourceError when the URI names none."""
    if not source.path:
        raise SourceError(f"hf://{source.repository}@{source.revision}: name a file of it, or use source")
    url = _hub_url(source, source.revision, source.path, os.environ.get("HF_ENDPOINT"))
    return HttpRemote(client, url, _hub_headers())


def _hub_url(source: HubSource, commit: str | None, path: str, endpoint: str | None) -> str:
    from huggingface_hub import hf_hub_url

    safe_path(path)
    return str(hf_hub_url(source.repository, path, revision=commit, endpoint=endpoint))


def _hub_headers() -> dict[str, str]:
    _quiet_library()
    from huggingface_hub.utils import build_hf_headers

    headers: dict[str, str] = build_hf_headers()
    return headers


def _quiet_library() -> None:
    """Before the library is used: it asks the hub for nothing but the model, and trusts whom we trust."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import set_client_factory

    set_client_factory(http_client)


def _hub_failure(name: str, refused: Any) -> ModelStoreError:
    status = refused.response.status_code if refused.response is not None else 0
    if status == 404:
        return SourceNotFoundError(f"{name}: no such model or revision; correct the source")
    if status in (401, 403):
        return SourceRefusedError(f"{name}: refused (HTTP {status}); set HF_TOKEN to a token that may read it")
    return SourceUnreachableError(f"{name}: the hub answered HTTP {status}; try again later")


def s3_client() -> Any:
    """boto3's client; AWS_ENDPOINT_URL, AWS_REGION and the usual credentials are honoured by the library."""
    import boto3
    from botocore.config import Config

    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    quick = Config(connect_timeout=10, read_timeout=30, retries={"max_attempts": 2, "mode": "standard"})
    return boto3.client("s3", region_name=region, config=quick)


def list_bucket(source: S3Source) -> list[Entry]:
    """The objects below a prefix."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    client = s3_client()
    prefix = f"{source.key.rstrip('/')}/" if source.key else ""
    name = f"s3://{source.bucket}/{prefix}"
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=prefix)
        objects = [entry for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]
    except ClientError as refused:
        failure = s3_failure(name, int(refused.response["ResponseMetadata"]["HTTPStatusCode"]))
        if isinstance(failure, InterruptedReadError):
            failure = SourceUnreachableError(f"{failure}; try again later")
        raise failure from None
    except NoCredentialsError:
        raise no_credentials(name) from None
    except BotoCoreError as failed:
        raise SourceUnreachableError(f"{name}: {failed}; check the network and AWS_ENDPOINT_URL") from None
    entries = [
        Entry(
            path=entry["Key"].removeprefix(prefix),
            remote=S3Remote(client, source.bucket, entry["Key"]),
            version=entry["ETag"],
            size=entry["Size"],
        )
        for entry in objects
    ]
    return _not_empty(entries, name)


def _not_empty(entries: list[Entry], name: str) -> list[Entry]:
    if not entries:
        raise SourceNotFoundError(f"{name}: nothing there; correct the source")
    for entry in entries:
        safe_path(entry.path)
    return entries


def list_folder(source: FileSource | HubSource | S3Source) -> list[Entry]:
    """What lies below `source`, path by path; raises the failures of errors.py."""
    if isinstance(source, FileSource):
        return list_directory(source)
    if isinstance(source, HubSource):
        if source.path:
            raise SourceError(
                f"hf://{source.repository}@{source.revision}/{source.path}: name the whole model, or use files"
            )
        return list_hub(source)
    return list_bucket(source)
