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
from kith.app.settings import Settings, SettingsError
from kith.messaging.blob_format import DamagedError
from kith.messaging.blob_storage import Folder, FolderAppending, Storage, StorageAwayError

if TYPE_CHECKING:
    from obstore.store import S3Store

PART: Final = 5 * 1024 * 1024
"""Bytes of one part of an upload to S3: the least that S3 takes, so that a slow line brings it in time."""
AT_ONCE: Final = 2
"""Parts under way: with `PART` what one finished upload holds in memory."""
FIRST_WINDOW: Final = 256 * 1024
WINDOW: Final = 1024 * 1024
"""Bytes of one request at most, the first smaller: a reader has so much in memory, and no request lasts as long as a
slow reader does. For `timeout` counts from the first byte of a request to the last one of its answer."""
READ_WITHIN: Final = "60s"
PUT_WITHIN: Final = "300s"
"""How long one request may last; two parts at once need 0.3 Mbit/s."""
SILENT: Final = "30s"
"""How long nothing may come within one."""
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


def elsewhere(settings: Settings) -> str:
    """The setting that names another place than the server's own folder; empty for that."""
    return os.environ.get("KITH_BLOBS", settings.blobs)


def configured(settings: Settings, data: Path) -> Storage:
    """Where the server with this folder keeps attachments."""
    return storage(elsewhere(settings), settings.blobs_key_file, data / "blobs")


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

    def within(timeout: str) -> S3Store:
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            client_options={"allow_http": plain, "timeout": timeout, "read_timeout": SILENT, "connect_timeout": "5s"},
            retry_config={"max_retries": RETRIES, "retry_timeout": dt.timedelta(seconds=30)},
            **options,
        )

    return S3Storage(within(READ_WITHIN), Folder(folder), puts=within(PUT_WITHIN))


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

    def __init__(self, store: S3Store, folder: Folder, *, puts: S3Store) -> None:
        self._store, self._folder, self._puts = store, folder, puts

    def append(self, blob: str, length: int) -> S3Appending:
        """Go on in the folder; what had left already, and was not recorded, comes back first."""
        if length and not self._folder.partial(blob).exists():
            self._fetch_back(blob, length)
        return S3Appending(self._folder.append(blob, length), self._puts, self._folder.partial(blob), blob)

    def _fetch_back(self, blob: str, length: int) -> None:
        back, reading = self._folder.append(blob, 0), S3Reading(self._store, blob, 0, None)
        try:
            for start in range(0, length, WINDOW):
                back.write(reading.read(min(WINDOW, length - start)))
            back.settle()
        finally:
            back.close()

    def read(self, blob: str, start: int, size: int) -> S3Reading:
        """An object from here on. The first bytes are fetched now, and with them its size."""
        reading = S3Reading(self._store, blob, start, size)
        reading.fetch()
        return reading

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
    """An object in windows, each a request of its own: nothing is open while its reader does something else."""

    def __init__(self, store: S3Store, blob: str, start: int, size: int | None) -> None:
        self._store, self._blob, self._at, self._size = store, blob, start, size
        self._window, self._waiting = FIRST_WINDOW, bytearray()

    def fetch(self) -> None:
        """The next window. DamagedError when there is none, or when the object is of another size."""
        import obstore  # noqa: PLC0415  an extra

        end = self._at + self._window
        if self._size is not None:
            end = min(end, self._size)
        if end <= self._at:
            raise DamagedError(self._blob)
        with _asking(self._blob):
            answer = obstore.get(self._store, _name(self._blob), options={"range": (self._at, end)})
            there = answer.meta["size"]
            got = bytes(answer.bytes()) if self._size in (None, there) else b""
        if not got:
            raise DamagedError(self._blob)
        self._waiting += got
        self._at += len(got)
        self._window = min(2 * self._window, WINDOW)

    def read(self, length: int) -> bytes:
        """The next bytes, as soon as they are there."""
        while len(self._waiting) < length:
            self.fetch()
        found = bytes(self._waiting[:length])
        del self._waiting[:length]
        return found

    def close(self) -> None:
        """Let go of what was not read."""
        self._waiting.clear()
