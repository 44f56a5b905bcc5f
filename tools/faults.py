"""Makes sure that the proofs of durability have their tools: Debian's packages where we may install them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {
    "mkfs.ext4": "e2fsprogs",
    "unshare": "util-linux",
    "mount": "mount",
    "strace": "strace",
    "faketime": "faketime",
}
"""What is run, and the Debian package that has it."""


def missing() -> list[str]:
    """Tools that are not here."""
    return [tool for tool in PACKAGES if shutil.which(tool) is None]


def main() -> int:
    """Install what is missing and can be; in CI its absence is a failure, elsewhere tests skip and say so."""
    lacking = missing()
    if lacking and shutil.which("apt-get") and os.geteuid() == 0:
        wanted = [PACKAGES[tool] for tool in lacking]
        print(f"· Installing {', '.join(wanted)} (Debian's packages), for the proofs of durability", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.call(["apt-get", "update", "-qq"], **quiet)  # type: ignore[call-overload]  # a plain dict
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        subprocess.call([*install, *wanted], **quiet)  # type: ignore[call-overload]  # a plain dict
    if not (lacking := missing()):
        return 0
    print(f"!! No {', '.join(lacking)} here: proofs of durability that need them will be SKIPPED.", flush=True)
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
