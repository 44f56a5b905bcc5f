"""The process that opens a film or a sound. Run as a file, by `films`; needs `kith[media]`.

What is opened comes from anywhere, and is read by a large library in C. So this is a process of its own, with little
memory and time, without the store and its passphrase: when it breaks, nothing but this one file is not sent.

    film_worker.py SOURCE FOLDER DEMUXER MUXER film|sound|voice

writes FOLDER/clean (the same film in a new container, without anything that was said about it) and then, as far as it
comes, FOLDER/facts.json. Each appears whole or not at all.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

MEMORY: Final = 2 * 1024**3
CPU_S: Final = 60
LARGEST_OUTPUT: Final = 96 * 1024 * 1024
MOST_STREAMS: Final = 32
MOST_PIXELS: Final = 36_000_000
"""Of a frame that a still picture is made of: 8K."""
MOST_FRAMES: Final = 90
"""Decoded on the way to the still picture."""
POSTER_BYTES: Final = 12 * 1024
POSTER_TRIES: Final = ((480, 70), (480, 45), (320, 50), (240, 40), (160, 30))
"""Longest side and quality."""
THUMBHASH_SIDE: Final = 32
HEARD_HZ: Final = 8_000
PEAK: Final = 80
"""Samples of one peak: 10 ms."""
MOST_PEAKS: Final = 360_000
"""An hour. A longer note has no bars."""
BARS: Final = 64
QUIETEST: Final = 0.02
"""The noise of a silent room is not blown up."""
FULL_SCALE: Final = 32_768

# Nothing but the bytes at hand is opened, whatever the file names; an index at the front lets it be played meanwhile.
READ: Final = {"protocol_whitelist": "", "enable_drefs": "0"}
WRITE: Final = {"fflags": "+bitexact", "movflags": "+faststart", "write_tmcd": "0", "id3v2_version": "0"}


HVC1: Final = "hvc1"
"""How telephones mark H.265; FFmpeg's own mark for it is one that Safari does not play."""


class NotOneError(Exception):
    """There is no film or sound in it that could be sent."""


def limit() -> None:
    """No more memory and time than that, where the system knows how to."""
    with suppress(ImportError):
        import resource  # noqa: PLC0415 - not on every system

        limits = {
            resource.RLIMIT_AS: MEMORY,
            resource.RLIMIT_CPU: CPU_S,
            resource.RLIMIT_FSIZE: LARGEST_OUTPUT,
            resource.RLIMIT_CORE: 0,
        }
        for which, most in limits.items():
            resource.setrlimit(which, (most, most))


def opened(source: io.BufferedIOBase, demuxer: str) -> InputContainer:
    """The container, read as what it is said to be: nothing is guessed."""
    return av.open(source, "r", format=demuxer, options=READ)


def kept_streams(container: InputContainer, *, film: bool) -> list[VideoStream | AudioStream]:
    """The picture and the sound: the first of each. Subtitles, covers, places and times by the minute stay behind."""
    if len(container.streams) > MOST_STREAMS:
        raise NotOneError
    pictures = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if film and not pictures:
        raise NotOneError
    kept = [*(pictures[:1] if film else ()), *container.streams.audio[:1]]
    if not kept:
        raise NotOneError
    return kept


def without_records(source: Path, target: Path, demuxer: str, muxer: str, *, film: bool) -> None:
    """Copy pictures and sound, as they are encoded, into a new container that says nothing else."""
    with (
        source.open("rb") as file,
        opened(file, demuxer) as old,
        av.open(str(target), "w", format=muxer, options=WRITE) as new,
    ):
        copies: dict[int, Stream] = {}
        for stream in kept_streams(old, film=film):
            copy: Any = new.add_stream_from_template(stream)  # a kind of stream for each kind of template
            copy.metadata.clear()
            if stream.codec_context.codec_tag == HVC1:
                copy.codec_context.codec_tag = HVC1
            copies[stream.index] = copy
        packets = 0
        for packet in timed(old.demux([old.streams[index] for index in copies])):
            packet.stream = copies[packet.stream.index]
            new.mux(packet)
            packets += 1
        if not packets:
            raise NotOneError


def timed(packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Packets that all say when they are decoded: Matroska leaves that out where pictures are out of order."""
    waiting: dict[int, list[Packet[Any]]] = {}
    last: dict[int, int] = {}
    for packet in packets:
        if not packet.size:  # the end of a stream
            continue
        index = packet.stream.index
        if packet.dts is not None:
            for back, before in enumerate(reversed(waiting.get(index, ())), 1):
                before.dts = packet.dts - back * max(1, packet.duration or 1)
            yield from waiting.pop(index, ())
        elif index in last:
            packet.dts = last[index] + max(1, packet.duration or 1)
        else:
            waiting.setdefault(index, []).append(packet)
            continue
        last[index] = packet.dts or 0
        yield packet
    for packet in chain.from_iterable(waiting.values()):
        packet.dts = packet.pts
        yield packet


def film_facts(film: Path, demuxer: str) -> Iterator[dict[str, Any]]:
    """How long and how large; then, when it can be had, also a still picture."""
    with film.open("rb") as file, opened(file, demuxer) as container:
        stream = container.streams.video[0]
        facts: dict[str, Any] = {"duration_ms": duration_ms(container)}
        yield facts
        frame = still(container, stream)
        shape = Shape(frame, stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio)
        yield facts | {
            "width": shape.width,
            "height": shape.height,
            **drawn(small(frame, shape)),
        }


def duration_ms(container: InputContainer) -> int | None:
    """As the new container says, which was counted from what is in it."""
    return round(container.duration / 1000) if container.duration else None


def still(container: InputContainer, stream: VideoStream) -> VideoFrame:
    """A frame near the first second: films begin in the dark."""
    if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
        raise NotOneError
    stream.codec_context.thread_count = 1
    seconds = (container.duration or 0) / av.time_base
    wanted = min(1.0, seconds / 10)
    with suppress(av.FFmpegError):  # one that cannot be wound shows its first picture
        container.seek(int(wanted * av.time_base))
    found = None
    for number, frame in enumerate(container.decode(stream)):
        found = frame
        if (frame.time or 0.0) >= wanted or number == MOST_FRAMES:
            break
    if found is None or found.width * found.height > MOST_PIXELS:
        raise NotOneError
    return found


class Shape:
    """How a frame is shown: its sides after stretching and turning, and by how many degrees it is turned."""

    def __init__(self, frame: VideoFrame, aspect: Fraction | None) -> None:
        self.turned = frame.rotation % 360
        sides = (max(1, round(frame.width * (aspect or 1))), frame.height)
        self.width, self.height = sides[::-1] if self.turned in (90, 270) else sides


def small(frame: VideoFrame, shape: Shape) -> Any:  # noqa: ANN401 - a Pillow image; loaded here alone
    """A picture as large as the largest poster."""
    scale = min(1.0, POSTER_TRIES[0][0] / max(shape.width, shape.height))
    sides = max(1, round(shape.width * scale)), max(1, round(shape.height * scale))
    across, down = sides[::-1] if shape.turned in (90, 270) else sides
    image: Any = frame.reformat(width=across, height=down, format="rgb24").to_image()  # type: ignore[no-untyped-call]  # Pillow's
    return image.rotate(shape.turned, expand=True) if shape.turned else image


def drawn(image: Any) -> dict[str, Any]:  # noqa: ANN401 - a Pillow image
    """The poster, as large as fits into what a message may carry, and the thumbhash."""
    import thash  # noqa: PLC0415 - after the facts that do not need it

    facts: dict[str, Any] = {"thumbhash": text(bytes(thash.encode(image, target_size=THUMBHASH_SIDE)))}
    for side, quality in POSTER_TRIES:
        for kind in ("WEBP", "JPEG"):
            one, out = image.copy(), io.BytesIO()
            one.thumbnail((side, side))
            one.save(out, kind, quality=quality)
            if out.tell() <= POSTER_BYTES:
                return facts | {"poster": text(out.getvalue()), "poster_type": f"image/{kind.lower()}"}
    return facts


def sound_facts(sound: Path, demuxer: str, *, voice: bool) -> Iterator[dict[str, Any]]:
    """How long; then, of a voice note, how loud it is from its beginning to its end."""
    with sound.open("rb") as file, opened(file, demuxer) as container:
        yield {"duration_ms": duration_ms(container)}
        if not voice:
            return
        peaks, samples = loudness(container)
        if samples:
            yield {"duration_ms": round(samples * 1000 / HEARD_HZ), "waveform": text(bars(peaks))}


def loudness(container: InputContainer) -> tuple[list[float], int]:
    """The loudest of each 10 ms, 0 to 1, and how many samples there were; nothing of a note that is too long."""
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    heard = av.AudioResampler(format="s16", layout="mono", rate=HEARD_HZ)
    peaks: list[float] = []
    rest, total = array("h"), 0

    def loudest(piece: array[int]) -> float:
        return max(abs(max(piece)), abs(min(piece))) / FULL_SCALE

    for frame in decoded(container, stream, heard):
        rest.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
        total += frame.samples
        whole = len(rest) - len(rest) % PEAK
        peaks += [loudest(rest[at : at + PEAK]) for at in range(0, whole, PEAK)]
        rest = rest[whole:]
        if len(peaks) > MOST_PEAKS:
            return [], 0
    if rest:
        peaks.append(loudest(rest))
    return peaks, total


def decoded(container: InputContainer, stream: AudioStream, heard: av.AudioResampler) -> Iterator[Any]:
    """The sound in one channel; what is damaged in the middle ends it there."""
    with suppress(av.FFmpegError):
        for frame in container.decode(stream):
            yield from heard.resample(frame)
    yield from heard.resample(None)


def bars(peaks: list[float]) -> bytes:
    """64 bars of 1 to 255, the loudest of each stretch, with the loudest of all at the top. The web draws the same."""
    begins = [bar * len(peaks) // BARS for bar in range(BARS + 1)]
    loud = [max(peaks[at : max(end, at + 1)], default=0.0) for at, end in pairwise(begins)]
    top = max(*loud, QUIETEST)
    return bytes(max(1, round(one / top * 255)) for one in loud)


def text(data: bytes) -> str:
    """Bytes inside JSON."""
    return base64.b64encode(data).decode()


def main(source: str, folder: str, demuxer: str, muxer: str, what: str) -> None:
    """See the module."""
    limit()
    here, film = Path(folder), what == "film"
    partial = here / "clean.part"
    without_records(Path(source), partial, demuxer, muxer, film=film)
    clean = partial.rename(here / "clean")
    more = film_facts(clean, demuxer) if film else sound_facts(clean, demuxer, voice=what == "voice")
    for facts in more:
        written = here / "facts.part"
        written.write_text(json.dumps(facts))
        written.rename(here / "facts.json")


if __name__ == "__main__":
    main(*sys.argv[1:])
