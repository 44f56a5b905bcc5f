"""Only a small still picture and nothing else is a picture: byte for byte, in three formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.messaging.pictures import MAX_BYTES, MAX_SCANS, MAX_SIDE, read_picture
from kith.protocol.wire import Malformed
from messaging.pictures import GPS, JPEG, WEBP, chunk, lossless, lossy, png, riff, with_segment

GENUINE = {
    "png": ("image/png", png()),
    "png with plain facts": ("image/png", png(extra=chunk(b"sRGB", b"\0") + chunk(b"gAMA", b"\0\0\xb1\x8f"))),
    "png of the largest size": ("image/png", png(MAX_SIDE, MAX_SIDE)),
    "jpeg": ("image/jpeg", JPEG),
    "jpeg with Adobe's transform": ("image/jpeg", with_segment(0xEE, b"Adobe\0d\0\0\0\0\1")),
    "webp": ("image/webp", WEBP),
    "lossless webp": ("image/webp", riff((b"VP8L", lossless(MAX_SIDE, 1)))),
    "webp of the largest size": ("image/webp", riff((b"VP8 ", lossy(MAX_SIDE, MAX_SIDE)))),
}

SCAN = JPEG[JPEG.index(b"\xff\xda") : -2]
SIZE = JPEG.index(b"\xff\xc0") + 5
HUGE_JPEG = JPEG[:SIZE] + b"\xff\xff\xff\xff" + JPEG[SIZE + 4 :]
FLAT_JPEG = JPEG[:SIZE] + b"\x00\x00\x00\x08" + JPEG[SIZE + 4 :]
PAGE = b"<script>alert(1)</script>"

SPOILED = {
    "no type": ("", png()),
    "a type that is no picture": ("text/html", png()),
    "a picture that can run": ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "gif": ("image/gif", b"GIF89a\1\0\1\0\0\0\0;"),
    "nothing as png": ("image/png", b""),
    "nothing as jpeg": ("image/jpeg", b""),
    "nothing as webp": ("image/webp", b""),
    "png called jpeg": ("image/jpeg", png()),
    "jpeg called png": ("image/png", JPEG),
    "webp called jpeg": ("image/jpeg", WEBP),
    "jpeg called webp": ("image/webp", JPEG),
    "a page called png": ("image/png", PAGE),
    "too many bytes": ("image/png", png(pixels=bytes(MAX_BYTES))),
    # PNG
    "png too wide": ("image/png", png(MAX_SIDE + 1, 1)),
    "png too high": ("image/png", png(1, MAX_SIDE + 1)),
    "png bomb": ("image/png", png(2**31 - 1, 2**31 - 1, pixels=b"\0")),
    "png without width": ("image/png", png(0, 8)),
    "png with a place": ("image/png", png(extra=chunk(b"eXIf", GPS))),
    "png with text": ("image/png", png(extra=chunk(b"tEXt", b"Author\0Ann"))),
    "png with packed text": ("image/png", png(extra=chunk(b"zTXt", b"a\0\0x"))),
    "png with XMP": ("image/png", png(extra=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"))),
    "png with text after the pixels": ("image/png", png(after=chunk(b"tEXt", b"a\0b"))),
    "png with a time": ("image/png", png(extra=chunk(b"tIME", bytes(7)))),
    "png with a profile": ("image/png", png(extra=chunk(b"iCCP", b"x\0\0y"))),
    "moving png": ("image/png", png(extra=chunk(b"acTL", bytes(8)))),
    "png with a second frame": ("image/png", png(after=chunk(b"fdAT", b"x"))),
    "png with a chunk of nobody": ("image/png", png(extra=chunk(b"kiTh", PAGE))),
    "png with a tail": ("image/png", png() + b"\0"),
    "png with a page behind it": ("image/png", png() + PAGE),
    "png in two": ("image/png", png() + png()),
    "png with two headers": ("image/png", png(extra=chunk(b"IHDR", bytes(13)))),
    "png with pixels apart": ("image/png", png(after=chunk(b"gAMA", bytes(4)) + chunk(b"IDAT", b"x"))),
    "png without pixels": ("image/png", png()[:33] + chunk(b"IEND")),
    "png with a wrong sum": ("image/png", png()[:-1] + b"\0"),
    "png with words in its end": ("image/png", png()[:-12] + chunk(b"IEND", PAGE)),
    "png with a length of four gigabytes": ("image/png", png()[:33] + b"\xff\xff\xff\xffIDATxxxx"),
    # JPEG
    "jpeg too large": ("image/jpeg", HUGE_JPEG),
    "jpeg without height": ("image/jpeg", FLAT_JPEG),
    "jpeg with a place": ("image/jpeg", with_segment(0xE1, GPS)),
    "jpeg with XMP": ("image/jpeg", with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")),
    "jpeg with a profile": ("image/jpeg", with_segment(0xE2, b"ICC_PROFILE\0\1\1")),
    "jpeg with a caption": ("image/jpeg", with_segment(0xED, b"Photoshop 3.0\0")),
    "jpeg with a comment": ("image/jpeg", with_segment(0xFE, PAGE)),
    "jpeg with a thumbnail": ("image/jpeg", with_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\1abc")),
    "jpeg with words as tables": ("image/jpeg", with_segment(0xDB, PAGE * 80)),
    "jpeg with a tail": ("image/jpeg", JPEG + b"\0"),
    "jpeg with an archive behind it": ("image/jpeg", JPEG + b"PK\3\4"),
    "two jpegs": ("image/jpeg", JPEG + JPEG),
    "jpeg without scan": ("image/jpeg", JPEG[: JPEG.index(b"\xff\xda")] + b"\xff\xd9"),
    "jpeg with too many scans": ("image/jpeg", JPEG[:-2] + SCAN * MAX_SCANS + b"\xff\xd9"),
    "arithmetic jpeg": ("image/jpeg", JPEG.replace(b"\xff\xc0", b"\xff\xc9")),
    # WebP
    "webp too large": ("image/webp", riff((b"VP8 ", lossy(MAX_SIDE + 1, 8)))),
    "lossless webp too large": ("image/webp", riff((b"VP8L", lossless(8, 16384)))),
    "webp of no size": ("image/webp", riff((b"VP8 ", lossy(0, 8)))),
    "webp scaled to nothing else": ("image/webp", riff((b"VP8 ", lossy(8, 8)[:3] + b"abc" + lossy(8, 8)[6:]))),
    "extended webp": ("image/webp", riff((b"VP8X", bytes(10)), (b"VP8 ", lossy(8, 8)))),
    "moving webp": ("image/webp", riff((b"VP8X", b"\2" + bytes(9)), (b"ANIM", bytes(6)), (b"ANMF", bytes(16)))),
    "webp with a place": ("image/webp", riff((b"VP8 ", lossy(8, 8)), (b"EXIF", GPS))),
    "webp with XMP": ("image/webp", riff((b"VP8 ", lossy(8, 8)), (b"XMP ", b"<x/>"))),
    "webp with a tail": ("image/webp", WEBP + b"\0\0"),
    "webp with a page in its padding": ("image/webp", riff((b"VP8L", lossless(8, 8)[:-2]))[:-1] + b"<"),
    "webp that names more than there is": ("image/webp", WEBP[:4] + b"\xff\xff\xff\x7f" + WEBP[8:]),
    "a sound": ("image/webp", b"RIFF" + (16).to_bytes(4, "little") + b"WAVEfmt " + bytes(8)),
}


@pytest.mark.parametrize("which", GENUINE)
def test_a_genuine_small_picture_is_taken(which: str) -> None:
    """What encoders make, bare, is let in as it is: the control of every refusal below."""
    kind, data = GENUINE[which]
    assert read_picture(kind, data) == (kind, data)


@pytest.mark.parametrize("which", SPOILED)
def test_whatever_is_more_or_less_than_one_picture_is_refused(which: str) -> None:
    """With a sentence."""
    kind, data = SPOILED[which]
    with pytest.raises(Malformed, match=r"^[A-Z]"):
        read_picture(kind, data)


@pytest.mark.parametrize("which", GENUINE)
def test_a_picture_cut_off_anywhere_is_refused(which: str) -> None:
    """Every prefix of a few hundred, evenly spread."""
    kind, data = GENUINE[which]
    for end in range(0, len(data), max(1, len(data) // 300)):
        with pytest.raises(Malformed):
            read_picture(kind, data[:end])


@given(st.sampled_from(sorted(GENUINE)), st.data())
def test_damage_and_random_bytes_only_ever_end_in_a_refusal(which: str, data: st.DataObject) -> None:
    """No other exception, and never more pixels or bytes than allowed."""
    kind, genuine = GENUINE[which]
    at = data.draw(st.integers(0, len(genuine)))
    damaged = genuine[:at] + data.draw(st.binary(max_size=40)) + genuine[at + data.draw(st.integers(0, 40)) :]
    try:
        taken = read_picture(kind, damaged)
    except Malformed:
        return
    assert taken.data == damaged
    assert len(damaged) <= MAX_BYTES
