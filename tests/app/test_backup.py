"""Backup and restore: consistent while the server writes, checked, never half, never with the keys."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest
from sqlalchemy import select

from kith.app import attachments, audit_heads, backup, files, replaying, restore, setting_up
from kith.app.backup import BackupError
from kith.app.keys import Keys
from kith.app.wiring import Kith, projectors
from kith.ledger import audit, log
from kith.ledger.database import Database, Tx, wall_clock
from kith.ledger.decision import refuse
from kith.ledger.failstop import StorageError
from kith.messaging.blob_format import Packer
from kith.messaging.blob_storage import Folder, StorageAwayError
from kith.messaging.flows import blobs, delivery, restoring
from kith.messaging.flows.restoring import LEAP
from kith.messaging.store import heads, mailbox
from kith.sdk.receive import FARTHEST_SEQ
from kith.sdk.room import FARTHEST_AHEAD


def made(folder: Path) -> Path:
    """A server's folder."""
    setting_up.create(folder, name="kith.example", origin="https://kith.example", staff_origin="https://s.example")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A server with a little in it."""
    folder = made(tmp_path / "server")
    written(folder, 3)
    return folder


def written(data: Path, count: int) -> None:
    """Some facts, and a room that has come to position 5."""
    database = Database(data / "kith.db", projectors())
    database.create_tables()
    for n in range(count):
        database.write_now(log.record, "policy", f"person-{n}", refuse("rule", "because"), {"n": n})
    if database.read_now(lambda reader: reader.one(select(heads))) is None:
        room = {"room": "r", "epoch": 1, "room_pos": 5, "room_seq": 4, "last_ms": 1}
        database.write_now(lambda tx: tx.put(heads, **room))
    database.close_now()


def decisions(data: Path) -> set[str]:
    """What is recorded in a folder's database."""
    database = Database(data / "kith.db", projectors())
    found = {row.decision for row in database.read_now(lambda reader: reader.all(select(log.decisions)))}
    database.close_now()
    return found


def test_a_backup_taken_while_the_server_writes_is_consistent_and_complete(data: Path, tmp_path: Path) -> None:
    """Everything confirmed before it began is in it, replay equals it, and the writer never stopped."""
    confirmed: list[str] = []
    enough, stop = threading.Event(), threading.Event()

    def writing() -> None:
        async def run() -> None:
            database = Database(data / "kith.db", projectors())
            while not stop.is_set():
                confirmed.append(await database.write(log.record, "p", "somebody", refuse("r", "b"), {}))
                if len(confirmed) == 50:
                    enough.set()
            await database.close()

        asyncio.run(run())

    writer = threading.Thread(target=writing)
    writer.start()
    try:
        assert enough.wait(60)
        before = list(confirmed)
        said = backup.make(data, tmp_path / "copy")
        in_it_at_most = set(confirmed) | decisions(data)
    finally:
        stop.set()
        writer.join()
    assert "The keys are not in it" in said
    fresh = tmp_path / "elsewhere"
    fresh.mkdir()
    shutil.copytree(data / "keys", fresh / "keys")
    restore.put_back(tmp_path / "copy", fresh, replace=False)
    assert set(before) <= decisions(fresh) <= in_it_at_most | set(confirmed)
    database = Database(fresh / "kith.db", projectors())
    assert replaying.differences(database, projectors()) == []
    database.close_now()


def test_a_plain_copy_of_the_file_alone_is_found_out(data: Path, tmp_path: Path) -> None:
    """The control: the database file without its log lacks what was confirmed last."""
    database = Database(data / "kith.db", projectors())
    last = database.write_now(log.record, "p", "somebody", refuse("r", "b"), {})
    (tmp_path / "naive").mkdir()
    shutil.copyfile(data / "kith.db", tmp_path / "naive" / "kith.db")
    backup.make(data, tmp_path / "copy")
    database.close_now()
    assert last not in decisions(tmp_path / "naive")
    assert last in decisions(tmp_path / "copy")


def test_nothing_secret_and_nothing_for_others_to_read(data: Path, tmp_path: Path) -> None:
    """No key's bytes anywhere in it, 0600 files in a 0700 folder; the control finds them where they are."""
    backup.make(data, tmp_path / "copy")
    inside = b"".join(file.read_bytes() for file in (tmp_path / "copy").iterdir())
    keys = [file for file in (data / "keys").iterdir() if file.name != "manifest.json"]
    assert len(keys) >= 4
    assert all(key.read_bytes()[:32] not in inside for key in keys)
    assert all(key.read_bytes()[:32] in b"".join(k.read_bytes() for k in keys) for key in keys)
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o177 == 0 for file in (tmp_path / "copy").iterdir())


@pytest.mark.parametrize("step", ["copy_database", "digest", "signing_keys"])
def test_a_backup_that_fails_leaves_nothing_that_looks_like_one(
    step: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong on the way, the name asked for does not appear and nothing is left beside it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(backup, step, full)
    with pytest.raises(OSError, match="No space"):
        backup.make(data, tmp_path / "copy")
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_database_is_not_backed_up_as_if_it_were_sound(data: Path, tmp_path: Path) -> None:
    """An index that disagrees with its table is found by reading everything."""
    damaged = apsw.Connection(str(data / "kith.db"))
    damaged.execute("INSERT INTO cursors VALUES ('a', 1)")
    damaged.pragma("writable_schema", "on")
    damaged.execute(
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'heads') "
        "WHERE name = 'sqlite_autoindex_cursors_1'"
    )
    damaged.close()
    with pytest.raises(StorageError):
        backup.make(data, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.fixture
def copy(data: Path, tmp_path: Path) -> Path:
    """A backup of the server."""
    backup.make(data, tmp_path / "copy")
    return tmp_path / "copy"


def test_one_flipped_bit_is_refused(copy: Path, data: Path) -> None:
    """Any file of a backup, anywhere."""
    for file in sorted(copy.iterdir()):
        if file.name == backup.MANIFEST:
            continue
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        original = file.read_bytes()
        file.write_bytes(content)
        with pytest.raises(BackupError, match=f"{file.name} is missing or altered"):
            restore.put_back(copy, data, replace=True)
        file.write_bytes(original)


def test_a_folder_without_its_manifest_is_no_backup(copy: Path, data: Path) -> None:
    """What was cut short, or copied in part."""
    (copy / backup.MANIFEST).unlink()
    with pytest.raises(BackupError, match="no complete backup"):
        restore.put_back(copy, data, replace=True)


def test_a_living_server_is_never_overwritten(copy: Path, data: Path) -> None:
    """Not even when told to; and two servers never share a folder."""
    server = Kith(data)
    with pytest.raises(files.OccupiedError, match="Stop it first"):
        restore.put_back(copy, data, replace=True)
    with pytest.raises(files.OccupiedError):
        Kith(data)
    asyncio.run(server.stop())
    restore.put_back(copy, data, replace=True)


def test_a_database_that_is_there_is_replaced_only_when_told_and_kept(copy: Path, data: Path) -> None:
    """The refusal says what would go; with --replace the newer one is put aside, whole."""
    written(data, 4)
    newer = decisions(data)
    with pytest.raises(BackupError, match=r"up to event 7.* ends at 3.*--replace"):
        restore.put_back(copy, data, replace=False)
    said = restore.put_back(copy, data, replace=True)
    assert decisions(data) < newer
    aside = next(data.glob("replaced-*"))
    assert str(aside) in said
    assert decisions(aside) == newer


def test_what_the_manifest_does_not_list_is_not_taken(copy: Path, data: Path, tmp_path: Path) -> None:
    """A file that somebody put beside the backup has no digest, so nobody has vouched for it."""
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copytree(data / "keys", fresh / "keys")
    names = [backup.SETTINGS, audit_heads.NAME]
    listed = msgspec.json.decode((copy / backup.MANIFEST).read_bytes(), type=backup.Manifest).files
    assert [name in listed for name in names] == [True, False]
    (copy / audit_heads.NAME).write_text("forged\n")
    restore.put_back(copy, fresh, replace=False)
    assert [(fresh / name).exists() for name in names] == [True, False]


def test_keys_of_another_server_or_older_ones_are_refused(copy: Path, data: Path, tmp_path: Path) -> None:
    """With the wrong keys nothing old could be proven any more; newer ones of the same server are right."""
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    with pytest.raises(BackupError, match="holds no keys"):
        restore.put_back(copy, fresh, replace=False)
    shutil.copytree(made(tmp_path / "other") / "keys", fresh / "keys")
    with pytest.raises(BackupError, match="does not belong"):
        restore.put_back(copy, fresh, replace=False)
    shutil.rmtree(fresh / "keys")
    shutil.copytree(data / "keys", fresh / "keys")

    Keys(fresh / "keys").rotate_signer(wall_clock())
    restore.put_back(copy, fresh, replace=False)
    assert decisions(fresh) == decisions(data)


def test_numbers_given_out_after_the_backup_are_not_given_again(copy: Path, data: Path) -> None:
    """Positions in rooms, ids of mails and events leap ahead, and the staff log says what happened."""
    restore.put_back(copy, data, replace=True)
    database = Database(data / "kith.db", projectors())
    head = database.read_now(lambda reader: reader.one(select(heads)))
    assert head is not None
    assert head.room_pos - 5 == head.room_seq - 4 >= LEAP
    database.write_now(delivery.post, "d", 1, "r", 1)
    assert database.read_now(lambda reader: reader.value(select(mailbox.c.mail))) > LEAP
    assert database.read_now(audit.head).seq == 1
    assert isinstance(database.read_now(audit.verify, None), audit.Intact)
    database.close_now()


def test_the_same_backup_restored_again_gives_out_nothing_that_the_first_restore_did(
    copy: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour and a thousand messages later; the leap grows with the age of the backup, within what clients believe."""
    given, made_ms = [], wall_clock()
    for now_ms in (made_ms, made_ms + 3_600_000):
        monkeypatch.setattr(restore, "wall_clock", lambda ms=now_ms: ms)
        restore.put_back(copy, data, replace=True)
        database = Database(data / "kith.db", projectors())
        head = database.read_now(lambda reader: reader.one(select(heads)))
        mail = database.write_now(delivery.number_mails, 1)
        database.close_now()
        assert head is not None
        given.append((head.room_pos, head.room_seq, mail))
    assert all(again > first + 1_000 for first, again in zip(*given, strict=True))
    assert restoring.far(3 * 365 * 86_400_000) < FARTHEST_AHEAD == FARTHEST_SEQ
    assert restoring.far(-5_000) == LEAP


def cuts() -> Iterator[int]:
    """Which rename of an exchange the power fails at."""
    yield from range(3)


@pytest.mark.parametrize("at", list(cuts()))
def test_a_restore_cut_short_lets_no_server_start_between_two_databases(
    at: int, copy: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any of its renames: no server starts, and running it again finishes; nothing of the old one is lost."""
    old = decisions(data)
    (data / "audit-heads.log").write_text("")
    renamed = 0
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        nonlocal renamed
        renamed += 1
        if renamed > at:
            raise OSError("power")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="power"):
        restore.put_back(copy, data, replace=True)
    monkeypatch.undo()
    assert "cut short" in str(backup.unfinished(data))
    restore.put_back(copy, data, replace=True)
    assert backup.unfinished(data) is None
    assert decisions(data) == old
    asides = [aside for aside in data.glob("replaced-*") if (aside / "kith.db").exists()]
    assert any(decisions(aside) == old for aside in asides)


def test_no_server_begins_empty_where_its_database_is_missing(data: Path) -> None:
    """A lost file is a sentence, not a new empty server under an old name."""
    (data / "kith.db").unlink()
    assert "is missing. Restore a backup" in str(backup.unfinished(data))


# --- attachments ------------------------------------------------------------------------------------------------------

IDS = [f"{number:02d}".ljust(21, "-") + "A" for number in range(4)]
SIZES = (1024, 4 * 1024 * 1024, 1024, 2048)


def with_attachments(data: Path) -> Folder:
    """Four of them: an ordinary one, a large one, one that a report needs and its sender deleted, one unfinished."""
    folder = Folder(data / "blobs")
    database = Database(data / "kith.db", projectors())
    database.create_tables()

    def bring(tx: Tx) -> None:
        for blob, size in zip(IDS, SIZES, strict=True):
            assert isinstance(blobs.begin(tx, "ana", blob, size, key=b"k"), blobs.Held)
            if blob != IDS[3]:
                blobs.received(tx, blob, size)
        assert blobs.hold(tx, IDS[2], SIZES[2], "an exhibit")
        assert blobs.remove(tx, "ana", IDS[2]) is None

    database.write_now(bring)
    database.close_now()
    for blob, size in list(zip(IDS, SIZES, strict=True))[:3]:
        packer, appending = Packer(blob, 0, b""), folder.append(blob, 0)
        appending.write(packer.pack(bytes(size)) + packer.end())
        appending.finish()
        appending.close()
    return folder


def test_attachments_that_the_storage_lost_are_named_evidence_first(data: Path) -> None:
    """Missing, cut and rotten ones; the last are found by reading alone. What is sound or unfinished is no loss."""
    folder = with_attachments(data)
    said, all_there = attachments.report(data, whole=True)
    assert (said, all_there) == ("3 attachments read in full: 0 lost, 0 of them evidence.", True)
    with folder.path(IDS[1]).open("r+b") as file:
        file.seek(3_000_000)
        file.write(b"rot")
    folder.path(IDS[2]).unlink()
    said, all_there = attachments.report(data, whole=False)
    assert not all_there
    assert said.splitlines()[:-1] == [f"missing  evidence    {IDS[2][:2]}/{IDS[2]}"]
    said, _ = attachments.report(data, whole=True)
    assert [line.split() for line in said.splitlines()[:-1]] == [
        ["missing", "evidence", f"{IDS[2][:2]}/{IDS[2]}"],
        ["damaged", "attachment", f"{IDS[1][:2]}/{IDS[1]}"],
    ]
    assert said.splitlines()[-1] == "3 attachments read in full: 2 lost, 1 of them evidence."


def test_a_restore_says_which_attachments_did_not_come_along(data: Path, tmp_path: Path) -> None:
    """Without the folder all are lost, and that is said; with it, put back beside the keys, nothing is."""
    with_attachments(data)
    backup.make(data, tmp_path / "copy")
    for place, along in (("bare", False), ("whole", True)):
        fresh = tmp_path / place
        fresh.mkdir()
        shutil.copytree(data / "keys", fresh / "keys")
        if along:
            shutil.copytree(data / "blobs", fresh / "blobs")
        said = restore.put_back(tmp_path / "copy", fresh, replace=False)
        assert ("3 lost, 1 of them evidence" in said) == (not along), said
        assert ("kith attachments --data" in said) == (not along)


def test_a_storage_that_does_not_answer_is_not_called_lost(data: Path) -> None:
    """One sentence, and no list."""
    folder = with_attachments(data)

    class Away(Folder):
        def has(self, blob: str, size: int) -> bool:  # noqa: ARG002  it answers nothing
            raise StorageAwayError("S3: GenericError")

    with pytest.raises(BackupError, match="does not answer"):
        attachments.report(data, whole=False, lies=Away(folder.folder))
