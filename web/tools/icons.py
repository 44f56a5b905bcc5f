"""Draw the PNG icons from the SVG drawings in public/icons: ``../.venv/bin/python tools/icons.py``."""

# ruff: noqa: INP001  (a script, not a package)
from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

ICONS = Path(__file__).resolve().parent.parent / "public" / "icons"
DRAWN = [("kith", 192, "kith-192"), ("kith", 512, "kith-512"), ("kith-maskable", 512, "kith-maskable-512")]


def main() -> None:
    """Render each drawing at its size, corners transparent."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for drawing, size, name in DRAWN:
            page = browser.new_page(viewport={"width": size, "height": size})
            svg = (ICONS / f"{drawing}.svg").read_text()
            page.set_content(f"<style>body{{margin:0}}svg{{display:block;width:{size}px;height:{size}px}}</style>{svg}")
            page.screenshot(path=str(ICONS / f"{name}.png"), omit_background=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
