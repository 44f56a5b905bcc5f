"""What can stand in the way of the demo: each is one clear sentence, and nothing was started or left behind."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from demo.running import free_base
from kith.app.demo import house, obstacles
from kith.app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def demo(data: Path, port: int) -> subprocess.CompletedProcess[str]:
    """`kith demo`, which is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "kith", "demo", "--data", str(data), "--port", str(port)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_busy_port_is_one_sentence_with_a_way_out(tmp_path: Path, offset: int) -> None:
    """Any of the three ports; the sentence names it and another command."""
    base = free_base()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + offset))
        taken.listen()
        done = demo(tmp_path / "demo", base)
    assert done.returncode == 1
    assert (
        done.stderr == f"kith: Port {base + offset} is in use. Stop what uses it, or run: make demo PORT={base + 100}\n"
    )
    assert not (tmp_path / "demo").exists()


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before anything is written."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=120 << 20))
    with pytest.raises(obstacles.Obstacle, match=r"The disk has 120 MB left and the demo needs 500\."):
        obstacles.look(tmp_path / "demo", free_base())


def test_a_second_demo_in_one_folder_is_refused(tmp_path: Path) -> None:
    """Two servers on one database would not hear each other."""
    with obstacles.alone(tmp_path / "demo"):
        done = demo(tmp_path / "demo", free_base())
    assert done.returncode == 1
    assert "A demo already runs from" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("port", [0, 65_534, 70_000])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: int) -> None:
    """The three ports must be ports."""
    with pytest.raises(obstacles.Obstacle, match="is no port to use"):
        obstacles.look(tmp_path, port)


def test_a_town_of_the_web_clients_engine_is_one_sentence_and_is_left_alone(tmp_path: Path) -> None:
    """Its people's keys are in stores that only Node can read; nothing is started over them or removed."""
    memory = tmp_path / "demo" / "town" / "story.json"
    memory.parent.mkdir(parents=True)
    memory.write_text("{}")
    done = demo(tmp_path / "demo", free_base())
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "was made by an earlier Kith" in done.stderr
    assert memory.read_text() == "{}"


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    """The demo never removes what it did not make."""
    (tmp_path / "letters.txt").write_text("dear friend")
    with pytest.raises(obstacles.Obstacle, match="holds something else"):
        house.prepare(tmp_path, 8000)
    assert (tmp_path / "letters.txt").read_text() == "dear friend"


def test_a_first_run_cut_short_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """Half a server under the working name is swept away by the next run."""
    leftover = tmp_path / "demo.new" / "keys"
    leftover.mkdir(parents=True)
    (leftover / "tickets").write_text("half")
    assert house.prepare(tmp_path / "demo", 8000)
    assert not house.prepare(tmp_path / "demo", 8000)
    assert not leftover.exists()


def test_other_ports_move_the_server_and_keep_its_name(tmp_path: Path) -> None:
    """PORT=… on a second run: every address follows, the name in people's addresses does not."""
    house.prepare(tmp_path / "demo", 8000)
    house.prepare(tmp_path / "demo", 8100)
    settings = Settings.load(tmp_path / "demo" / "kith.toml")
    assert (settings.port, settings.staff_port, house.tipline_port(settings)) == (8100, 8101, 8102)
    assert (settings.origin, settings.staff_origin) == ("http://localhost:8100", "http://staff.localhost:8101")
    assert settings.server_name == house.NAME


def old_python() -> str | None:
    """A Python before 3.11, where there is one."""
    found = [shutil.which(f"python3.{minor}") for minor in (10, 9, 8)]
    versions = Path.home() / ".pyenv" / "versions"
    found += [str(path) for minor in (10, 9, 8) for path in sorted(versions.glob(f"3.{minor}.*/bin/python3"))]
    return next((path for path in found if path and _is_old(path)), None)


def _is_old(path: str) -> bool:
    return (
        subprocess.run(
            [path, "-c", "import sys; sys.exit(sys.version_info >= (3, 11))"], capture_output=True, check=False
        ).returncode
        == 0
    )


def test_an_old_python_is_one_sentence(tmp_path: Path) -> None:
    """Set-up with an old Python, and no newer one to be found, says what to install and touches nothing."""
    python = old_python()
    if python is None:
        pytest.skip("no Python older than 3.11 here to be refused")
    done = subprocess.run(
        [python, str(ROOT / "tools" / "setup.py")],
        capture_output=True,
        check=False,
        text=True,
        env={"PATH": str(tmp_path)},
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "is too old; Kith needs 3.11 or newer" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
