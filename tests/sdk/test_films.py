"""Films and voice notes: what they show before they play, and that they leave without saying where they were made."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest
from PIL import Image

from kith.protocol.attachments import MAX_POSTER
from kith.sdk import BadFile, FileToSend, Message, films
from kith.sdk.films import Facts
from kith.sdk.records import FileRecord
from kith.sdk.sending import MAX_POSTERS, _opened, _with_room
from sdk.films import HEIGHT, MADE_BY, PLACE, WIDTH, film, pictures_and_sound, turned, voice
from sdk.meeting import Meeting, eventually, introduce, next_message


def leaves(name: str, data: bytes, *, spoken: bool = False) -> tuple[bytes, Facts]:
    """What would leave of a file, and what is known of it."""

    async def story() -> tuple[bytes, Facts]:
        async with _opened(FileToSend(source=data, name=name, voice=spoken)) as leaving:
            return leaving.plain.read(0, leaving.plain.length), leaving.facts

    return asyncio.run(story())


def records(data: bytes) -> dict[str, str]:
    """Everything that a container says of itself and its tracks."""
    with av.open(io.BytesIO(data)) as container:
        found = dict(container.metadata)
        for stream in container.streams:
            found |= stream.metadata
    return found


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.mp4", "mp4", "libvpx-vp9"),
        ("b.MP4", "mp4", "libx264"),
        ("c.mov", "mov", "libx264"),
        ("d.webm", "webm", "libvpx"),
        ("e.mkv", "matroska", "libx264"),
    ],
)
def test_a_film_leaves_without_its_records_and_with_what_it_shows(name: str, container: str, codec: str) -> None:
    """The same pictures and sound, byte for byte; the control is the original, which says where it was made."""
    original = film(container, codec)
    assert PLACE in " ".join(records(original).values())
    clean, facts = leaves(name, original)
    for word in (PLACE, MADE_BY, "2026-01-02"):
        assert word.encode() not in clean
        assert word not in " ".join(records(clean).values())
    assert pictures_and_sound(clean) == pictures_and_sound(original)
    assert (facts.width, facts.height) == (WIDTH, HEIGHT)
    assert facts.duration_ms is not None
    assert 1900 <= facts.duration_ms <= 2100
    assert 0 < len(facts.poster or b"") <= MAX_POSTER
    assert 5 <= len(facts.thumbhash or b"") <= 32
    with Image.open(io.BytesIO(facts.poster or b"")) as poster:
        assert_red_then_blue(poster, (WIDTH // 4, HEIGHT // 2), (3 * WIDTH // 4, HEIGHT // 2))
    assert leaves(name, original)[0] == clean, "an upload that is taken up again reads other bytes"


def assert_red_then_blue(poster: Any, first: tuple[int, int], second: tuple[int, int]) -> None:
    """Two places of a picture."""
    one, two = (poster.convert("RGB").getpixel(place) for place in (first, second))
    assert (one[0] > 180, one[2] < 80) == (two[2] > 180, two[0] < 80) == (True, True)


def test_a_film_made_upright_is_shown_upright() -> None:
    """Sides and poster are those of the turned picture, and the film still says how to turn it."""
    for data in (turned(film()), leaves("a.mp4", turned(film()))[0]):
        _, facts = leaves("a.mp4", data)
        assert (facts.width, facts.height) == (HEIGHT, WIDTH)
        with Image.open(io.BytesIO(facts.poster or b"")) as poster:
            assert poster.size == (HEIGHT, WIDTH)
            assert_red_then_blue(poster, (HEIGHT // 2, WIDTH // 4), (HEIGHT // 2, 3 * WIDTH // 4))


def test_a_telephones_film_in_h265_keeps_the_mark_that_safari_wants() -> None:
    """`hvc1`; the library would write another one by itself."""
    original = film("mp4", "libx265", seconds=0.5)
    clean, facts = leaves("a.mp4", original)
    assert [b"hvc1" in one for one in (original, clean)] == [True, True]
    assert [b"hev1" in one for one in (original, clean)] == [False, False]
    assert (facts.width, facts.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.ogg", "ogg", "libopus"),
        ("b.webm", "webm", "libopus"),
        ("c.m4a", "ipod", "aac"),
        ("d.mp3", "mp3", "libmp3lame"),
        ("e.wav", "wav", "pcm_s16le"),
        ("f.flac", "flac", "flac"),
    ],
)
def test_a_voice_note_has_its_length_and_its_bars(name: str, container: str, codec: str) -> None:
    """Loud in its middle third; nothing in it says where it was spoken."""
    kind = {"b.webm": "audio/webm"}.get(name)

    async def story() -> tuple[bytes, Facts]:
        file = FileToSend(source=voice(container, codec=codec), name=name, media_type=kind, voice=True)
        async with _opened(file) as leaving:
            return leaving.plain.read(0, leaving.plain.length), leaving.facts

    clean, facts = asyncio.run(story())
    assert PLACE.encode() not in clean
    assert (facts.duration_ms or 0) // 100 in (29, 30, 31)
    bars = facts.waveform or b""
    assert len(bars) == 64
    assert max(bars) == 255
    assert all(bar < 30 for bar in bars[:18] + bars[-18:])
    assert all(bar > 200 for bar in bars[25:40])


def test_music_keeps_its_title_and_what_a_telephone_recorded_does_not() -> None:
    """Only a container of telephones is cleaned without being asked; a voice note is cleaned whatever it is."""
    assert leaves("song.mp3", song := voice("mp3", codec="libmp3lame")) == (song, Facts())
    memo, facts = leaves("memo.m4a", voice("ipod", codec="aac"))
    assert PLACE.encode() not in memo
    assert facts.waveform is None
    assert facts.duration_ms is not None
    with pytest.raises(BadFile) as refused:
        leaves("letter.pdf", b"%PDF", spoken=True)
    assert refused.value.reason == "voice"


def hostile() -> dict[str, bytes]:
    """Films that are none, or not whole, or name other files."""
    whole = film()
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    huge = bytearray(whole)
    at = huge.index(b"vp09")
    huge[at + 28 : at + 32] = b"\xff\xff\xff\xff"  # both sides in the sample entry
    return {
        "noise": random.Random(7).randbytes(9_000),
        "nothing": b"",
        "playlist": playlist,
        "cut": whole[: len(whole) // 2],
        "sound alone": voice("mp4", codec="aac"),
        "endless box": whole[:36] + b"\xff\xff\xff\xffmoov" + whole[44:],
        "huge": bytes(huge),
        **{f"mutated {seed}": mutated(whole, seed) for seed in range(6)},
    }


def mutated(data: bytes, seed: int) -> bytes:
    """Forty bytes of the index changed."""
    chance, changed = random.Random(seed), bytearray(data)
    begin = data.index(b"moov")
    for _ in range(40):
        changed[chance.randrange(begin, len(data))] = chance.randrange(256)
    return bytes(changed)


def test_a_broken_or_hostile_film_is_refused_in_words_or_leaves_without_its_records() -> None:
    """Never a crash of the program, and nothing of another file; the control is the same film unharmed."""
    assert leaves("a.mp4", film())[1].poster
    outcomes: set[object] = set()
    for what, data in hostile().items():
        try:
            clean, _ = leaves("a.mp4", data)
        except BadFile as refused:
            outcomes.add((refused.reason, str(refused)))
        else:
            assert PLACE not in " ".join(records(clean).values()), what
            assert b"root:" not in clean, what
            outcomes.add("clean")
    assert outcomes == {("film", films.UNREADABLE), "clean"}


def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Another process in place of the one that opens films."""
    script = tmp_path / "worker.py"
    script.write_text(f"import os, sys, time, pathlib\nhere = pathlib.Path(sys.argv[2])\n{code}\n")
    monkeypatch.setattr(films, "WORKER", script)


def test_a_film_that_takes_for_ever_blocks_nobody_and_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop turns meanwhile; at the end the process is gone, and so is its folder, also when one cancels."""
    worker(tmp_path, monkeypatch, "(here / 'pid').write_text(str(os.getpid()))\ntime.sleep(600)")
    monkeypatch.setattr(films, "PATIENCE_S", 1.0)
    folders: list[Path] = []
    real = tempfile.mkdtemp

    def made(**how: str) -> str:
        folders.append(Path(real(dir=tmp_path, **how)))
        return str(folders[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", made)

    async def opened_once() -> None:
        async with _opened(FileToSend(source=b"film", name="a.mp4")):
            raise AssertionError("there is no film")

    async def given_up() -> int:
        turns = 0
        sending = asyncio.create_task(opened_once())
        while not sending.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(BadFile):
            await sending
        return turns

    assert asyncio.run(given_up()) > 3
    assert [one.exists() for one in folders] == [False]

    async def cancelled() -> None:
        monkeypatch.setattr(films, "PATIENCE_S", 600.0)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(opened_once())
            await eventually(runs, "the process")
            sending.cancel()

    async def runs() -> bool | None:
        return (len(folders) > 1 and (folders[1] / "pid").exists()) or None

    asyncio.run(cancelled())
    assert not folders[1].exists()


def test_what_the_process_says_is_believed_within_limits_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It read bytes from anywhere: a whole film leaves, facts that cannot be are none, and it has no secrets."""
    facts = {"duration_ms": 5, "width": 3, "height": 3, "poster": "AAAA" * 10_000}
    for said in (msgspec.json.encode(facts), b"{", b'{"width": 70000}'):
        code = f"(here / 'clean').write_bytes(b'x')\n(here / 'facts.json').write_bytes({said!r})\nos.abort()"
        worker(tmp_path, monkeypatch, code)
        assert leaves("a.mp4", b"film") == (b"x", Facts())
    monkeypatch.setenv("KITH_PASSPHRASE", "for the store")
    worker(tmp_path, monkeypatch, "(here / 'clean').write_text(repr(sorted(os.environ)))")
    names = leaves("a.mp4", b"film")[0].decode()
    assert ("PATH" in names, "KITH_PASSPHRASE" in names) == (True, False)


def test_without_the_library_a_film_leaves_as_it_is_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A plain file with no facts; what it may tell is said in the log, with the way to prevent it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert leaves("holiday.mp4", film()) == (film(), Facts())
    assert "holiday.mp4 leaves as it is" in caplog.text
    assert "kith[media]" in caplog.text


def test_films_and_voice_notes_arrive_with_what_they_show(meeting: Meeting, tmp_path: Path) -> None:
    """An album of three films has two posters' room at most filled; a note is a note; a crash between reads is none."""

    async def story() -> None:
        async with meeting.client("flo") as flo, meeting.client("gil") as gil:
            await meeting.join(flo, "flo")
            await meeting.join(gil, "gil")
            here, _ = await introduce(flo, gil)
            (tmp_path / "hike.mp4").write_bytes(film())
            await here.send_file(tmp_path / "hike.mp4", caption="On the hill")
            [got] = (await next_message(gil)).files
            data = await got.read()
            assert PLACE.encode() not in data
            assert (got.media_type, got.inline, got.name) == ("video/mp4", True, "hike.mp4")
            assert got.media is not None
            assert got.poster is not None
            assert (got.media.width, got.media.height, got.media.voice) == (WIDTH, HEIGHT, False)
            await here.send_file(voice(), name="note.ogg", voice=True)
            note = await next_message(gil)
            assert_note(note)

    asyncio.run(story())
    assert list(tmp_path.iterdir()) == [tmp_path / "hike.mp4"]


def assert_note(message: Message) -> None:
    """A voice note with bars."""
    [note] = message.files
    assert (note.media_type, note.inline, note.media is not None and note.media.voice) == ("audio/ogg", False, True)
    assert note.media is not None
    assert len(note.media.waveform or b"") == 64
    assert (note.media.duration_ms or 0) // 100 in (29, 30, 31)


def test_still_pictures_that_do_not_fit_into_a_message_are_left_out() -> None:
    """24 KiB for all: the films themselves leave, and what comes after in the album may fit again."""

    def one(poster: int | None) -> FileRecord:
        return FileRecord(
            name="",
            media_type="video/mp4",
            description="",
            key=b"",
            nonce=b"",
            length=1,
            size=17,
            content_hash=b"",
            chunks=(),
            tag=b"",
            poster=None if poster is None else bytes(poster),
        )

    posters = (12_000, None, 12_000, 1_000, 500, 100)
    kept = [len(file.poster) if file.poster else None for file in _with_room([one(size) for size in posters])]
    assert kept == [12_000, None, 12_000, None, 500, None]
    assert MAX_POSTERS == 24 * 1024


def test_the_process_ends_at_its_limit_of_memory(tmp_path: Path) -> None:
    """The control: without the limit the same allocation succeeds."""
    pytest.importorskip("resource")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import film_worker; film_worker.MEMORY = 800 * 1024**2; "
        "{}; bytes(900 * 1024**2); print('there')"
    )
    folder = tmp_path / "alone"
    folder.mkdir()
    shutil.copy(films.WORKER, folder)
    said = [
        subprocess.run(
            [sys.executable, "-c", code.format(first), str(folder)], capture_output=True, text=True, check=False
        )
        for first in ("film_worker.limit()", "pass")
    ]
    assert ["MemoryError" in one.stderr for one in said] == [True, False]
    assert said[1].stdout == "there\n"
