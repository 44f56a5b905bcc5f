"""Pictures of evidence are made anew by a confined process: what comes out is pixels, and nothing else does."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kith.app import painter, painting
from kith.app.painting import Painter
from kith.protocol.attachments import AttachmentRefusedError
from kith.reports.looks import Painted

CANARY = b"CANARY-of-a-place-and-a-name"


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """As evidence is read."""
    for at in range(0, len(data), 60_000):
        yield data[at : at + 60_000]


def made(data: bytes, brush: Painter | None = None) -> Painted | None:
    """What the process makes of it."""
    return asyncio.run((brush or Painter())(pieces(data)))


def file(image: Image.Image, kind: str, **how: Any) -> bytes:
    """A file of it."""
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def shade(width: int, height: int) -> Image.Image:
    """A benign picture in which every corner is another colour."""
    image = Image.new("RGB", (width, height), (20, 101, 90))
    image.putpixel((0, 0), (255, 0, 0))
    image.putpixel((width - 1, 0), (0, 0, 255))
    return image


def opened(painted: Painted | None) -> Any:
    """The fresh picture."""
    assert painted is not None
    return Image.open(io.BytesIO(painted.data))


def test_a_drawing_stays_as_it_is_to_the_pixel_and_loses_everything_else() -> None:
    """Words, places and what hangs behind the end are gone; the control is the file that was sent."""
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415  only here

    said = PngInfo()
    said.add_text("Comment", CANARY.decode())
    sent = file(shade(64, 48), "PNG", pnginfo=said, exif=b"Exif\0\0" + CANARY) + CANARY
    assert sent.count(CANARY) >= 2
    fresh = made(sent)
    assert opened(fresh).convert("RGB").tobytes() == shade(64, 48).tobytes()
    assert fresh is not None
    assert (fresh.media_type, fresh.shown, fresh.frames) == ("image/png", 1, 1)
    assert CANARY not in fresh.data
    assert fresh.data != sent


def test_a_photo_is_upright_and_without_its_profile_and_comment() -> None:
    """As browsers turn it; also when the rest of its EXIF is broken."""
    exif = Image.Exif()
    exif[painter.ORIENTATION] = 6
    exif[0x010E] = CANARY.decode()
    sent = file(shade(80, 40), "JPEG", exif=exif, comment=CANARY, icc_profile=CANARY)
    fresh = made(sent)
    assert fresh is not None
    assert (fresh.media_type, opened(fresh).size, CANARY in fresh.data) == ("image/jpeg", (40, 80), False)
    assert opened(made(file(shade(80, 40), "JPEG", exif=b"Exif\0\0garbage"))).size == (80, 40)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_a_moving_picture_shows_frames_of_all_of_it(kind: str) -> None:
    """Nothing hides behind the first ones: of too many, every n-th is there, and how many is said."""
    frames = [Image.new("RGB", (24, 16), (number, 37 * number % 256, 7)) for number in range(painter.MOST_FRAMES + 30)]
    how = {"lossless": True} if kind == "WEBP" else {}
    sent = file(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **how)
    fresh = made(sent)
    assert fresh is not None
    assert (fresh.media_type, fresh.frames, fresh.shown) == ("image/webp", len(frames), painter.MOST_FRAMES)
    seen = opened(fresh)
    seen.seek(seen.n_frames - 1)
    red = seen.convert("RGB").getpixel((5, 5))[0]
    assert red > painter.MOST_FRAMES, "the last ones are among them"


def test_sixteen_bits_of_grey_and_transparency_are_seen() -> None:
    """Neither turns white, and what is see-through stays so."""
    grey = Image.new("I;16", (8, 8), 0x4000)
    assert opened(made(file(grey, "PNG"))).convert("L").getpixel((3, 3)) in range(0x3E, 0x43)
    assert opened(made(file(Image.new("RGBA", (8, 8), (1, 2, 3, 40)), "PNG"))).getpixel((3, 3)) == (1, 2, 3, 40)
    assert opened(made(file(shade(9, 9).convert("CMYK"), "JPEG"))).mode == "RGB"


def test_a_picture_that_is_cut_off_is_shown_as_far_as_it_goes() -> None:
    """Browsers show it, and so did the person who reported it."""
    sent = file(Image.effect_noise((300, 300), 90), "JPEG", quality=95)
    assert opened(made(sent[: len(sent) // 2])).size == (300, 300)


def bomb() -> bytes:
    """A PNG of a hundred kilobytes that says it is 20,000 by 20,000 pixels, and is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    rows = zlib.compress(bytes(20_000 * 2501), 9)
    head = (20_000).to_bytes(4) * 2 + bytes((1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("data", [b"", b"no picture", b"<svg onload=alert(1)/>", bomb(), b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_or_a_bomb_gives_none(data: bytes) -> None:
    """Nothing is shown, and the next picture is made as ever."""
    brush = Painter()

    async def both() -> tuple[Painted | None, Painted | None]:
        return await brush(pieces(data)), await brush(pieces(file(shade(9, 9), "PNG")))

    none, fine = asyncio.run(both())
    assert none is None
    assert opened(fine).size == (9, 9)


# --- a decoder that a file has taken over -----------------------------------------------------------------------------

TRIES = {
    "opens a key": "open('/etc/passwd', 'rb').read()",
    "writes a file": "os.open('/tmp/x', os.O_CREAT | os.O_WRONLY)",
    "calls home": "__import__('socket').socket()",
    "starts a program": "os.execv('/bin/true', ['true'])",
    "forks": "os.fork()",
    "ends the server": "os.kill(os.getppid(), 0)",
    "takes much memory": "len(bytearray(2 << 30))",
}


def attempt(what: str, *, confined: bool) -> int:
    """Exit code of a process that tries it: 7 when it was stopped."""
    code = (
        f"import os, sys, socket; sys.path.insert(0, {str(painting.PROGRAM.parent)!r}); import painter\n"
        f"{'painter.confine()' if confined else ''}\n"
        f"try:\n    {what}\nexcept (OSError, MemoryError):\n    os._exit(7)\nos._exit(0)"
    )
    return subprocess.run([sys.executable, "-I", "-c", code], check=False, timeout=60).returncode


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process has only its limits")
@pytest.mark.parametrize("name", TRIES)
def test_code_that_runs_in_the_process_reaches_nothing(name: str) -> None:
    """The control is the same without the confinement."""
    assert attempt(TRIES[name], confined=True) == 7
    assert attempt(TRIES[name], confined=False) == 0


def program(tmp_path: Path, code: str) -> Path:
    """Another program in its place."""
    made_ = tmp_path / "painter.py"
    made_.write_text(f"import os, sys\n{code}\n")
    return made_


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "sys.stdout.buffer.write(b'image/png 1 1\\n\\x89PNG\\r\\n\\x1a\\n'); sys.stdout.flush(); os._exit(1)",
        "sys.stdout.buffer.write(b'text/html 1 1\\n<script>')",
        "sys.stdout.buffer.write(b'image/png 1 1\\n<script>')",
        "sys.stdout.buffer.write(b'image/png 1 1')",
        "os.close(0); sys.stdout.buffer.write(b'x')",
        "while True: os.write(1, bytes(1 << 16))",
        "os.kill(os.getpid(), 9)",
    ],
)
def test_a_process_that_hangs_lies_floods_or_dies_is_ended_and_believed_nothing(code: str, tmp_path: Path) -> None:
    """And no such process is left."""
    brush = Painter(program(tmp_path, code), time_s=2.0)
    assert made(bytes(300_000), brush) is None
    found = subprocess.run(["/usr/bin/pgrep", "-f", str(tmp_path)], check=False, capture_output=True)
    assert found.stdout == b""


def test_evidence_that_breaks_off_ends_the_process_and_is_told(tmp_path: Path) -> None:
    """The storage's word comes through, and the brush is free again."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise AttachmentRefusedError("attachment_missing")

    brush = Painter(program(tmp_path, "sys.stdin.buffer.read()"))

    async def story() -> None:
        with pytest.raises(AttachmentRefusedError):
            await brush(broken())
        assert not brush._turn.locked()

    asyncio.run(story())
