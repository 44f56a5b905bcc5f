"""Pictures before they leave: nothing but pixels, and what a screen draws until they are there. Needs `kith[pictures]`.

A photo from a camera says where it was taken, when, and by which device. Here it is decoded, turned upright, brought to
sRGB and encoded anew, so that nothing of that is left.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from typing import Final

from kith.sdk.errors import BadFile

KINDS: Final = frozenset(
    f"image/{kind}" for kind in ("jpeg", "png", "webp", "tiff", "bmp", "heic", "heif", "avif", "gif")
)
"""Media types that are taken for pictures, and cleaned."""
KEPT: Final = {"PNG": "image/png", "WEBP": "image/webp"}
"""Formats that stay what they are; every other one becomes a JPEG."""
MAX_PIXELS: Final = 50_000_000
QUALITY: Final = 88
THUMBHASH_SIDE: Final = 32
MAX_SIDE: Final = 65_535

NO_PILLOW: Final = (
    "Pictures are cleaned before they leave, which needs more: pip install 'kith[pictures]'. Or send the file as it is "
    "(as_is): then it may say where and when it was taken."
)
UNREADABLE: Final = "This picture cannot be read, so it cannot be cleaned. Send the file as it is (as_is) or not."
TOO_LARGE: Final = "This picture has too many pixels. Make it smaller, or send the file as it is (as_is)."
ANIMATED: Final = "This picture moves, and is not cleaned. Send the file as it is (as_is)."


@dataclass(frozen=True, slots=True)
class Picture:
    """Clean bytes, and what is said of them. `thumbhash` as of evanw.github.io/thumbhash."""

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    thumbhash: bytes


def cleaned(raw: bytes) -> Picture:
    """The picture without anything else. BadFile in words; blocks for as long as decoding and encoding take."""
    try:
        import thash  # noqa: PLC0415  an extra
        from PIL import Image, ImageOps  # noqa: PLC0415
    except ImportError:
        raise BadFile("picture", NO_PILLOW) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
        try:
            with Image.open(io.BytesIO(raw)) as opened:
                if opened.width * opened.height > MAX_PIXELS or max(opened.size) > MAX_SIDE:
                    raise BadFile("picture", TOO_LARGE)
                if getattr(opened, "n_frames", 1) > 1:
                    raise BadFile("picture", ANIMATED)
                kind = opened.format or ""
                upright = _in_srgb(ImageOps.exif_transpose(opened))
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
            raise BadFile("picture", UNREADABLE) from None
    pixels = Image.frombytes(upright.mode, upright.size, upright.tobytes())  # nothing else comes along
    to = kind if kind in KEPT else "JPEG"
    if to == "JPEG" and pixels.mode != "RGB":
        pixels = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels.convert("RGBA")).convert("RGB")
    out = io.BytesIO()
    pixels.save(out, to, **({} if to == "PNG" else {"quality": QUALITY}))
    thumbhash = bytes(thash.encode(pixels, target_size=THUMBHASH_SIDE))
    return Picture(out.getvalue(), KEPT.get(to, "image/jpeg"), *pixels.size, thumbhash)


def _in_srgb(image: Image.Image) -> Image.Image:  # type: ignore[name-defined]  # noqa: F821  an extra
    """RGB or RGBA, in the colours that a picture without a profile is taken to have."""
    from PIL import ImageCms  # noqa: PLC0415  an extra

    mode = "RGBA" if image.has_transparency_data else "RGB"
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, source, target, outputMode=mode) or image
        except (ImageCms.PyCMSError, OSError, ValueError):  # a broken profile: the colours may be a little off
            return image.convert(mode)
    return image.convert(mode)
