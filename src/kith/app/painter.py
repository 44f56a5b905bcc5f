"""A program that makes one picture anew: bytes that a stranger sent come in, pixels of them go out as a fresh file.

Run by `app.painting`, one process for one picture, by its path: it knows nothing of Kith, its settings or its keys.
Before it touches a byte it gives up memory, time, files and every call of the kernel but those that reading, writing
and memory need: what a decoder's flaw would let somebody run here can neither open the keys nor call home.

Output: a line `media-type shown frames`, then the file. Anything else than that and exit code 0 is no picture.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import struct
import sys
from typing import Any, Final, NamedTuple

from PIL import Image, ImageFile

MOST_IN: Final = 64 * 1024 * 1024
MOST_PIXELS: Final = 50_000_000
MOST_SIDE: Final = 4096
"""Pixels of a side of what is made; more than a reviewer's screen has."""
LOSSLESS_PIXELS: Final = 4_000_000
"""Drawings and screenshots up to here stay as they are to the pixel."""
MOST_FRAMES: Final = 120
"""Of a moving picture, evenly over all of it, so that nothing hides behind the first ones for long."""
FRAME_SIDE: Final = 640
FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP")
ORIENTATION: Final = 0x0112

MEMORY: Final = 1024 * 1024 * 1024
CPU_S: Final = 20

_CALLS: Final = {  # read write close fstat lseek mmap mprotect munmap brk mremap madvise futex signals clock exit …
    "x86_64": (0xC000003E, (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 28, 60, 96, 131, 202, 228, 231, 318)),
    "aarch64": (
        0xC00000B7,
        (57, 62, 63, 64, 80, 93, 94, 98, 113, 124, 132, 134, 135, 139, 169, 214, 215, 216, 222, 226, 233, 278),
    ),
}
"""For each machine: its name for the kernel (linux/audit.h), and the numbers of the calls that stay."""
_NO_NEW_PRIVILEGES, _SET_FILTER, _FILTER_MODE = 38, 22, 2
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050001, 0x7FFF0000
_MACHINE_AT, _NUMBER_AT = 4, 0


class ConfinementError(Exception):
    """This machine does not let a process be confined: then nothing is decoded on it."""


def confine() -> None:
    """From here on: this much memory and time, no file, no socket, no process, no signal to others."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(what, (most, most))
    if sys.platform == "linux":
        _filter_calls()


def _filter_calls() -> None:
    """Every call but those of `_CALLS` fails with EPERM (seccomp(2), a filter in classic BPF)."""
    known = _CALLS.get(os.uname().machine)
    if known is None:
        raise ConfinementError(os.uname().machine)
    machine, calls = known
    steps = [(_LOAD, 0, 0, _MACHINE_AT), (_IF_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER_AT)]
    for call in calls:
        steps += [(_IF_EQUAL, 0, 1, call), (_RETURN, 0, 0, _ALLOW)]
    steps.append((_RETURN, 0, 0, _REFUSE))
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(program)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or prctl(_SET_FILTER, _FILTER_MODE, ctypes.addressof(header), 0, 0):
        raise ConfinementError(os.strerror(ctypes.get_errno()))


class Painting(NamedTuple):
    """A file that was made here. `shown` of so many `frames` are in it."""

    media_type: str
    shown: int
    frames: int
    data: bytes


def paint(data: bytes) -> Painting:
    """The pixels of a picture as a fresh file; whatever Pillow raises when there are none, or too many."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # browsers show what is there of a picture, so the reviewer sees it too
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("more pixels than a camera has")
        frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
        if frames > 1:
            return _moving(image, frames)
        lossless = image.format != "JPEG"
        image.draft("RGB", (MOST_SIDE, MOST_SIDE))
        return _still(_clean(image, MOST_SIDE, _turn_of(image)), lossless=lossless)


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    try:
        wanted = image.getexif().get(ORIENTATION)
    except Exception:  # noqa: BLE001  broken EXIF must not hide a picture that browsers show
        return None
    turns = Image.Transpose
    return {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(wanted if isinstance(wanted, int) else 0)


def _clean(image: Image.Image, side: int, turn: Image.Transpose | None = None) -> Image.Image:
    """The pixels alone, upright, in eight bits, no larger than `side`: no profile, comment, place or thumbnail."""
    if image.mode.startswith("I"):  # sixteen bits of grey; a conversion would cut them off, and all were white
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    see_through = image.has_transparency_data
    image = image.convert("RGBA" if see_through else "RGB")
    image.thumbnail((side, side))
    if turn is not None:
        image = image.transpose(turn)
    fresh = Image.new(image.mode, image.size)
    fresh.paste(image)
    return fresh


def _still(image: Image.Image, *, lossless: bool) -> Painting:
    out = io.BytesIO()
    if image.mode == "RGBA" and image.width * image.height > LOSSLESS_PIXELS:
        image.thumbnail((2000, 2000))
    if image.mode == "RGBA" or (lossless and image.width * image.height <= LOSSLESS_PIXELS):
        image.save(out, "PNG")
        return Painting("image/png", 1, 1, out.getvalue())
    image.save(out, "JPEG", quality=92, subsampling=0)
    return Painting("image/jpeg", 1, 1, out.getvalue())


def _moving(image: Image.Image, frames: int) -> Painting:
    shown, times = list[Image.Image](), list[int]()
    wanted = sorted(
        {at * frames // MOST_FRAMES for at in range(MOST_FRAMES)} if frames > MOST_FRAMES else range(frames)
    )
    for number in wanted:
        try:
            image.seek(number)
            shown.append(_clean(image, FRAME_SIDE))
        except (EOFError, OSError):
            break  # cut off: what came before is shown
        times.append(min(1000, max(40, int(image.info.get("duration", 100)))))
    if not shown:
        raise ValueError("no frame")
    out = io.BytesIO()
    first, *rest = shown
    first.save(out, "WEBP", save_all=True, append_images=rest, duration=times, loop=0, quality=75, method=0)
    return Painting("image/webp", len(shown), frames, out.getvalue())


def warm() -> None:
    """Make pictures of our own, of every kind: Pillow loads what it needs when it needs it, while files still open."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    grey, colour = Image.new("I;16", (2, 2)), Image.new("RGB", (2, 2))
    other = Image.new("RGB", (2, 2), (9, 9, 9))
    samples: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (grey, "PNG", {}),
        (colour.convert("RGBA"), "PNG", {}),
        (colour.quantize(2), "GIF", {}),
        (colour, "JPEG", {"exif": exif}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour, "WEBP", {}),
        *((colour, moving, {"save_all": True, "append_images": [other]}) for moving in ("GIF", "PNG", "WEBP")),
    ]
    for image, kind, how in samples:
        sample = io.BytesIO()
        image.save(sample, kind, **how)
        paint(sample.getvalue())


def main() -> None:
    """From standard input to standard output, confined."""
    warm()
    confine()
    data = sys.stdin.buffer.read(MOST_IN + 1)
    if len(data) > MOST_IN:
        raise ValueError("too long")
    made = paint(data)
    sys.stdout.buffer.write(f"{made.media_type} {made.shown} {made.frames}\n".encode() + made.data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
