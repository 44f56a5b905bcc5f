"""The examples of docs/sdk.md, as printed, against a real server."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

from kith.sdk import Message, Room
from sdk.meeting import Meeting, asked_by, eventually, next_message

PAGE = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text()
EXAMPLES = dict(re.findall(r"```python\n# example: (\S+)\n(.*?)```", PAGE, re.DOTALL))
PASSPHRASE = "a passphrase for the store"


class Running:
    """An example as a program of its own."""

    def __init__(self, name: str, folder: Path, swaps: dict[str, str] | None = None) -> None:
        code = EXAMPLES[name]
        for printed, real in (swaps or {}).items():
            assert printed in code, printed
            code = code.replace(printed, real)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    async def result(self) -> str:
        """What it printed; it must end well."""
        out, complaints = await asyncio.to_thread(self.process.communicate, None, 60)
        assert self.process.returncode == 0, complaints
        return out

    async def end(self) -> None:
        """It runs until it is stopped."""
        assert self.process.poll() is None
        self.process.terminate()
        await asyncio.to_thread(self.process.communicate, None, 20)


def test_every_python_example_is_run_here() -> None:
    """No example is on the page without a name, and none without a test."""
    assert len(EXAMPLES) == PAGE.count("```python")
    assert set(EXAMPLES) == {
        "echo",
        "sign-up",
        "words",
        "keeping",
        "first-contact",
        "changes",
        "files",
        "errors",
        "safety",
        "standing",
    }


async def changes_words(room: Room, words: Running) -> None:
    """The example about changing what was said, seen from the other side."""
    asked = await room.send("When do we meet?")

    async def corrected() -> Message | None:
        found = room.message(asked.id)
        liked = found is not None and list(found.reactions) == ["👍"]
        return next((one for one in room.history() if liked and one.text == "On Tuesday."), None)

    await (await eventually(corrected, "the corrected answer")).reply("Good")
    told = await words.result()
    assert "On Tuesday. {}" in told
    assert "['On Tuseday.', 'On Tuesday.'] ['On Tuesday.']" in told


def test_the_examples_do_what_the_page_says(meeting: Meeting) -> None:
    """Sign up, answer, ask, meet errors, report and block: each as a separate program on one store."""

    async def story() -> None:
        folder = meeting.folder
        bot = meeting.handle("echo")
        signed_up = Running("sign-up", folder, {"echo.bot": bot, "https://kith.example": meeting.origin})
        assert "recovery code on paper" in await signed_up.result()
        async with meeting.client("uma") as uma:
            await meeting.join(uma, "uma")
            await uma.request(bot, "Is anybody there?")
            echo = Running("echo", folder)
            assert (await next_message(uma)).text == "You said: Is anybody there?"
            await asyncio.sleep(2)  # it notes what it has answered; killed before, it would rightly answer again
            await echo.end()
            errors = Running("errors", folder, {"nobody.here": "nobody.at.all"})
            assert "Refused: There is no chat" in await errors.result()
        async with meeting.client("vic") as vic:
            await meeting.join(vic, "vic")
            asks = Running("first-contact", folder, {"ann.lake": vic.handle})
            room = await (await asked_by(vic, bot)).accept()
            assert (await next_message(vic)).text.startswith("Hello, may I")
            await room.send("Please do")
            assert "Please do" in await asks.result()
            assert (await next_message(vic)).text == "Here it comes."
            keeper = Running("changes", folder)
            async with meeting.client("wil") as wil:
                await meeting.join(wil, "wil")
                await wil.request(bot)
                async with aclosing(wil.changes()) as changes:
                    while not await wil.chats():
                        await anext(changes)
            await keeper.end()
            (folder / "rota.csv").write_text("Friday,Vic")
            (folder / "saved").mkdir()
            assert await Running("files", folder, {"ann.lake": vic.handle}).result() == ""
            assert [file.name for file in (await next_message(vic)).files] == ["rota.csv"]
            assert [await file.read() for file in (await next_message(vic)).files] == [b"a", b"b"]
            assert {one.name for one in (folder / "saved").iterdir()} == {"rota.csv", "a.txt", "b.txt"}
            await changes_words(room, Running("words", folder))
            await room.send("Send me money")
            safety = Running("safety", folder)
            assert "FULL" in await safety.result()
            assert "May write: True" in await Running("standing", folder).result()
            assert " 1 unread False \n" in await Running("keeping", folder).result()
            again = await Running("keeping", folder).result()
            assert {line.partition(" ")[2] for line in again.splitlines()} == {"0 unread False "}

    asyncio.run(story())
