"""Townspeople over a real server: the story is told once, whatever cuts it short, and nobody but the house sees in."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from journeys.harness import Server, served
from kith.app.demo import town as towns
from kith.app.demo.answers import next_words
from kith.app.demo.neighbour import Neighbour
from kith.app.demo.painting import LOAVES, png
from kith.app.demo.story import Meeting, Step, Town, meet
from kith.app.demo.telling import Progress, Ready, Told, heard
from kith.app.demo.town import CHEAP, FEW, LiveTown, Memory
from kith.app.demo.townspeople import TOWNSPEOPLE
from kith.sdk import Client, Room, Unreachable

BORN = (1980, 3)
WEATHER = "Rain on Thursday, says the frog in our rain barrel."
PASSWORD = "a boat with seven lamps"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for this module."""
    with served(tmp_path_factory.mktemp("town")) as running:
        yield running


def neighbour(handle: str, folder: Path) -> Neighbour:
    """One of the townspeople, not online yet."""
    who = next(person for person in TOWNSPEOPLE if person.handle == handle)
    return Neighbour(who, Client(folder / f"{handle}.kith", "irrelevant", packages=FEW, cost=CHEAP))


def nobody_expected(asker: str, asked: str) -> None:
    """No printed account is in these scenes."""
    raise AssertionError(f"{asker} and {asked} need the house")


def test_a_scene_is_told_once_though_it_is_begun_twice(server: Server, tmp_path: Path) -> None:
    """Cut short after the last word and begun again: it finds what is there and adds nothing."""
    scene = Meeting("samir", "hedda", "Is the ladder with you?", "Define “with”.")

    async def story() -> None:
        samir, hedda = neighbour("samir", tmp_path), neighbour("hedda", tmp_path)
        async with samir.client, hedda.client:
            for one in (samir, hedda):
                assert await one.come_online(server.origin, PASSWORD, BORN, None)
            town = Town({"samir": samir, "hedda": hedda}, nobody_expected)
            await meet(scene, town)
            room = await samir.reads("hedda", 1)
            told = [one.text for one in room.history() if one.kind == "text"]
            assert told == [scene.hello, scene.answer]
            await meet(scene, town)
            assert not (await hedda.connected_with("samir")).unsent()
            assert [one.text for one in room.history() if one.kind == "text"] == told

    asyncio.run(story())


def test_an_answer_is_read_met_with_a_gesture_mistyped_and_corrected(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes a chat look lived in, seen from the visitor's side."""

    async def at_once(_: str) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("kith.app.demo.neighbour._types", at_once)
    monkeypatch.setattr("kith.app.demo.neighbour.NOTICING_S", 0.0)

    async def story() -> None:
        ines, luca = neighbour("ines", tmp_path), neighbour("luca", tmp_path)
        ines.who = replace(ines.who, handle="ines.here")  # her own name is needed by the town below
        async with ines.client, luca.client:
            for one in (ines, luca):
                await one.come_online(server.origin, PASSWORD, BORN, None)
            await luca.ask("ines.here", "Thanks! And the weather?")
            await ines.accept("luca")
            room = await ines.reads("luca", 1)
            words = next_words(ines.who, room.history())
            assert words == WEATHER
            await ines._says(room, words)

            async def right() -> Room | None:
                hers = luca.client.room(room.id)
                shown = [(one.text, one.edited, list(one.reactions)) for one in hers.history() if one.kind == "text"]
                wanted = [("Thanks! And the weather?", False, ["❤️"]), (WEATHER, True, [])]
                return hers if shown == wanted else None

            hers = await luca.until("her answer", right)
            assert [one.read_by for one in hers.history() if one.mine] == [(ines.client.account,)]

    asyncio.run(story())


def test_bread_is_answered_with_a_photo(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words and picture in one message, which counts as the answer; the other device opens the very bytes."""

    async def at_once(_: str) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("kith.app.demo.neighbour._types", at_once)

    async def story() -> None:
        tomas, yara = neighbour("tomas", tmp_path), neighbour("yara", tmp_path)
        tomas.who = replace(tomas.who, handle="tomas.here")
        async with tomas.client, yara.client:
            for one in (tomas, yara):
                await one.come_online(server.origin, PASSWORD, BORN, None)
            await yara.ask("tomas.here", "Do you have bread?")
            await tomas.accept("yara")
            room = await tomas.reads("yara", 1)
            words = next_words(tomas.who, room.history())
            assert words is not None
            await tomas._says(room, words)
            assert next_words(tomas.who, room.history()) is None
            theirs = await yara.reads("tomas.here", 1)
            (photo,) = theirs.history()[-1].files
            assert (theirs.history()[-1].text, photo.media_type, photo.description) == (
                words,
                "image/png",
                LOAVES.shows,
            )
            assert await photo.read() == png(LOAVES)

    asyncio.run(story())


def test_a_townsperson_whose_store_is_lost_comes_back_with_her_code(server: Server, tmp_path: Path) -> None:
    """The account is the same; the town's memory has the recovery code for this."""

    async def story() -> None:
        first, again = neighbour("otto", tmp_path / "first"), neighbour("otto", tmp_path / "again")
        async with first.client:
            code = await first.come_online(server.origin, PASSWORD, BORN, None)
            account = first.client.account
        async with again.client:
            assert await again.come_online(server.origin, PASSWORD, BORN, code) is None
            assert again.client.account == account

    asyncio.run(story())


def test_a_townsperson_whose_sign_up_was_cut_short_finishes_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the last step was lost and the town ended; the next one takes it up and has her code."""

    async def lost(*_: object, **__: object) -> None:
        raise Unreachable("the answer is lost")

    async def story() -> None:
        first, again = neighbour("pia", tmp_path), neighbour("pia", tmp_path)
        async with first.client:
            with monkeypatch.context() as cut:
                cut.setattr("kith.sdk.api.Api.put_key_packages", lost)
                with pytest.raises(Unreachable):
                    await first.come_online(server.origin, PASSWORD, BORN, None)
        async with again.client:
            assert await again.come_online(server.origin, PASSWORD, BORN, None)
            assert again.client.online

    asyncio.run(story())


def test_a_step_that_fails_is_left_out_and_the_next_ones_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """One missing scene is better than no town; only what happened is remembered."""
    tried: list[str] = []

    async def fails(_: Town) -> None:
        tried.append("never")
        raise Unreachable("nobody there")

    async def works(_: Town) -> None:
        tried.append("fine")

    monkeypatch.setattr(towns, "STORY", (Step("never", fails), Step("fine", works)))
    monkeypatch.setattr(towns, "AGAIN_S", 0.0)
    asyncio.run(LiveTown("http://localhost:1", tmp_path / "town").tell_story())
    assert tried == ["never"] * towns.TRIES + ["fine"]
    said = [heard(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert said == [Progress("story", 1, 2), Progress("story", 2, 2), Ready()]

    tried.clear()
    asyncio.run(LiveTown("http://localhost:1", tmp_path / "town").tell_story())
    assert tried == ["never"] * towns.TRIES, "what was told is not told again"


def test_what_the_town_keeps_is_for_nobody_else(server: Server, tmp_path: Path) -> None:
    """A process of its own, as the house starts it: 0600 files in a 0700 folder, and it goes when its house goes."""
    folder = tmp_path / "town"
    child = subprocess.Popen(
        [sys.executable, "-m", "kith.app.demo.town", server.origin, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        first: Told = heard(child.stdout.readline())
        assert first == Progress("moving", 1, len(TOWNSPEOPLE))
        assert folder.stat().st_mode & 0o077 == 0
        files = [file for file in folder.iterdir() if file.is_file()]
        assert {"memory.json"} < {file.name for file in files}
        assert [file.name for file in files if file.stat().st_mode & 0o077] == []
        _, complaints = child.communicate(timeout=30)  # closes its stdin, as a house does that ends
        assert (child.returncode, complaints) == (0, b"")
    finally:
        child.kill()
        child.wait(10)


def test_the_memory_tells_no_secret_by_accident() -> None:
    """A log line or a traceback may show it."""
    memory = Memory(passwords="one secret", passphrase="another", codes={"otto": "a code"}, done=[])
    assert "secret" not in repr(memory)
    assert "another" not in repr(memory)
    assert "a code" not in repr(memory)
