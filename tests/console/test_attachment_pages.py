"""What a reviewer's browser gets of an attachment: pixels that were made anew, or a calm word, and never the file."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, Page, ViewportSize

from console.scene import add_staff
from console.test_browser import Desk, serving
from console.test_browser import browser as browser  # noqa: PLC0414  a fixture
from console.test_browser import pytestmark as pytestmark  # noqa: PLC0414  for this file as well
from kith.app.painting import Painter
from reports.test_attachments import Scene
from reports.world import World

INSIDE = b"CANARY-inside-the-file"


def photo() -> bytes:
    """A picture with words in it that nobody sees."""
    out, said = io.BytesIO(), PngInfo()
    said.add_text("Comment", INSIDE.decode())
    Image.linear_gradient("L").resize((320, 200)).save(out, "PNG", pnginfo=said)
    return out.getvalue()


def moving() -> bytes:
    """Three frames."""
    out = io.BytesIO()
    frames = [Image.new("RGB", (120, 80), (70 * n, 90, 120)) for n in range(3)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], comment=INSIDE)
    return out.getvalue()


def broken() -> bytes:
    """A header that promises a picture, and nothing behind it that is one."""
    head = b"IHDR" + (64).to_bytes(4) + (48).to_bytes(4) + bytes((8, 9, 0, 0, 0))  # a colour type that does not exist
    return b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + head + zlib.crc32(head).to_bytes(4) + INSIDE + bytes(200)


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """A case with four attachments: a photo, a moving one, a broken one, and one that the disk lost."""
    world = World(tmp_path / "kith.db")
    add_staff(world)
    scene = Scene(world)
    world.desk = replace(world.desk, paint=Painter())
    for data, kind in (
        (photo(), "image/png"),
        (moving(), "image/gif"),
        (broken(), "image/png"),
        (photo(), "image/png"),
    ):
        sealed, _ = scene.sealed(data)
        scene.send(sealed, len(data), kind)
    scene.report()
    del scene.shelf.there[sealed.blob]
    with serving(world) as made:
        yield made


def opened(page: Page, number: int) -> Page:
    """The page of one attachment."""
    with page.context.expect_page() as fresh:
        page.get_by_role("button", name="Check and open").nth(number).click()
    fresh.value.wait_for_load_state("load")
    return fresh.value


def seen(page: Page) -> tuple[int, int]:
    """The picture's size, as the browser decoded it."""
    page.wait_for_function("document.querySelector('img')?.complete")
    width, height = page.evaluate(
        "(({naturalWidth, naturalHeight}) => [naturalWidth, naturalHeight])(document.images[0])"
    )
    return int(width), int(height)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_come_as_pixels_and_what_cannot_is_said(scheme: str, origin: str, browser: Browser) -> None:
    """No byte of a file crosses the wire, every page is calm, axe finds nothing, and nothing is wider than a phone."""
    sizes: list[ViewportSize] = [{"width": 320, "height": 700}, {"width": 1280, "height": 900}]
    dark = scheme == "dark"
    context = browser.new_context(viewport=sizes[0], color_scheme="dark" if dark else "light")
    bodies = list[bytes]()
    context.on("response", lambda one: bodies.append(one.body()) if "/attachments/" in one.url else None)
    desk = Desk(context.new_page(), origin)
    desk.sign_in("ada")
    desk.page.get_by_role("link", name="Next case").click()
    desk.page.get_by_role("button", name="Take this case").click()
    desk.page.get_by_role("button", name="Show all messages").click()
    desk.page.get_by_role("button", name="Check and open").nth(3).wait_for()
    pages = [opened(desk.page, number) for number in range(4)]
    assert [seen(page) for page in pages[:2]] == [(320, 200), (120, 80)]
    assert "fresh picture" in pages[0].content()
    assert "all of its 3 frames" in pages[1].content()
    assert "could not be made anew" in pages[2].content()
    assert "device is asked for its copy" in pages[3].content()
    assert [page.locator("img").count() for page in pages[2:]] == [0, 0]
    assert len(bodies) == 2
    assert not [body for body in bodies if INSIDE in body]
    for number, page in enumerate(pages):
        one = Desk(page, origin)
        for size in sizes:
            page.set_viewport_size(size)
            assert one.width() <= size["width"]
            if folder := os.environ.get("KITH_PICTURES"):
                page.screenshot(path=f"{folder}/attachment-{number}-{scheme}-{size['width']}.png", full_page=True)
        assert one.violations() == []
        assert one.complaints == []
