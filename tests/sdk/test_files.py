"""Files between two people on the SDK, over a real server: sent, resumed, opened, and refused when they lie."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self

import pytest
from PIL import Image
from PIL.ExifTags import GPS

from journeys.harness import Server
from kith.protocol.attachments import CHUNK
from kith.sdk import BadFile, Client, FileToSend, Message, Refused, Unreachable, transfer
from kith.sdk.api import Api
from kith.sdk.files import _safe_name
from kith.sdk.transfer import Progress
from sdk.meeting import Meeting, introduce, next_message

PLACE = b"48.8584 north"


def noise(length: int) -> bytes:
    """Bytes that no two files share."""
    return os.urandom(length)


def names_in(folder: Path) -> set[str]:
    """Everything in a folder."""
    return {one.name for one in folder.iterdir()}


def photo(kind: str = "JPEG") -> bytes:
    """A picture that says where it was taken, and stands on its side."""
    image = Image.effect_noise((60, 40), 60).convert("RGB")
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    exif[0x010E] = PLACE.decode()
    exif.get_ifd(0x8825)[GPS.GPSLatitude] = (48.0, 51.0, 30.0)
    out = io.BytesIO()
    image.save(out, kind, exif=exif, **({"comment": PLACE} if kind == "JPEG" else {}))
    assert PLACE in out.getvalue()
    return out.getvalue()


def test_files_go_and_come_back_as_they_were(meeting: Meeting, tmp_path: Path) -> None:
    """An album with a caption: bytes, a path and a stream; read and saved by the other side and by oneself."""

    async def story() -> None:
        async with meeting.client("ana") as ana, meeting.client("ben") as ben:
            await meeting.join(ana, "ana")
            await meeting.join(ben, "ben")
            here, _ = await introduce(ana, ben)
            first, second, third = noise(3 * CHUNK + 77), noise(10), b""
            (tmp_path / "notes.pdf").write_bytes(second)
            seen: list[Progress] = []
            sent = await here.send_files(
                [
                    FileToSend(source=first, name="film.bin", description="noise"),
                    FileToSend(source=tmp_path / "notes.pdf"),
                    FileToSend(source=io.BytesIO(third), name="empty"),
                ],
                caption="Three of them",
                progress=seen.append,
            )
            assert [len(file.name) > 0 for file in sent.files] == [True] * 3
            assert seen[-1].done == seen[-1].total
            assert [one.done for one in seen] == sorted(one.done for one in seen)
            message = await next_message(ben)
            assert (message.text, message.kind, len(message.files)) == ("Three of them", "text", 3)
            film, notes, empty = message.files
            assert (film.name, film.description, film.media_type) == ("film.bin", "noise", "application/octet-stream")
            assert (notes.name, notes.media_type, notes.length) == ("notes.pdf", "application/pdf", 10)
            assert await film.read() == first
            assert await empty.read() == third
            saved = await notes.save(tmp_path / "copy.pdf")
            assert saved.read_bytes() == second
            assert saved.stat().st_mode & 0o777 == 0o600
            with pytest.raises(FileExistsError):
                await notes.save(tmp_path / "copy.pdf")
            assert names_in(tmp_path) == {"notes.pdf", "copy.pdf"}
            assert here.history(1)[0].files[1] == sent.files[1]
            assert await here.history(1)[0].files[1].read() == second

    asyncio.run(story())


def test_a_photo_leaves_without_the_place_where_it_was_taken(meeting: Meeting) -> None:
    """Upright, with its size and a thumbhash; as it is only when that is asked for."""

    async def story() -> None:
        async with meeting.client("cleo") as cleo, meeting.client("dan") as dan:
            await meeting.join(cleo, "cleo")
            await meeting.join(dan, "dan")
            here, _ = await introduce(cleo, dan)
            for kind, name, to in (
                ("JPEG", "a.jpg", "image/jpeg"),
                ("PNG", "b.png", "image/png"),
                ("TIFF", "c.tif", "image/jpeg"),
            ):
                raw = photo(kind)
                await here.send_file(raw, name=name)
                [file] = (await next_message(dan)).files
                got = await file.read()
                assert PLACE not in got
                assert (file.media_type, file.inline) == (to, True)
                with Image.open(io.BytesIO(got)) as clean:
                    assert clean.size == (40, 60)
                    assert not clean.getexif()
                assert file.media is not None
                assert (file.media.width, file.media.height) == (40, 60)
                assert 5 <= len(file.media.thumbhash or b"") <= 32
            await here.send_file(photo(), name="raw.jpg", as_is=True)
            [raw_file] = (await next_message(dan)).files
            assert PLACE in await raw_file.read()
            with pytest.raises(BadFile) as refused:
                await here.send_file(b"no picture at all", name="x.png")
            assert refused.value.reason == "picture"
            assert here.uploads() == []

    asyncio.run(story())


def test_an_upload_that_was_cut_goes_on_where_it_stopped(
    meeting: Meeting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in another run of the program; a file that changed meanwhile is refused before a byte of it leaves."""
    data = noise(9 * CHUNK)
    source = tmp_path / "long.bin"
    source.write_bytes(data)

    async def broken_off(client: Client, room: str) -> None:
        """The second piece never arrives."""
        real = transfer.bring

        async def once(api: Api, blob: str, offset: int, data: bytes) -> int:
            if offset:
                raise RuntimeError("the power is gone")
            return await real(api, blob, offset, data)

        with monkeypatch.context() as patched:
            patched.setattr(transfer, "bring", once)
            with pytest.raises(RuntimeError):
                await client.room(room).send_file(source, caption="long")

    async def story() -> None:
        async with meeting.client("eve") as eve, meeting.client("fay") as fay:
            await meeting.join(eve, "eve")
            await meeting.join(fay, "fay")
            here, _ = await introduce(eve, fay)
            await broken_off(eve, here.id)
        async with meeting.client("eve") as eve, meeting.client("fay") as fay:
            [upload] = eve.room(here.id).uploads()
            assert (upload.caption, upload.names) == ("long", ("long.bin",))
            source.write_bytes(b"z" + data[1:5] + b"z" * (len(data) - 5))
            with pytest.raises(BadFile) as changed:
                await upload.resume()
            assert changed.value.reason == "changed"
            source.write_bytes(data)
            seen: list[Progress] = []
            await upload.resume(seen.append)
            assert seen[0].done > 4 * CHUNK, "it began anew"
            message = await next_message(fay)
            assert await message.files[0].read() == data
            assert eve.room(here.id).uploads() == []

    asyncio.run(story())


def test_a_forgotten_upload_is_gone_here_and_on_the_server(meeting: Meeting, tmp_path: Path) -> None:
    """`cancel` takes the bytes back."""

    async def story() -> None:
        async with meeting.client("gus") as gus, meeting.client("hal") as hal:
            await meeting.join(gus, "gus")
            await meeting.join(hal, "hal")
            here, _ = await introduce(gus, hal)
            source = tmp_path / "x.bin"
            source.write_bytes(noise(5 * CHUNK))

            def stop(_: Progress) -> None:
                task.cancel()

            task = asyncio.create_task(here.send_file(source, progress=stop))
            with pytest.raises(asyncio.CancelledError):
                await task
            [upload] = here.uploads()
            blob = upload._record.files[0].blob
            assert await transfer.offset_of(gus.api, blob) > 0
            await upload.cancel()
            assert here.uploads() == []
            with pytest.raises(Refused, match="nothing here"):
                await transfer.offset_of(gus.api, blob)

    asyncio.run(story())


def test_a_program_that_ends_behind_its_upload_sends_the_message_once(
    meeting: Meeting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is the message, not the upload: there is nothing to take up twice."""

    async def story() -> None:
        async with meeting.client("ole") as ole, meeting.client("pam") as pam:
            await meeting.join(ole, "ole")
            await meeting.join(pam, "pam")
            here, _ = await introduce(ole, pam)
            source = tmp_path / "once.txt"
            source.write_bytes(b"once")
            monkeypatch.setattr(ole, "sent", _power_cut)
            with pytest.raises(RuntimeError):
                await here.send_file(source)
        async with meeting.client("ole") as ole, meeting.client("pam") as pam:
            assert ole.room(here.id).uploads() == []
            assert await (await next_message(pam)).files[0].read() == b"once"
            await ole.room(here.id).send("and that was all")
            assert (await next_message(pam)).text == "and that was all"

    asyncio.run(story())


async def _power_cut(_: object) -> Message:
    raise RuntimeError("the power is gone")


def test_a_lost_connection_is_taken_up_again(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up: the answer is lost after the server stored the bytes. Down: the stream ends in the middle, every time."""

    async def story() -> None:
        async with meeting.client("ida") as ida, meeting.client("jon") as jon:
            await meeting.join(ida, "ida")
            await meeting.join(jon, "jon")
            here, _ = await introduce(ida, jon)
            data, real, lost = noise(9 * CHUNK), transfer.bring, []

            async def deaf(api: Api, blob: str, offset: int, piece: bytes) -> int:
                went = await real(api, blob, offset, piece)
                if offset not in lost:
                    lost.append(offset)
                    raise Unreachable("the answer is lost")
                return went

            monkeypatch.setattr(transfer, "PAUSE_S", 0.001)
            with monkeypatch.context() as patched:
                patched.setattr(transfer, "bring", deaf)
                await here.send_file(data)
            assert len(lost) > 1
            message = await next_message(jon)
            reading, cuts = Api.reading, []

            def cut(api: Api, path: str, headers: dict[str, str]) -> object:
                cuts.append(headers.get("Range", ""))
                return _CutShort(reading(api, path, headers), 2 * CHUNK)

            monkeypatch.setattr(Api, "reading", cut)
            assert await message.files[0].read() == data
            assert len(cuts) >= 4
            assert all(cuts[1:])

    asyncio.run(story())


class _CutShort:
    """An answer that ends too early."""

    def __init__(self, opened: object, after: int) -> None:
        self.opened, self.after = opened, after

    async def __aenter__(self) -> Self:
        self.answer = await self.opened.__aenter__()  # type: ignore[attr-defined]
        self.headers = self.answer.headers
        return self

    async def __aexit__(self, *how: object) -> None:
        await self.opened.__aexit__(*how)  # type: ignore[attr-defined]

    async def aiter_raw(self) -> AsyncGenerator[bytes, None]:
        """Some of it."""
        done = 0
        async for chunk in self.answer.aiter_raw():
            done += len(chunk)
            yield chunk
            if done > self.after:
                raise Unreachable("broke off")


def test_a_file_that_is_not_what_was_sent_is_refused_and_the_chat_goes_on(
    meeting: Meeting, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged on the server, taken back, another ciphertext under the same id; nothing of it is left in the folder."""

    async def story() -> None:
        async with meeting.client("kim") as kim, meeting.client("lou") as lou:
            await meeting.join(kim, "kim")
            await meeting.join(lou, "lou")
            here, _ = await introduce(kim, lou)
            reasons = []
            for harm in (_rot, _lie, _take_back):
                await here.send_file(noise(3 * CHUNK), name="../../.bashrc")
                message = await next_message(lou)
                with monkeypatch.context() as patched:
                    await harm(server, kim, _blob(here.history(1)[0]), patched)
                    with pytest.raises(BadFile) as refused:
                        await message.files[0].save(tmp_path)
                reasons.append(refused.value.reason)
            assert reasons == ["attachment_damaged", "attachment_hash", "attachment_missing"]
            assert names_in(tmp_path) == set()
            await here.send("still here")
            assert (await next_message(lou)).text == "still here"

    asyncio.run(story())


def _blob(message: Message) -> str:
    sealed = message.files[0]._facts.sealed
    assert sealed is not None
    return sealed.blob


async def _rot(server: Server, _: Client, blob: str, __: pytest.MonkeyPatch) -> None:
    [file] = (server.data / "blobs").rglob(blob)
    stored = bytearray(file.read_bytes())
    stored[2 * CHUNK] ^= 1
    file.write_bytes(stored)


async def _lie(_: Server, __: Client, ___: str, patched: pytest.MonkeyPatch) -> None:
    """What a server can do, which knows nothing but the length."""

    async def lying(_api: Api, _blob: str, size: int, _told: object) -> AsyncGenerator[bytes, None]:
        yield bytes(size)

    patched.setattr(transfer, "download", lying)


async def _take_back(_: Server, kim: Client, blob: str, __: pytest.MonkeyPatch) -> None:
    await transfer.remove(kim.api, blob)


def test_the_server_keeps_nothing_that_a_file_says(meeting: Meeting, server: Server) -> None:
    """Neither its bytes nor its name, type or description, anywhere; its uploader's own name (the control) is there."""

    async def story() -> None:
        async with meeting.client("pia") as pia, meeting.client("quin") as quin:
            await meeting.join(pia, "pia")
            await meeting.join(quin, "quin")
            here, _ = await introduce(pia, quin)
            said = [f"canary-{secrets.token_hex(8)}" for _ in range(4)]
            content, name, media_type, description = said
            await here.send_file(
                content.encode() * 5000, name=name, media_type=f"application/x-{media_type}", description=description
            )
            await (await next_message(quin)).files[0].read()
            kept = b"".join(file.read_bytes() for file in everything(server))
            assert [word for word in said if word.encode() in kept] == []
            assert pia.handle.encode() in kept

    asyncio.run(story())


def everything(server: Server) -> list[Path]:
    """Every file that the server writes."""
    return [file for file in (*server.data.rglob("*"), server.log) if file.is_file()]


def test_what_cannot_be_sent_says_so_before_anything_leaves(meeting: Meeting, tmp_path: Path) -> None:
    """Too large, missing, too many, none."""

    async def story() -> None:
        async with meeting.client("mia") as mia, meeting.client("ned") as ned:
            await meeting.join(mia, "mia")
            await meeting.join(ned, "ned")
            here, _ = await introduce(mia, ned)
            large = tmp_path / "large"
            with large.open("wb") as sparse:
                sparse.truncate(64 * CHUNK)
            for source, reason in ((large, "too_large"), (tmp_path / "absent", "unreadable"), (tmp_path, "unreadable")):
                with pytest.raises(BadFile) as refused:
                    await here.send_file(source)
                assert refused.value.reason == reason
            one = FileToSend(source=b"x")
            for files in ([], [one] * 11):
                with pytest.raises(Refused):
                    await here.send_files(files)
            assert here.uploads() == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("said", "saved"),
    [
        ("notes.pdf", "notes.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.exe", "evil.exe"),
        (".bashrc", "bashrc"),
        ("", "file"),
        ("...", "file"),
        ("a\0b\nc\u202egpj.exe", "abcgpj.exe"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_name_that_somebody_else_chose_stays_in_its_folder(said: str, saved: str) -> None:
    """Neither a folder nor a hidden file nor one whose name reads backwards."""
    assert _safe_name(said) == saved
