"""Attachments in S3: the same promises as in a folder, against a server that speaks S3."""

from __future__ import annotations

import asyncio
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from kith.app import blob_s3
from kith.app.blob_s3 import Place, S3Storage
from kith.app.settings import SettingsError
from kith.messaging.blob_format import BLOCK, DamagedError
from kith.messaging.blob_keeper import Progress
from kith.messaging.blob_storage import Folder, StorageAwayError
from messaging.attachments import Depot, ciphertext, depot
from messaging.conftest import town as town  # noqa: PLC0414  a fixture
from messaging.test_blob_keeper import BLOB, SIZE, Died, body
from messaging.test_blob_keeper import Place as Keeping
from messaging.town import Town

KEYS = {blob_s3.KEY_ID: "testing", blob_s3.SECRET: "testing"}


class Bucket:
    """An empty bucket on a server of its own."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.origin = f"http://{host}:{port}"
        self.ask("POST", "/moto-api/reset")  # what other tests stored: all servers of a process share it
        self.ask("PUT", "/attachments")

    def ask(self, method: str, path: str) -> bytes:
        """A plain request, past the library."""
        request = urllib.request.Request(f"{self.origin}{path}", method=method)  # noqa: S310  on loopback
        with urllib.request.urlopen(request) as answer:  # noqa: S310  on loopback
            found: bytes = answer.read()
        return found

    def names(self) -> list[str]:
        """Every object."""
        listing = self.ask("GET", "/attachments?list-type=2").decode()
        return [one.partition("</Key>")[0] for one in listing.split("<Key>")[1:]]

    @property
    def setting(self) -> str:
        """As in kith.toml."""
        return f"s3://attachments/some/prefix?endpoint={self.origin}&region=us-east-1"

    def stop(self) -> None:
        """It does not answer any more."""
        self._server.stop()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """A server that speaks S3."""
    made = Bucket()
    yield made
    made.stop()


@pytest.fixture
def lies(bucket: Bucket, tmp_path: Path) -> S3Storage:
    """A bucket and a folder for uploads."""
    made = blob_s3.storage(bucket.setting, "", tmp_path / "blobs", KEYS)
    assert isinstance(made, S3Storage)
    return made


@pytest.fixture
def blobs(town: Town, tmp_path: Path, lies: S3Storage) -> Iterator[Depot]:
    """A server whose attachments lie there."""
    with depot(town, tmp_path, storage=lies) as made:
        yield made


def test_an_attachment_goes_into_the_bucket_and_comes_back_by_ranges(blobs: Depot, bucket: Bucket) -> None:
    """In parts for S3, in pieces for the client; no file stays, and deleting leaves nothing."""
    ana, ben = blobs.person("ana"), blobs.person("ben")
    data = ciphertext(18 * 1024 * 1024)
    blob = blobs.put(ana, data)
    assert bucket.names() == [f"some/prefix/{blob[:2]}/{blob}"]
    assert blobs.files() == set()
    assert blobs(ben, "GET", f"/{blob}").content == data
    for start, stop in ((0, 1), (BLOCK - 1, BLOCK + 1), (17_000_000, 17_500_000), (len(data) - 1, len(data))):
        part = blobs(ben, "GET", f"/{blob}", headers={"Range": f"bytes={start}-{stop - 1}"})
        assert (part.status_code, part.content) == (206, data[start:stop])
        assert "location" not in part.headers
    assert blobs(ana, "DELETE", f"/{blob}").status_code == 204
    blobs.sweep()
    assert bucket.names() == []


def test_whether_an_object_is_there_is_known_by_its_size(lies: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a bucket that does not answer says neither."""
    import obstore  # noqa: PLC0415  as the code does

    obstore.put(lies._store, f"{BLOB[:2]}/{BLOB}", b"12345")
    assert (lies.has(BLOB, 5), lies.has(BLOB, 6), lies.has("x" * 22, 5)) == (True, False, False)

    def away(*_: Any, **__: Any) -> Any:
        raise OSError("no route")

    monkeypatch.setattr(obstore, "head", away)
    with pytest.raises(StorageAwayError):
        lies.has(BLOB, 5)


def test_no_request_to_the_bucket_lasts_as_long_as_a_slow_reader_does(
    lies: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request's time counts to its last byte: each asks for little, is over at once, and is made when it is due."""
    import obstore  # noqa: PLC0415  as the code does

    data = bytes(range(256)) * 12_000
    obstore.put(lies._store, f"{BLOB[:2]}/{BLOB}", data)
    asked = list[tuple[int, int]]()
    really = obstore.get

    def get(store: Any, name: str, *, options: Any) -> Any:
        asked.append(options["range"])
        return really(store, name, options=options)

    monkeypatch.setattr(obstore, "get", get)
    reading = lies.read(BLOB, 1000, len(data))
    assert len(asked) == 1
    got = bytearray()
    while len(got) < len(data) - 1000:
        before = len(asked)
        got += reading.read(min(100_000, len(data) - 1000 - len(got)))
        assert len(asked) - before <= 1, "never further ahead than one window"
    assert bytes(got) == data[1000:]
    assert [start for start, _ in asked] == [1000, *(end for _, end in asked[:-1])]
    assert max(end - start for start, end in asked) <= blob_s3.WINDOW
    with pytest.raises(DamagedError):
        reading.read(1)


def test_an_object_that_is_not_what_was_stored_is_never_served(blobs: Depot, lies: S3Storage) -> None:
    """Another object in its place, a shorter one, none: an error each time."""
    import obstore  # noqa: PLC0415  as the code does

    ana = blobs.person("ana")
    one, two = blobs.put(ana, ciphertext(SIZE)), blobs.put(ana, ciphertext(SIZE, 2))
    other = bytes(obstore.get(lies._store, f"{two[:2]}/{two}").bytes())
    for wrong in (other, other[:-1], other + b"x"):
        obstore.put(lies._store, f"{one[:2]}/{one}", wrong)
        assert blobs(ana, "GET", f"/{one}").json()["error"]["code"] == "damaged"
    obstore.delete(lies._store, f"{one[:2]}/{one}")
    assert blobs(ana, "GET", f"/{one}").json()["error"]["code"] == "damaged"
    assert blobs(ana, "GET", f"/{two}").status_code == 200


def test_a_bucket_that_does_not_answer_is_a_calm_503_and_nothing_is_lost(
    blobs: Depot, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last piece is not acknowledged; when the bucket is back the same piece completes the upload."""
    import obstore  # noqa: PLC0415  as the code does

    ana = blobs.person("ana")
    data = ciphertext(SIZE)
    ready, unwanted = blobs.put(ana, ciphertext(1024)), blobs.put(ana, ciphertext(1024, 3))
    blob = blobs.begin(ana, SIZE)
    assert blobs.bring(ana, blob, 0, data[:70_000]).status_code == 204

    def away(*_: Any, **__: Any) -> Any:
        raise OSError("no route")

    with monkeypatch.context() as broken:
        broken.setattr(obstore, "put", away)
        broken.setattr(obstore, "get", away)
        broken.setattr(obstore, "delete", away)
        assert blobs(ana, "DELETE", f"/{unwanted}").status_code == 204
        blobs.sweep()
        assert blobs(ana, "GET", f"/{unwanted}").status_code == 404
        refused = blobs.bring(ana, blob, 70_000, data[70_000:])
        assert (refused.status_code, refused.headers["upload-offset"]) == (503, "70000")
        assert refused.json()["error"]["retry_after_ms"] > 0
        unreadable = blobs(ana, "GET", f"/{ready}")
        assert (unreadable.status_code, unreadable.json()["error"]["code"]) == (503, "read_only")
    assert blobs.bring(ana, blob, 70_000, data[70_000:]).status_code == 204
    assert blobs(ana, "GET", f"/{blob}").content == data
    assert blobs(ana, "DELETE", f"/{ready}").status_code == 204
    blobs.sweep()  # and with it goes what could not be removed before
    assert [name.rpartition("/")[2] for name in bucket.names()] == [blob]


def test_a_server_that_dies_behind_the_upload_to_the_bucket_goes_on(
    town: Town, tmp_path: Path, lies: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object is there, the row does not say so: what was acknowledged comes back, and the end is brought again."""
    keeping = Keeping(town, tmp_path / "blobs")
    data = ciphertext(SIZE)
    keeping.begin()

    async def story() -> None:
        keeper = keeping.again(lies)
        assert await keeping.bring(0, body(data[:100_000]), keeper) == Progress("all", 100_000)
        with monkeypatch.context() as broken:
            broken.setattr(town.database, "write", _dies)
            with pytest.raises(Died):
                await keeping.bring(100_000, body(data[100_000:]), keeper)
        assert not Folder(tmp_path / "blobs").partial(BLOB).exists()
        assert await keeping.bring(100_000, body(data[100_000:]), keeper) == Progress("all", SIZE)
        assert await keeping.whole(keeper) == data
        keeper.close()

    asyncio.run(story())
    keeping.keeper.close()


async def _dies(*_: Any, **__: Any) -> None:
    raise Died


def test_objects_that_no_row_knows_are_listed_by_their_ids(lies: S3Storage) -> None:
    """Those that have lain for long enough."""
    import obstore  # noqa: PLC0415  as the code does

    obstore.put(lies._store, f"AA/{BLOB}", b"x")
    assert list(lies.listed(-60)) == [BLOB]
    assert list(lies.listed(3600)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "s3://",
        "https://bucket",
        "s3://key:secret@bucket",
        "s3://b?endpoint=ftp://x",
        "s3://b?secret=x",
        "s3://b?x",
        "b",
    ],
)
def test_a_place_that_cannot_be_meant_is_refused_in_words(wrong: str, tmp_path: Path) -> None:
    """Keys never stand in an address, which others may read; nor is a secret of it repeated."""
    with pytest.raises((SettingsError, ValueError)) as refused:
        blob_s3.storage(wrong, "", tmp_path, {})
    assert "secret@" not in str(refused.value)


def test_keys_come_from_a_file_of_their_own_or_the_environment(tmp_path: Path) -> None:
    """The file must be readable by nobody else."""
    file = tmp_path / "s3.key"
    file.touch(0o600)
    file.write_text("an-id\na-secret\n")
    assert blob_s3._keys(str(file), {}) == ("an-id", "a-secret")
    assert blob_s3._keys("", KEYS) == ("testing", "testing")
    assert blob_s3._keys("", {}) is None
    file.write_text("an-id\n")
    with pytest.raises(SettingsError, match="two lines"):
        blob_s3._keys(str(file), {})
    os.chmod(file, 0o644)  # noqa: PTH101
    with pytest.raises(Exception, match=r"s3\.key"):
        blob_s3._keys(str(file), {})
    assert Place.read("s3://b/p/q/?endpoint=https://x:9").prefix == "p/q"
