"""The demo's folder: a server made once by the same steps as `kith init`, moved along when the ports change."""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from kith.app import keys, setting_up
from kith.app.demo.obstacles import Obstacle
from kith.app.settings import Operator, Settings
from kith.safety.rules import RULE_IDS

NAME = "kith.localhost"
TIPLINE_USER = "practice"


def prepare(data: Path, port: int) -> bool:
    """Make the server, or move it to these ports; True when it is new."""
    if (data / "kith.toml").is_file():
        move(data, port)
        return False
    if data.is_dir() and any(data.iterdir()):
        raise Obstacle(f"{data} holds something else. Name another folder with --data, or remove it yourself.")
    # Made beside its place: whatever is cut short leaves nothing half-made under the name.
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    _create(fresh, port, password_file=data.absolute() / "tipline-password")
    if data.is_dir():
        data.rmdir()
    fresh.replace(data)
    return True


def _create(folder: Path, port: int, *, password_file: Path) -> None:
    setting_up.create(
        folder,
        name=NAME,
        origin=origin(port),
        staff_origin=staff_origin(port + 1),
        port=port,
        staff_port=port + 1,
        rules=dict.fromkeys(sorted(RULE_IDS), "live"),
        operator=Operator(name="Kith's demo", first_name="Dana", last_name="Demo", email="safety@kith.example"),
        tipline=(tipline(port + 2), TIPLINE_USER, str(password_file)),
    )
    keys.write_secret(folder / password_file.name, secrets.token_urlsafe(24).encode())
    _rewrite(folder, {"first_name": '"Dana"', "last_name": '"Demo"', "email": '"dana@kith.localhost"'})


def move(data: Path, port: int) -> None:
    """Serve on other ports from now on; the name in every address stays."""
    if Settings.load(data / "kith.toml").port == port:
        return
    moved = {
        "origin": f'"{origin(port)}"',
        "staff_origin": f'"{staff_origin(port + 1)}"',
        "port": str(port),
        "staff_port": str(port + 1),
        "endpoint": f'"{tipline(port + 2)}"',
    }
    _rewrite(data, moved)


def _rewrite(data: Path, values: dict[str, str]) -> None:
    file = data / "kith.toml"
    text = file.read_text()
    for name, value in values.items():
        text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    Settings.load(fresh)
    fresh.replace(file)


def origin(port: int) -> str:
    """Where people's browsers go; browsers allow the cryptography on plain http only for localhost."""
    return f"http://localhost:{port}"


def staff_origin(port: int) -> str:
    """A host of its own, so that no cookie or script of one side reaches the other."""
    return f"http://staff.localhost:{port}"


def tipline(port: int) -> str:
    """The practice CyberTipline."""
    return f"http://127.0.0.1:{port}/ispws"


def tipline_port(settings: Settings) -> int:
    """The port that the settings name."""
    port = urlsplit(settings.tipline.endpoint).port
    if port is None:
        raise Obstacle("kith.toml names no practice CyberTipline. Run: make demo-reset")
    return port


def tipline_login(settings: Settings) -> tuple[str, str]:
    """The user and password with which the server will come."""
    return settings.tipline.username, Path(settings.tipline.password_file).read_text().strip()
