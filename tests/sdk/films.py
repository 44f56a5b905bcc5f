"""Small synthetic films and sounds, made on the spot; they say where they were made."""

from __future__ import annotations

import io
import math
from array import array
from typing import Any, Final

import av

PLACE: Final = "+48.8584+002.2945/"
"""As phones write it (ISO 6709)."""
MADE_BY: Final = "Nightingale Phone 7"
WIDTH, HEIGHT, RATE = 160, 96, 10
SOUND_HZ: Final = 48_000


def film(container: str = "mp4", codec: str = "libvpx-vp9", *, seconds: float = 2.0, sound: bool = True) -> bytes:
    """Left half red and right half blue, with a tone; PLACE and MADE_BY in its records."""
    out = io.BytesIO()
    options = {"movflags": "+use_metadata_tags"} if container in ("mp4", "mov") else {}
    with av.open(out, "w", format=container, options=options) as made:
        made.metadata.update(location=PLACE, model=MADE_BY, title=MADE_BY, creation_time="2026-01-02T03:04:05Z")
        picture: Any = made.add_stream(codec, rate=RATE)
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        picture.metadata["title"] = MADE_BY
        if codec == "libx265":
            picture.codec_context.codec_tag = "hvc1"
            picture.options = {"x265-params": "log-level=none"}
        tone = toned(made, "aac" if container == "mov" else "libopus") if sound else None
        for number in range(round(seconds * RATE)):
            frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
            row = b"\xe0\x10\x10" * (WIDTH // 2) + b"\x10\x10\xe0" * (WIDTH // 2)
            stride = frame.planes[0].line_size
            frame.planes[0].update(row.ljust(stride, b"\0") * HEIGHT)
            frame.pts = number
            made.mux(picture.encode(frame.reformat(format="yuv420p")))
        made.mux(picture.encode(None))
        if tone is not None:
            played(made, tone, seconds)
    whole = out.getvalue()
    assert PLACE.encode() in whole
    return whole


def voice(container: str = "ogg", *, seconds: float = 3.0, codec: str = "libopus") -> bytes:
    """A tone in the middle third of silence; PLACE in its records."""
    out = io.BytesIO()
    options = {"movflags": "+use_metadata_tags"} if container in ("mp4", "ipod") else {}
    with av.open(out, "w", format=container, options=options) as made:
        made.metadata.update(location=PLACE, comment=PLACE, title=MADE_BY)
        played(made, toned(made, codec), seconds, loud=lambda part: 1 / 3 < part < 2 / 3)
    whole = out.getvalue()
    assert PLACE.encode() in whole
    return whole


def toned(made: Any, codec: str) -> Any:
    """A stream of sound in one channel."""
    stream = made.add_stream(codec, rate=SOUND_HZ)
    stream.layout = "mono"
    return stream


def played(made: Any, stream: Any, seconds: float, loud: Any = lambda _: True) -> None:
    """A tone of 440 Hz where it is to be loud."""
    total = round(seconds * SOUND_HZ)
    samples = array(
        "h", (round(20_000 * math.sin(440 * 2 * math.pi * at / SOUND_HZ)) * loud(at / total) for at in range(total))
    )
    resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=SOUND_HZ)
    for at in range(0, total, 960):
        piece = samples[at : at + 960]
        frame = av.AudioFrame("s16", "mono", len(piece))
        frame.planes[0].update(piece.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts = SOUND_HZ, at
        for ready in resampler.resample(frame):
            made.mux(stream.encode(ready))
    made.mux(stream.encode(None))


def pictures_and_sound(data: bytes) -> list[tuple[str, bytes]]:
    """Every packet of a film as it is encoded, in no order: what cleaning must not touch."""
    with av.open(io.BytesIO(data), "r") as container:
        return sorted((packet.stream.type, bytes(packet)) for packet in container.demux() if packet.size)


def turned(mp4: bytes) -> bytes:
    """The same MP4 as a phone that stands upright makes it: the picture track says, turn by 90 degrees to the right."""
    at = mp4.index(b"tkhd")
    version = mp4[at + 4]
    matrix = at + (56 if version else 44)
    one, minus, w = (0x10000).to_bytes(4), (0x10000).__neg__().to_bytes(4, signed=True), (0x40000000).to_bytes(4)
    zero = bytes(4)
    rows = zero + one + zero + minus + zero + zero + (HEIGHT << 16).to_bytes(4) + zero + w
    assert mp4[matrix + 32 : matrix + 36] == w
    return mp4[:matrix] + rows + mp4[matrix + 36 :]
