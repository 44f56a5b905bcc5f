"""Attachments in S3-compatible storage, for servers whose own disk is small. Needs `kith[s3]`.

An upload lies in the server's folder until it is complete, so that it goes on after a crash as any other, then leaves
as one object (in parts, which S3 joins at once or never). The bytes are those of `blob_format`, checksums and all.
Clients never see an S3 address: the server reads the object and hands it on.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from kith.app.keys import read_secret
from kith.app.settings import SettingsError
from kith.messaging.blob_format import DamagedError
from kith.messaging.blob_storage import Folder, FolderAppending, Storage, StorageAwayError

if TYPE_CHECKING:
    from obstore.store import S3Store

PART: Final = 8 * 1024 * 1024
"""Bytes of one part of an upload to S3."""
AT_ONCE: Final = 2
"""Parts under way: with `PART` what one finished upload holds in memory."""
STREAMED: Final = 256 * 1024
TIMEOUT: Final = "30s"
RETRIES: Final = 3
KEY_ID, SECRET = "KITH_S3_ACCESS_KEY_ID", "KITH_S3_SECRET_ACCESS_KEY"
_WRONG: Final = "blobs: write s3://BUCKET or s3://BUCKET/PREFIX?endpoint=https://…&region=…, or leave it out."


class Place(NamedTuple):
    """Where objects go: `s3://bucket/prefix?endpoint=…&region=…`."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str

    @classmethod
    def read(cls, text: str) -> Self:
        """The setting's value; SettingsError in words."""
        parts = urlsplit(text)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        endpoint = options.pop("endpoint", None)
        region = options.pop("region", "us-east-1")
        known_endpoint = endpoint is None or endpoint.startswith(("https://", "http://"))
        if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or options or not known_endpoint:
            raise SettingsError(_WRONG)
        return cls(parts.netloc, parts.path.strip("/"), endpoint, region)


def storage(setting: str, key_file: str, folder: Path, environment: Mapping[str, str] = os.environ) -> Storage:
    """Where this server keeps attachments: its own folder unless `setting` names another place."""
    if not setting:
        return Folder(folder)
    try:
        from obstore.store import S3Store  # noqa: PLC0415  an extra
    except ImportError:
        raise SettingsError("blobs: storage in S3 needs more: pip install 'kith[s3]'.") from None
    place = Place.read(setting)
    options: dict[str, Any] = {"region": place.region, "virtual_hosted_style_request": place.endpoint is None}
    if place.endpoint is not None:
        options["endpoint"] = place.endpoint
    if (keys := _keys(key_file, environment)) is not None:
        options["access_key_id"], options["secret_access_key"] = keys
    plain = (place.endpoint or "").startswith("http://")
    store = S3Store(
        place.bucket,
        prefix=place.prefix or None,
        client_options={"allow_http": plain, "timeout": TIMEOUT, "connect_timeout": "5s"},
        retry_config={"max_retries": RETRIES, "retry_timeout": dt.timedelta(seconds=30)},
        **options,
    )
    return S3Storage(store, Folder(folder))


def _keys(key_file: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Access key and secret, from a 0600 file of two lines or the environment; None leaves it to the machine's role."""
    if key_file:
        lines = read_secret(Path(key_file), 1).decode("utf-8", "replace").split()
        if len(lines) != 2:  # noqa: PLR2004
            raise SettingsError(f"{key_file}: write the access key id and the secret access key on two lines.")
        return lines[0], lines[1]
    if environment.get(KEY_ID) and environment.get(SECRET):
        return environment[KEY_ID], environment[SECRET]
    return None


def _name(blob: str) -> str:
    return f"{blob[:2]}/{blob}"


@contextlib.contextmanager
def _asking(blob: str = "") -> Iterator[None]:
    """What S3 says, as this server's own errors. Its texts name hosts and requests: only their kind is kept."""
    from obstore.exceptions import BaseError  # noqa: PLC0415  an extra

    try:
        yield
    except FileNotFoundError:
        raise DamagedError(blob) from None
    except (BaseError, OSError, ValueError) as error:
        raise StorageAwayError(f"S3: {type(error).__name__}") from None


class S3Storage:
    """A folder for uploads, a bucket for what is complete."""

    def __init__(self, store: S3Store, folder: Folder) -> None:
        self._store, self._folder = store, folder

    def append(self, blob: str, length: int) -> S3Appending:
        """Go on in the folder; what had left already, and was not recorded, comes back first."""
        if length and not self._folder.partial(blob).exists():
            self._fetch_back(blob, length)
        return S3Appending(self._folder.append(blob, length), self._store, self._folder.partial(blob), blob)

    def _fetch_back(self, blob: str, length: int) -> None:
        import obstore  # noqa: PLC0415  an extra

        back = self._folder.append(blob, 0)
        try:
            with _asking(blob):
                for piece in obstore.get(self._store, _name(blob), options={"range": (0, length)}).stream(STREAMED):
                    back.write(bytes(piece))
            back.settle()
        finally:
            back.close()

    def read(self, blob: str, start: int, size: int) -> S3Reading:
        """Stream an object from here on."""
        import obstore  # noqa: PLC0415  an extra

        with _asking(blob):
            found = obstore.get(self._store, _name(blob), options={"range": (start, size)})
        if found.meta["size"] != size:
            raise DamagedError(blob)
        return S3Reading(iter(found.stream(STREAMED)), blob)

    def has(self, blob: str, size: int) -> bool:
        """Its head."""
        import obstore  # noqa: PLC0415  an extra

        try:
            with _asking(blob):
                return obstore.head(self._store, _name(blob))["size"] == size
        except DamagedError:
            return False

    def remove(self, blob: str) -> None:
        """Both."""
        import obstore  # noqa: PLC0415  an extra

        self._folder.remove(blob)
        with contextlib.suppress(DamagedError), _asking(blob):
            obstore.delete(self._store, _name(blob))

    def listed(self, older_than_s: float) -> Iterator[str]:
        """Both."""
        import obstore  # noqa: PLC0415  an extra

        yield from self._folder.listed(older_than_s)
        before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=older_than_s)
        with _asking():
            for batch in obstore.list(self._store):
                yield from (one["path"].rpartition("/")[2] for one in batch if one["last_modified"] < before)


class S3Appending:
    """An upload in the folder, whose end is an object."""

    def __init__(self, local: FolderAppending, store: S3Store, partial: Path, blob: str) -> None:
        self._local, self._store, self._partial, self._blob = local, store, partial, blob
        self.tail, self.write, self.settle, self.close = local.tail, local.write, local.settle, local.close

    def finish(self) -> None:
        """The object first, then no file: what is acknowledged is in the bucket."""
        import obstore  # noqa: PLC0415  an extra

        self.settle()
        with _asking(self._blob):
            obstore.put(self._store, _name(self._blob), self._partial, chunk_size=PART, max_concurrency=AT_ONCE)
        self._partial.unlink()


class S3Reading:
    """An object as it comes."""

    def __init__(self, pieces: Iterator[Any], blob: str) -> None:
        self._pieces, self._blob = pieces, blob
        self._waiting = bytearray()

    def read(self, length: int) -> bytes:
        """The next bytes, as soon as they are there."""
        while len(self._waiting) < length:
            with _asking(self._blob):
                piece = next(self._pieces, None)
            if piece is None:
                raise DamagedError(self._blob)
            self._waiting += bytes(piece)
        found = bytes(self._waiting[:length])
        del self._waiting[:length]
        return found

    def close(self) -> None:
        """Let go of the connection."""
        self._pieces = iter(())
