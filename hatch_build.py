"""Puts the built client into the wheel, so that `pip install kith` needs no Node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent


class ClientHook(BuildHookInterface):  # type: ignore[type-arg]  # the plugin interface is loosely typed
    """Builds web/dist when a wheel is made; an editable checkout builds it with `make web`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, then include the files as kith/static."""
        if version == "editable":
            return
        dist = ROOT / "web" / "dist"
        if not (dist / "index.html").is_file():
            subprocess.run([sys.executable, str(ROOT / "src" / "kith" / "app" / "web.py"), "build"], check=True, cwd=ROOT)
        build_data["force_include"][str(dist)] = "kith/static"
