"""Browsers and servers for the journeys."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from harness import chromium_path, launch
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Real Chromium. Its absence fails in CI and is a loud skip elsewhere."""
    if chromium_path() is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium: tools/chromium.py installs it")
        pytest.skip("no Chromium here: the browser journeys did NOT run (apt install chromium)")
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()
