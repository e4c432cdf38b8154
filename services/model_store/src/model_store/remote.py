"""One file elsewhere: how it is opened at an offset, over HTTP, from S3 or from this machine's disk."""

import contextlib
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx2
import truststore

from model_store.errors import SourceNotFoundError, SourceRefusedError, SourceUnreachableError
from model_store.uris import printable

CHUNK = 1 << 18


class InterruptedReadError(Exception):
    """The connection failed or ended early; worth another try from where it stopped."""


@dataclass(frozen=True)
class Opened:
    """A file's bytes from `offset` on; `validator` changes when the file does, None when that cannot be known."""

    offset: int
    total: int | None
    validator: str | None
    chunks: Iterator[bytes]


class Remote(Protocol):
    """A file that can be opened."""

    @property
    def name(self) -> str:
        """For people: without secrets."""

    def open(self, offset: int, validator: str | None) -> AbstractContextManager[Opened]:
        """Open at `offset` if the file is still the one of `validator`, else at 0.

        Raises SourceNotFoundError, SourceRefusedError, and InterruptedReadError for what another try may cure.
        """


def tls_context() -> ssl.SSLContext:
    """The system's certificate authorities, plus REQUESTS_CA_BUNDLE's; SSL_CERT_FILE is honoured by OpenSSL itself."""
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle and Path(bundle).is_file():
        context.load_verify_locations(bundle)
    return context


def http_client() -> httpx2.Client:
    """A client that follows redirects, honours proxies of the environment, and gives up on 30 s of quiet.

    User and password for a host come from the netrc file that NETRC names.
    """
    netrc = os.environ.get("NETRC")
    return httpx2.Client(
        verify=tls_context(),
        follow_redirects=True,
        timeout=httpx2.Timeout(30, pool=None),
        auth=httpx2.NetRCAuth(netrc) if netrc and Path(netrc).is_file() else None,
    )


@dataclass(frozen=True)
class HttpRemote:
    """A file over HTTP(S), resumed by Range and If-Range."""

    client: httpx2.Client
    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The URL without user and query."""
        return printable(self.url)

    @contextlib.contextmanager
    def open(self, offset: int, validator: str | None) -> Iterator[Opened]:
        """See Remote.open."""
        headers = {**self.headers, "Accept-Encoding": "identity"}
        if offset and validator:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        try:
            with self.client.stream("GET", self.url, headers=headers) as response:
                if response.status_code == 416:
                    raise _StartOverError
                raise_for_status(response, self.name)
                yield self._opened(response)
        except _StartOverError:
            with self.open(0, None) as opened:
                yield opened
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.TooManyRedirects) as failure:
            raise InterruptedReadError(f"{self.name}: {failure or type(failure).__name__}") from failure

    @staticmethod
    def _opened(response: httpx2.Response) -> Opened:
        etag = response.headers.get("ETag", "")
        # A weak ETag must not be used in If-Range.
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        length = response.headers.get("Content-Length")
        offset, total = 0, int(length) if length and length.isdigit() else None
        if response.status_code == 206:
            match = re.match(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if match is None:
                raise _StartOverError
            offset, total = int(match[1]), int(match[2])
        # No chunk size: what a broken connection has already delivered must not wait in a buffer.
        return Opened(offset, total, validator, response.iter_raw())


class _StartOverError(Exception):
    """The server cannot continue; take it from the beginning."""


def raise_for_status(response: httpx2.Response, name: str) -> None:
    """Raise the failure that an HTTP status stands for; nothing for 2xx."""
    status = response.status_code
    if status in (404, 410):
        raise SourceNotFoundError(f"{name}: not found (HTTP {status}); correct the source")
    if status in (401, 403, 407):
        raise SourceRefusedError(f"{name}: refused (HTTP {status}); check the credentials for this source")
    if status in (408, 425, 429) or status >= 500:
        raise InterruptedReadError(f"{name}: HTTP {status}")
    if not 200 <= status < 300:
        raise SourceUnreachableError(f"{name}: unexpected answer (HTTP {status})")


@dataclass(frozen=True)
class FileRemote:
    """A file of this machine."""

    path: Path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @contextlib.contextmanager
    def open(self, offset: int, validator: str | None) -> Iterator[Opened]:
        """See Remote.open."""
        try:
            handle = self.path.open("rb")
        except FileNotFoundError:
            raise SourceNotFoundError(f"{self.path}: no such file; correct the source") from None
        except OSError as failure:
            raise SourceRefusedError(f"{self.path}: {failure.strerror}") from None
        with handle:
            status = os.fstat(handle.fileno())
            now = f"{status.st_mtime_ns}-{status.st_size}"
            start = offset if validator == now else 0
            handle.seek(start)
            yield Opened(start, status.st_size, now, iter(lambda: handle.read(CHUNK), b""))


@dataclass(frozen=True)
class S3Remote:
    """An object of an S3-compatible store, resumed by Range and If-Match; `client` is boto3's."""

    client: Any
    bucket: str
    key: str

    @property
    def name(self) -> str:
        """The URI."""
        return f"s3://{self.bucket}/{self.key}"

    @contextlib.contextmanager
    def open(self, offset: int, validator: str | None) -> Iterator[Opened]:
        """See Remote.open."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        resume = {"Range": f"bytes={offset}-", "IfMatch": validator} if offset and validator else {}
        try:
            reply = self.client.get_object(Bucket=self.bucket, Key=self.key, **resume)
            start = offset if resume else 0
            body = reply["Body"]
            with contextlib.closing(body):
                yield Opened(start, start + int(reply["ContentLength"]), reply["ETag"], body.iter_chunks(CHUNK))
        except ClientError as refused:
            status = int(refused.response["ResponseMetadata"]["HTTPStatusCode"])
            if resume and status in (412, 416):
                with self.open(0, None) as opened:
                    yield opened
            else:
                raise s3_failure(self.name, status) from refused
        except NoCredentialsError:
            raise SourceRefusedError(
                f"{self.name}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        except BotoCoreError as failure:
            raise InterruptedReadError(f"{self.name}: {failure}") from failure


def s3_failure(name: str, status: int) -> Exception:
    """The failure that an S3 status stands for."""
    if status == 404:
        return SourceNotFoundError(f"{name}: not found; correct the source")
    if status in (400, 401, 403):
        return SourceRefusedError(f"{name}: refused (HTTP {status}); check the AWS credentials and the bucket's region")
    return InterruptedReadError(f"{name}: HTTP {status}")


def no_credentials(name: str) -> SourceRefusedError:
    """The failure of a store that was asked without credentials."""
    return SourceRefusedError(f"{name}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
