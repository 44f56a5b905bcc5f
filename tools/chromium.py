"""Makes sure that browser journeys have a Chromium: Debian's package where we may install it, else a loud notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    """Install it if it is missing and can be; in CI its absence is a failure, elsewhere tests skip and say so."""
    if any(map(shutil.which, NAMES)):
        return 0
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("· Installing Chromium (Debian's package), for the browser journeys", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.call(["apt-get", "update", "-qq"], **quiet)  # type: ignore[call-overload]  # a plain dict
        subprocess.call(  # type: ignore[call-overload]  # a plain dict
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-noto-core"], **quiet
        )
    if any(map(shutil.which, NAMES)):
        return 0
    print("!! No Chromium here: the browser journeys will be SKIPPED. Install one: apt install chromium", flush=True)
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
