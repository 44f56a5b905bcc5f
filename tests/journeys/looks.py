"""A look at a screen: axe in light and dark, no sideways scroll on a small phone, and a picture where one is wanted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, ViewportSize

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EVERYTHING = {"runOnly": {"type": "tag", "values": STANDARDS}}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
SMALL: ViewportSize = {"width": 320, "height": 640}
PICTURES = os.environ.get("KITH_PICTURES")
"""A folder for pictures of every screen that is looked at."""


class Looks:
    """Collects what is wrong with the screens that it is shown; `faults` is empty when nothing is."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.seen: list[str] = []

    def at(self, page: Page, name: str) -> None:
        """Look at the screen as it is now."""
        self.seen.append(name)
        _still(page)
        self._picture(page, name)
        self._axe(page, name, EVERYTHING)
        page.emulate_media(color_scheme="dark")
        _still(page)
        self._picture(page, f"{name}-dark")
        self._axe(page, f"{name}, dark", COLOURS)
        page.emulate_media(color_scheme="light")
        self._sideways(page, name)

    def _axe(self, page: Page, name: str, wanted: dict[str, Any]) -> None:
        # Evaluated from outside, so that the page's policy stays on.
        if not page.evaluate("() => 'axe' in globalThis"):
            page.evaluate(AXE.read_text())
        found = page.evaluate("(wanted) => axe.run(document, wanted)", wanted)
        for fault in found["violations"]:
            where = "; ".join(f"{node['target']} {node['html'][:120]}" for node in fault["nodes"][:3])
            self.faults.append(f"{name}: {fault['id']}: {where}")

    def _sideways(self, page: Page, name: str) -> None:
        before = page.viewport_size
        page.set_viewport_size(SMALL)
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self.faults.append(f"{name}: {wide} px wider than a screen of {SMALL['width']}")
        self._picture(page, f"{name}-320")
        if before is not None:
            page.set_viewport_size(before)

    def _picture(self, page: Page, name: str) -> None:
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{len(self.seen):02}-{name}.png")


def _still(page: Page) -> None:
    """Wait until nothing moves: a sheet half way up or a colour half way over would be judged."""
    for _ in range(50):  # a screen that makes way for the next one is no second page
        if page.locator("main").count() <= 1:
            break
        page.wait_for_timeout(100)
    page.evaluate("() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => null)))")
