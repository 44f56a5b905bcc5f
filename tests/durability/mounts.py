"""File systems in a file, mounted where nobody else sees them; the power of one can be cut."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what was not synced is gone, the journal's unwritten part included."""
BUSY_S = 10.0
_INSIDE = "KITH_PROOFS_NAMESPACE"


class CannotMountError(RuntimeError):
    """This machine has no loop device, or we may not use one; the message says what failed."""


def make_image(image: Path, size_mb: int, block: int = 4096) -> None:
    """A sparse file with an empty ext4 in it."""
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    options = ["-q", "-F", "-b", str(block), "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"]
    _run(["mkfs.ext4", *options, str(image)])


def copy_image(image: Path, to: Path) -> None:
    """A sparse copy."""
    _run(["cp", "--sparse=always", str(image), str(to)])


def mount(image: Path, at: Path) -> None:
    """Mount through a free loop device; another program may take the one that was free a moment ago."""
    at.mkdir(exist_ok=True)
    until = time.monotonic() + BUSY_S
    while True:
        try:
            _run(["mount", "-o", "loop", str(image), str(at)])
        except CannotMountError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def unmount(at: Path) -> None:
    """Unmount; processes that were killed a moment ago may still hold it."""
    until = time.monotonic() + BUSY_S
    while subprocess.run(["umount", str(at)], capture_output=True, check=False).returncode:
        if time.monotonic() > until:
            _run(["umount", "-l", str(at)])
            return
        time.sleep(0.01)


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """Mounted for as long as the block runs."""
    mount(image, at)
    try:
        yield at
    finally:
        unmount(at)


def cut_power(at: Path) -> None:
    """The file system at this mount point forgets at once everything that was not synced."""
    descriptor = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, sys.byteorder))
    finally:
        os.close(descriptor)


def scratch() -> str | None:
    """Where images live: in memory when there is room, so that a cut costs no real disk."""
    memory = Path("/dev/shm")  # noqa: S108  a file system, not a file of a known name
    fits = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30
    return str(memory) if fits else None


def alone(program: Sequence[str]) -> list[str]:
    """The command that runs a program in a mount namespace of its own; its mounts end with it."""
    return ["unshare", "--mount", "--propagation", "private", *program]


def enter_namespace() -> None:
    """Start this program again inside a mount namespace of its own, unless it is in one."""
    if os.environ.get(_INSIDE):
        return
    os.environ[_INSIDE] = "1"
    command = alone([sys.executable, *sys.orig_argv[1:]])
    os.execvp(command[0], command)  # noqa: S606  no shell is wanted


_PROBE = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from durability import mounts
with tempfile.TemporaryDirectory(dir=mounts.scratch()) as folder:
    image, at = Path(folder) / "image", Path(folder) / "at"
    mounts.make_image(image, 16)
    with mounts.mounted(image, at):
        file = (at / "file").open("w")
        file.write("not synced")
        file.flush()
        mounts.cut_power(at)
        file.close()
    with mounts.mounted(image, at):
        sys.exit(0 if not (at / "file").exists() or not (at / "file").read_text() else 3)
"""


@functools.cache
def why_not() -> str | None:
    """Tries it: None when power cuts work here, else the reason why they do not."""
    if os.geteuid() != 0:
        return "power cuts need root"
    missing = [tool for tool in ("unshare", "mkfs.ext4", "mount", "umount") if shutil.which(tool) is None]
    if missing:
        return f"power cuts need {', '.join(missing)}"
    probe = [sys.executable, "-c", _PROBE, str(Path(__file__).parents[1])]
    tried = subprocess.run(alone(probe), capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no loop device works here: {(tried.stderr.strip().splitlines() or ['a cut lost nothing'])[-1]}"
    return None


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMountError(f"{' '.join(command)}: {done.stderr.strip()}")
