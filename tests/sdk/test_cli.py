"""`kith client` as a person or a script meets it: a program with a terminal's manners."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdk.films import voice
from sdk.meeting import Meeting, eventually


class Shell:
    """One person's environment."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "KITH_STORE": str(folder / f"{name}.kith"),
            "KITH_PASSPHRASE": "for the store",
            "KITH_PASSWORD": "a boat with seven lamps",
        }

    def run(self, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """`kith client …` with this on its pipe."""
        return subprocess.run(
            [sys.executable, "-m", "kith", "client", *words],
            input=said,
            capture_output=True,
            text=True,
            env=self.env,
            cwd=self.folder,
            timeout=60,
            check=False,
        )

    def first_line(self, *words: str, of: str = "") -> str:
        """The first line that a program prints which goes on, with `of` in it; then the program is ended.

        What it printed and was ended over, it prints again: a message counts as heard when the next one is asked for.
        """
        with subprocess.Popen(
            [sys.executable, "-m", "kith", "client", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.env,
            cwd=self.folder,
        ) as program:
            assert program.stdout is not None
            line = next(line for line in program.stdout if of in line)
            program.terminate()
        return line


@pytest.fixture
def ann(tmp_path: Path) -> Shell:
    """Somebody at a terminal."""
    return Shell(tmp_path, "ann")


@pytest.mark.slow
@pytest.mark.timeout(900)  # a dozen programs, one after another
def test_a_script_signs_up_writes_from_a_pipe_and_exports(meeting: Meeting, tmp_path: Path, ann: Shell) -> None:
    """Two people, nothing but commands; stdout has only what was asked for."""
    ben = Shell(tmp_path, "ben")
    handles = {name: meeting.handle(name) for name in ("ann", "ben")}
    for shell, name in ((ann, "ann"), (ben, "ben")):
        made = shell.run("sign-up", meeting.origin, handles[name], "--born", "1990-05")
        assert made.returncode == 0, made.stderr
        assert len(made.stdout.strip().replace("-", "")) == 34
    assert ann.run("ask", handles["ben"]).returncode == 0
    assert handles["ann"] in ben.run("requests").stdout
    assert ben.run("requests", "--accept", handles["ann"]).returncode == 0
    sent = ann.run("send", handles["ben"], said="from a pipe\n\x1b[31mred")
    assert (sent.returncode, sent.stdout) == (0, ""), sent.stderr
    heard_one = json.loads(ben.first_line("listen", "--json"))
    assert (heard_one["from"], heard_one["text"]) == (handles["ann"], "from a pipe\n\x1b[31mred")
    heard = ben.run("export", "mine.json")
    assert heard.returncode == 0, heard.stderr
    data = json.loads((tmp_path / "mine.json").read_text())
    assert [one["text"] for one in data["device"]["messages"]] == ["from a pipe\n\x1b[31mred"]
    assert data["server"]["account"]["handle"] == handles["ben"]
    sends_a_file(ann, ben, handles)
    chat = ben.run("chat", handles["ann"], said="/quit\n")
    assert (chat.returncode, "from a pipe" in chat.stdout) == (0, True), chat.stderr
    assert "\x1b" not in chat.stdout  # somebody else's words do not steer the terminal
    looks_after_the_account(ben, meeting.origin)
    assert ben.run("sign-out").returncode == 0
    assert "Nobody is signed in" in ben.run("chats").stderr


def sends_a_file(ann: Shell, ben: Shell, handles: dict[str, str]) -> None:
    """It is listed by name, saved as it was, and overwrites nothing."""
    rota = ann.folder / "rota[1].txt"
    rota.write_text("Friday: Ann")
    sent = ann.run("send-file", handles["ben"], str(rota), "--caption", "The rota")
    assert (sent.returncode, sent.stdout) == (0, ""), sent.stderr
    heard = json.loads(ben.first_line("listen", "--json", of="The rota"))
    assert heard["text"] == "The rota"
    facts = {"name": "rota[1].txt", "media_type": "text/plain", "bytes": 11, "description": ""}
    assert heard["files"] == [{**facts, "duration_ms": None, "voice": False}]
    there = ben.folder / "copy.txt"
    saved = ben.run("save", handles["ann"], "--to", str(there))
    assert (saved.returncode, saved.stdout) == (0, f"{there}\n"), saved.stderr
    assert there.read_text() == "Friday: Ann"
    again = ben.run("save", handles["ann"], "--to", str(there))
    assert (again.returncode, "is there already" in " ".join(again.stderr.split())) == (1, True)
    memo = ann.folder / "memo.m4a"
    memo.write_bytes(voice("ipod", codec="aac"))
    spoken = ann.run("send-file", handles["ben"], str(memo), "--voice", "--caption", "A note")
    assert (spoken.returncode, spoken.stdout) == (0, ""), spoken.stderr
    note = json.loads(ben.first_line("listen", "--json", of="A note"))["files"][0]
    assert (note["name"], note["voice"], note["duration_ms"] // 100 in (29, 30, 31)) == ("memo.m4a", True, True)
    assert "memo.m4a, 0:03" in ben.run("read", handles["ann"]).stdout
    missing = ann.run("send-file", handles["ben"], str(ann.folder / "absent"))
    assert (missing.returncode, "cannot be read" in missing.stderr) == (1, True)


def looks_after_the_account(ben: Shell, origin: str) -> None:
    """Standing, door, name, devices, links, reports: readable answers, and sentences for what cannot be."""
    assert ben.run("standing").stdout == "Nothing limits your account.\n"
    door = ben.run("controls", "--requests", "nobody", "--name", "Ben [bold]Hill", "--no-typing")
    seen = ["Read receipts: on", "Typing: off"]
    assert door.stdout.splitlines() == ["Requests from: nobody", *seen, "Name: Ben [bold]Hill"], door.stderr
    assert ben.run("devices").stdout.rstrip().endswith("Kith SDK  (this device)")
    link = ben.run("invite")
    assert link.stdout.startswith(f"{origin}/#/i/")
    assert "For one person" in link.stderr
    assert "You reported nobody." in ben.run("reports").stderr
    for words, sentence in (
        (("appeal", "00000000-0000-4000-8000-000000000000", "Why?"), "kith: "),
        (("controls", "--requests", "friends"), "everyone, or nobody"),
        (("devices", "--remove", "00000000-0000-4000-8000-000000000000"), "kith: "),
        (("blocks", "--undo", "nobody.here"), "You did not block nobody.here"),
        (("restricted", "--undo", "nobody.here"), "You do not restrict nobody.here"),
    ):
        refused = ben.run(*words)
        assert (refused.returncode, refused.stdout) == (1, ""), words
        assert sentence in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_script_changes_what_was_said(meeting: Meeting, ann: Shell) -> None:
    """Edit, react, read, forward, timer, search, delete: one command each, and sentences for what cannot be."""
    handle = meeting.handle("ann")
    assert ann.run("sign-up", meeting.origin, handle, "--born", "1990-05").returncode == 0

    async def befriended() -> None:
        async with meeting.client("ben") as ben:
            await meeting.join(ben, "ben")
            await ben.request(handle, "hello")
            assert ann.run("requests", "--accept", ben.handle).returncode == 0
            listening = asyncio.create_task(asyncio.to_thread(ann.first_line, "listen", "--json"))
            assert "hello" in await listening
            await asyncio.to_thread(commands, ben.handle)
            room = await ben.room_with(handle)

            async def right() -> bool | None:
                shown = [(one.kind, one.text, one.reactions) for one in room.history() if one.kind != "info"]
                liked: dict[str, tuple[str, ...]] = {"👍": ((await ben.chats())[0].account,)}
                wanted = [("text", "hello", liked), ("deleted", "", {}), ("text", "Tuesday", {})]
                return (shown == wanted and room.timer_s == 86400) or None

            await eventually(right, "what she did")

    def commands(ben: str) -> None:
        for words in (
            ("send", ben, "Tuseday"),
            ("edit", ben, "Tuesday"),
            ("react", ben, "👍"),
            ("forward", ben, ben),
            ("timer", ben, "1d"),
        ):
            done = ann.run(*words)
            assert done.returncode == 0, done.stderr
        shown = ann.run("read", ben).stdout
        assert "Tuesday (edited)" in shown
        assert "hello (👍 1)" in shown
        first = next(line.split()[0] for line in shown.splitlines() if "edited" in line)
        found = [json.loads(line)["text"] for line in ann.run("search", "tues", "--json").stdout.splitlines()]
        assert found == ["Tuesday", "Tuesday"]
        assert ann.run("delete", ben, "--message", first).returncode == 0
        for wrong, sentence in (
            (("react", ben, "thanks"), "one emoji"),
            (("edit", ben, "x", "--message", "zz"), "no such message"),
            (("timer", ben, "2d"), "off, 5m"),
        ):
            refused = ann.run(*wrong)
            assert (refused.returncode, refused.stdout) == (1, ""), wrong
            assert sentence in refused.stderr

    asyncio.run(befriended())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_script_keeps_its_chats_in_order(meeting: Meeting, ann: Shell) -> None:
    """Pin, mute, archive, draft, unread, delete: one command each; what was deleted is proven in a report."""
    handle = meeting.handle("ann")
    assert ann.run("sign-up", meeting.origin, handle, "--born", "1990-05").returncode == 0

    async def befriended() -> None:
        async with meeting.client("ben") as ben:
            await meeting.join(ben, "ben")
            await ben.request(handle, "hello")
            assert ann.run("requests", "--accept", ben.handle).returncode == 0
            listening = asyncio.create_task(asyncio.to_thread(ann.first_line, "listen", "--json"))
            assert "hello" in await listening
            await asyncio.to_thread(commands, ben.handle)

    def commands(ben: str) -> None:
        assert ann.run("chats").stdout.split() == [ben, "Ben", "1", "unread"]
        shown = ann.run("read", ben)
        assert ("hello" in shown.stdout, "Not read yet" in shown.stderr) == (True, True)
        assert "Not read yet" not in ann.run("read", ben).stderr
        for words in (("pin", ben), ("mute", ben), ("draft", ben, "Dear [b]Ben")):
            done = ann.run(*words)
            assert done.returncode == 0, done.stderr
        assert ann.run("chats").stdout.split() == [ben, "Ben", "pinned,", "muted,", "draft"]
        assert ann.run("chats", "--unread").stdout == ""
        assert ann.run("draft", ben).stdout == "Dear [b]Ben\n"
        assert ann.run("draft", ben, "--send").returncode == 0
        assert "no draft" in ann.run("draft", ben, "--send").stderr
        assert ann.run("archive", ben).returncode == 0
        assert ann.run("mute", ben, "--undo").returncode == 0
        assert ann.run("chats").stdout.split() == [ben, "Ben", "archived"]
        assert "30 days" in ann.run("delete-chat", ben).stderr
        assert ann.run("read", ben).stdout == ""
        assert "every message in it is proven" in ann.run("report", ben, "--category", "scam").stderr

    asyncio.run(befriended())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("chats",), "There is no store at"),
        (("sign-up", "http://kith.example", "ann", "--born", "1990-05"), "must start with https://"),
        (("sign-up", "kith.example", "ann", "--born", "1990-05"), "not the address of a server"),
        (("sign-up", "http://localhost:9", "ann", "--born", "1990-05"), "cannot reach its server"),
        (("sign-up", "http://localhost:9", "ann", "--born", "May 1990"), "like 1990-05"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(ann: Shell, words: tuple[str, ...], sentence: str) -> None:
    """No traceback, nothing on stdout, a code that scripts can tell apart."""
    done = ann.run(*words)
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.returncode == (75 if "reach" in sentence else 1)


def test_a_wrong_passphrase_is_said_so(ann: Shell) -> None:
    """And nothing of the store is shown."""
    ann.run("sign-up", "http://localhost:9", "ann", "--born", "1990-05")
    ann.env["KITH_PASSPHRASE"] = "another"
    done = ann.run("whoami")
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not open the store" in done.stderr
