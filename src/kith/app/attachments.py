"""`kith attachments`: which attachments the database names and the storage has not, or has damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from kith.app import blob_s3
from kith.app.backup import BackupError
from kith.app.looking import opened
from kith.app.settings import Settings
from kith.messaging.blob_format import BLOCK, CHECK, DamagedError, stored_size, unpack
from kith.messaging.blob_storage import Storage, StorageAwayError
from kith.messaging.flows.blobs import Stored, stored

BLOCKS: Final = 16
"""Read at once."""


class Lost(NamedTuple):
    """An attachment that nobody can open any more. Its file is `ab/abcd…` below the folder or the prefix."""

    stored: Stored
    why: str

    def __str__(self) -> str:
        what = "evidence  " if self.stored.evidence else "attachment"
        return f"{self.why}  {what}  {self.stored.blob[:2]}/{self.stored.blob}"


def report(data: Path, *, whole: bool, lies: Storage | None = None) -> tuple[str, bool]:
    """What to say of the attachments of a server, running or not, and whether all are there. `whole`: read them all."""
    storage = lies or blob_s3.configured(Settings.load(data / "kith.toml"), data)
    wanted = _stored(data)
    try:
        suspects = [Lost(one, why) for one in wanted if (why := _flaw(storage, one, whole=whole))]
    except StorageAwayError as away:
        raise BackupError(
            f"The storage of attachments does not answer ({away}). Nothing is known; try again."
        ) from None
    still = set(_stored(data))  # a running server may have ended some meanwhile
    lost = sorted((one for one in suspects if one.stored in still), key=lambda one: not one.stored.evidence)
    evidence = sum(one.stored.evidence for one in lost)
    looked = "read in full" if whole else "looked for; --whole reads them too"
    summary = f"{len(wanted)} attachments {looked}: {len(lost)} lost, {evidence} of them evidence."
    return "\n".join([*map(str, lost), summary]), not lost


def after_restore(data: Path) -> str:
    """A sentence for who restored, empty when nothing is lost. A bucket is not asked: it may be far."""
    if blob_s3.elsewhere(Settings.load(data / "kith.toml")):
        return f" Whether the bucket has all attachments, says: kith attachments --data {data}."
    said, all_there = report(data, whole=False)
    if all_there:
        return ""
    return f" Attachments: {said.splitlines()[-1]} For their names: kith attachments --data {data}."


def _stored(data: Path) -> list[Stored]:
    database = opened(data)
    try:
        return database.read_now(stored)
    finally:
        database.close_now()


def _flaw(storage: Storage, one: Stored, *, whole: bool) -> str:
    if not storage.has(one.blob, stored_size(one.size)):
        return "missing"
    try:
        if whole:
            _read(storage, one)
    except DamagedError:
        return "damaged"
    return ""


def _read(storage: Storage, one: Stored) -> None:
    """All of it against its checksums."""
    length, piece = stored_size(one.size), BLOCKS * (BLOCK + CHECK)
    reading = storage.read(one.blob, 0, length)
    try:
        for number, at in enumerate(range(0, length, piece)):
            for _ in unpack(one.blob, number * BLOCKS, reading.read(min(piece, length - at))):
                pass
    finally:
        reading.close()
