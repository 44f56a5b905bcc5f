"""The web client's engine and the SDK in one chat, in both directions."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.running import Visitors
from journeys.harness import Server
from kith.app import web
from kith.protocol.attachments import CHUNK, TAG
from kith.sdk import Client, File, FileToSend, Message
from sdk.films import PLACE, film, voice
from sdk.meeting import WAIT_S, Meeting, asked_by, eventually, next_message
from sdk.staff import Reviewer
from sdk.test_reported_files import attachment, picture, shows_the_picture


@pytest.fixture(scope="module")
def visitors(server: Server) -> Iterator[Visitors]:
    """People on the web client's engine, in Node."""
    if not (web.WEB / "package.json").is_file():
        pytest.skip("an installed package has no web engine for Node; run from a checkout")
    people = Visitors(server.origin)
    yield people
    people.close()


async def do(visitors: Visitors, person: str, op: str, **args: Any) -> Any:
    """One operation of the web client, without stopping the SDK's clients."""
    return await asyncio.to_thread(lambda: visitors.do(person, op, **args))


async def web_person(visitors: Visitors, meeting: Meeting, name: str) -> str:
    """Somebody signed up on the web client; her handle."""
    handle = meeting.handle(name)
    await do(visitors, handle, "open", origin=meeting.origin, folder=str(meeting.folder / handle))
    await do(
        visitors,
        handle,
        "sign_up_person",
        handle=handle,
        display_name=name.title(),
        password="a boat with seven lamps",
        year=1990,
        month=4,
    )
    return handle


async def talk(visitors: Visitors, client: Client, handle: str, room: str) -> None:
    """Both sides write and reply, and see the same thread."""
    said = await client.room(room).send("from the SDK")
    heard = await do(visitors, handle, "hear", room=room, text="from the SDK")
    assert (heard["kind"], heard["id"], heard["seq"]) == ("text", said.id, said.seq)
    await do(visitors, handle, "send", room=room, text="from the web", reply_to=said.id)
    answer = await next_message(client)
    assert (answer.text, answer.reply_to) == ("from the web", said.id)
    await answer.reply("and back")
    reply = await do(visitors, handle, "hear", room=room, text="and back")
    assert reply["reply_to"]["text"] == "from the web"
    thread = (await do(visitors, handle, "thread", room=room))["messages"]
    assert [one["text"] for one in thread] == [one.text for one in client.room(room).history()]
    assert {one["kind"] for one in thread} == {"text"}
    assert {one["gap_before"] for one in thread} == {0}


def test_the_sdk_asks_and_the_web_client_accepts(visitors: Visitors, meeting: Meeting) -> None:
    """The SDK creates the group; the web client joins by its Welcome."""

    async def story() -> None:
        handle = await web_person(visitors, meeting, "wanda")
        async with meeting.client("sid") as sid:
            await meeting.join(sid, "sid")
            await sid.request(handle, "Hello from a program")
            room = (await do(visitors, handle, "accept_from", handle=sid.handle))["room"]
            await do(visitors, handle, "hear", room=room, text="Hello from a program")
            await talk(visitors, sid, handle, room)
        await do(visitors, handle, "close")

    asyncio.run(story())


def test_the_web_client_asks_and_the_sdk_accepts(visitors: Visitors, meeting: Meeting) -> None:
    """The web client creates the group; the SDK joins by its Welcome, and goes on after a restart."""

    async def story() -> None:
        handle = await web_person(visitors, meeting, "wim")
        async with meeting.client("sue") as sue:
            await meeting.join(sue, "sue")
            await do(visitors, handle, "request", handle=sue.handle, text="Hello from the web")
            room = await (await asked_by(sue, handle)).accept()
            assert (await next_message(sue)).text == "Hello from the web"
            await talk(visitors, sue, handle, room.id)
        await do(visitors, handle, "send", room=room.id, text="while you were away")
        async with meeting.client("sue") as sue:
            message = await next_message(sue)
            assert message.text == "while you were away"
            await message.reply("back again")
            await do(visitors, handle, "hear", room=room.id, text="back again")
        await do(visitors, handle, "close")

    asyncio.run(story())


def as_seen_by_the_web(thread: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What matters of each message: kind, words, edited, passed on, what it answers, and reactions by symbol."""
    return [
        (
            one["kind"],
            one["text"],
            one["edited"],
            one["forwarded"],
            (one["reply_to"] or {}).get("id"),
            {mark["symbol"]: mark["count"] for mark in one["reactions"]},
        )
        for one in thread
    ]


def as_seen_by_the_sdk(messages: list[Message]) -> list[tuple[Any, ...]]:
    """The same of the SDK's."""
    return [
        (
            one.kind,
            one.text,
            one.edited,
            one.forwarded,
            one.quoted.id if one.quoted is not None else None,
            {symbol: len(people) for symbol, people in one.reactions.items()},
        )
        for one in messages
    ]


def test_both_clients_show_one_thread_whatever_is_done_to_its_messages(visitors: Visitors, meeting: Meeting) -> None:
    """Edits, reactions and their end, passing on, answers to an edited version, deletions; from each side."""

    async def story() -> None:
        handle = await web_person(visitors, meeting, "wilma")
        async with meeting.client("sam") as sam:
            await meeting.join(sam, "sam")
            await sam.request(handle, "Hello")
            room = sam.room((await do(visitors, handle, "accept_from", handle=sam.handle))["room"])
            hello = await do(visitors, handle, "hear", room=room.id, text="Hello")

            async def thread() -> list[dict[str, Any]]:
                return list((await do(visitors, handle, "thread", room=room.id))["messages"])

            async def on_the_web(op: str, message: str, **how: Any) -> None:
                await do(visitors, handle, op, room=room.id, id=message, **how)

            async def the_same() -> bool | None:
                theirs = as_seen_by_the_web(await thread())
                settled = not any(one["change"] or one["delivery"] == "waiting" for one in await thread())
                return (settled and theirs == as_seen_by_the_sdk(room.history())) or None

            mine = await room.send("Tuseday?")
            await do(visitors, handle, "hear", room=room.id, text="Tuseday?")
            await do(visitors, handle, "send", room=room.id, text="Wensday!", reply_to=None)
            theirs = await next_message(sam)
            await mine.edit("Tuesday?")
            await on_the_web("edit", theirs.id, text="Wednesday!")
            await mine.react("🙏")
            await on_the_web("react", mine.id, symbol="👍")
            await on_the_web("react", hello["id"], symbol="😂")
            await theirs.react("👍🏽")
            await eventually(the_same, "edits and reactions are the same")
            await theirs.react("❤️")
            await on_the_web("react", mine.id, symbol="😮")
            await on_the_web("react", hello["id"], symbol=None)
            await eventually(the_same, "changed reactions are the same")
            edited = room.message(theirs.id)
            assert edited is not None
            answer = await edited.reply("Fine")
            await do(visitors, handle, "hear", room=room.id, text="Fine")
            await do(visitors, handle, "send", room=room.id, text="Good", reply_to=mine.id)
            assert (await next_message(sam)).text == "Good"
            await answer.forward(room)
            await on_the_web("forward", answer.id, rooms=[room.id])
            await eventually(the_same, "answers and what was passed on are the same")
            await answer.unreact()
            await mine.delete()
            await on_the_web("delete_message", theirs.id, everyone=True)
            await eventually(the_same, "deletions are the same")
            kinds = [one.kind for one in room.history()]
            assert kinds == ["text", "deleted", "deleted", "text", "text", "text", "text"]
        await do(visitors, handle, "close")

    asyncio.run(story())


def test_files_go_both_ways_and_both_clients_see_the_same_of_them(
    visitors: Visitors, meeting: Meeting, tmp_path: Path
) -> None:
    """Lengths around a block, a bucket and a piece; every fact of an album; and what neither may believe."""
    lengths = [1, 17, 1000, CHUNK - TAG, CHUNK, 2 * CHUNK + 12_345]

    async def story() -> None:
        handle = await web_person(visitors, meeting, "wren")
        async with meeting.client("sam") as sam:
            await meeting.join(sam, "sam")
            await do(visitors, handle, "request", handle=sam.handle, text="Files are coming")
            room = await (await asked_by(sam, handle)).accept()
            assert (await next_message(sam)).text == "Files are coming"

            for length in lengths:
                (tmp_path / "up").write_bytes(noise := secrets.token_bytes(length))
                text = f"{length} bytes"
                await do(visitors, handle, "send_file", room=room.id, path=str(tmp_path / "up"), text=text)
                message = await next_message(sam)
                assert (message.text, message.files[0].length, message.files[0].name) == (text, length, "up")
                assert await message.files[0].read() == noise

                back = await room.send_file(noise, name=f"back {length}.bin", caption=f"{text} back")
                heard = await do(visitors, handle, "hear", room=room.id, text=f"{text} back")
                [seen] = heard["files"]
                assert (heard["id"], seen["name"], seen["size"]) == (back.id, f"back {length}.bin", length)
                saved = tmp_path / "down"
                where = {"room": room.id, "message": heard["id"], "part": seen["part"], "path": str(saved)}
                await do(visitors, handle, "save_file", **where)
                assert saved.read_bytes() == noise

            about = {"kind": "voice", "type": "audio/ogg", "name": "note.ogg", "alt": "a note", "duration_ms": 4200}
            await do(visitors, handle, "send_file", room=room.id, path=str(tmp_path / "up"), about=about)
            [note] = (await next_message(sam)).files
            assert (note.media_type, note.name, note.description) == ("audio/ogg", "note.ogg", "a note")
            assert note.media is not None
            assert (note.media.voice, note.media.duration_ms) == (True, 4200)
        await do(visitors, handle, "close")

    asyncio.run(story())


def test_the_web_client_shows_films_and_voice_notes_of_the_sdk_as_its_own(
    visitors: Visitors, meeting: Meeting, tmp_path: Path
) -> None:
    """Length, sides, still picture and bars are what the SDK found; what is saved says nothing of a place."""

    async def story() -> None:
        handle = await web_person(visitors, meeting, "wilma")
        async with meeting.client("flo") as flo:
            await meeting.join(flo, "flo")
            await flo.request(handle, "Hello")
            room = flo.room((await do(visitors, handle, "accept_from", handle=flo.handle))["room"])
            await do(visitors, handle, "hear", room=room.id, text="Hello")
            album = [FileToSend(source=film(), name="hike.mp4"), FileToSend(source=film("webm"), name="hill.webm")]
            sent = [await room.send_files(album, caption="On the hill")]
            note = FileToSend(source=voice(), name="note.ogg", voice=True)
            sent.append(await room.send_files([note], caption="A note"))
            seen = [await do(visitors, handle, "hear", room=room.id, text=one.text) for one in sent]
            shown = [file for message in seen for file in message["files"]]
            assert [one["kind"] for one in shown] == ["video", "video", "voice"]
            assert [facts_on_the_web(one) for one in shown] == [facts(one) for message in sent for one in message.files]
            assert all(facts(one)[-1] for one in sent[0].files), "no still picture"
            for message in seen:
                for file in message["files"]:
                    saved = tmp_path / f"{message['id']}-{file['part']}"
                    where = {"room": room.id, "message": message["id"], "part": file["part"], "path": str(saved)}
                    assert (await do(visitors, handle, "save_file", **where))["type"] == file["type"]
                    assert PLACE.encode() not in saved.read_bytes()
        await do(visitors, handle, "close")

    asyncio.run(story())


def facts_on_the_web(shown: dict[str, Any]) -> tuple[Any, ...]:
    """What the web client draws of a file before it plays."""
    octets = {name: shown[name] and bytes(shown[name].values()) for name in ("thumbhash", "waveform")}
    poster = shown["poster"] and bytes(shown["poster"]["bytes"].values())
    return (shown["duration_ms"], shown["width"], shown["height"], octets["thumbhash"], octets["waveform"], poster)


def facts(file: File) -> tuple[Any, ...]:
    """The same, as the SDK sent it."""
    media = file.media
    assert media is not None
    poster = None if file.poster is None else file.poster.data
    return (media.duration_ms, media.width, media.height, media.thumbhash, media.waveform, poster)


def test_both_clients_understand_each_others_receipts_and_typing(visitors: Visitors, meeting: Meeting) -> None:
    """What the SDK has read is shown as read on the web, and the other way round; so is who is writing."""

    async def story() -> None:
        handle = await web_person(visitors, meeting, "wren")
        async with meeting.client("stan") as stan:
            await meeting.join(stan, "stan")
            await stan.request(handle, "Hello")
            room = stan.room((await do(visitors, handle, "accept_from", handle=stan.handle))["room"])
            await do(visitors, handle, "hear", room=room.id, text="Hello")
            await do(visitors, handle, "send", room=room.id, text="Hello yourself", reply_to=None)
            heard = await next_message(stan)
            await heard.read()

            async def read_on_the_web() -> bool | None:
                thread = (await do(visitors, handle, "thread", room=room.id))["messages"]
                return next(one["delivery"] for one in thread if one["id"] == heard.id) == "read" or None

            await eventually(read_on_the_web, "the web shows that it was read")
            await do(visitors, handle, "mark_read", room=room.id)

            async def read_here() -> bool | None:
                return room.history()[0].read_by == (heard.sender,) or None

            await eventually(read_here, "the SDK shows that it was read")

            async def writing() -> bool | None:
                await do(visitors, handle, "typing", room=room.id)
                return room.writing() == [heard.sender] or None

            await eventually(writing, "the SDK shows that somebody writes")
        await do(visitors, handle, "close")

    asyncio.run(story())


def test_both_clients_keep_to_one_timer(visitors: Visitors, meeting: Meeting) -> None:
    """Set by either, the later one counts; what is written under it says when it disappears."""

    async def story() -> None:
        handle = await web_person(visitors, meeting, "wes")
        async with meeting.client("sia") as sia:
            await meeting.join(sia, "sia")
            await sia.request(handle, "Hello")
            room = sia.room((await do(visitors, handle, "accept_from", handle=sia.handle))["room"])
            await do(visitors, handle, "hear", room=room.id, text="Hello")
            await room.set_timer(300)
            await room.send("for five minutes")
            await do(visitors, handle, "hear", room=room.id, text="for five minutes")
            thread = (await do(visitors, handle, "thread", room=room.id))["messages"]
            assert [one["expires"]["after_s"] for one in thread if one["text"] == "for five minutes"] == [300]
            await do(visitors, handle, "set_timer", room=room.id, seconds=3600)
            await do(visitors, handle, "send", room=room.id, text="for an hour", reply_to=None)
            heard = await next_message(sia)
            assert room.timer_s == 3600
            handled = room.message(heard.id)
            assert handled is not None
            assert handled.vanish_ms is not None
        await do(visitors, handle, "close")

    asyncio.run(story())


def test_a_photo_deleted_before_its_report_is_handed_in_by_the_web_client(
    visitors: Visitors, meeting: Meeting, server: Server
) -> None:
    """Ciphertext from the reporter's device, found genuine by the server and opened for a reviewer alone."""

    async def story() -> None:
        handle = await web_person(visitors, meeting, "willa")
        async with meeting.client("ben") as ben:
            await meeting.join(ben, "ben")
            await do(visitors, handle, "request", handle=ben.handle, text="Hello from the web")
            room = await (await asked_by(ben, handle)).accept()
            assert (await next_message(ben)).text == "Hello from the web"
            photo = FileToSend(source=picture(), name="a photo.png", as_is=True)
            sent = await room.send_files([photo], caption="look at this")
            seen = await do(visitors, handle, "hear", room=room.id, text="look at this")
            where = {"room": room.id, "id": seen["id"], "part": seen["files"][0]["part"]}
            await do(visitors, handle, "file", **where)

            async with httpx.AsyncClient(base_url=f"{server.origin}/api/v1") as http:
                bearer = {"Authorization": f"Bearer {ben.api.token}"}
                assert (sealed := sent.files[0]._facts.sealed) is not None
                assert (await http.delete(f"/blobs/{sealed.blob}", headers=bearer)).status_code == 204

            about = {"account": seen["sender"], "room": room.id, "message": seen["id"]}
            rows = (await do(visitors, handle, "report_preview", **about))["rows"]
            [said] = [row["files"] for row in rows if row["files"]]
            assert said == [{"kind": "photo", "name": "a photo.png", "size": len(picture())}]
            reported = await do(visitors, handle, "report", **about, category="other", minor_involved=False, note="")
            assert reported["class"] == "FULL"
            await asyncio.to_thread(found_by_a_reviewer, server, ben.handle)
        await do(visitors, handle, "close")

    asyncio.run(story())


def found_by_a_reviewer(server: Server, handle: str) -> None:
    """The one attachment of the case about somebody, once it was handed in, is the picture."""
    with Reviewer(server, "rea.files", "reviewer") as rea:
        case = rea.take_about(handle)
        until = time.monotonic() + WAIT_S
        page, answer = attachment(rea, case)
        while answer is None and time.monotonic() < until:
            time.sleep(0.2)
            page, answer = attachment(rea, case)
        assert answer is not None, page
        assert shows_the_picture(answer)
        assert "VERIFIED" in page
        assert "UNVERIFIED" not in page


def test_a_second_device_of_the_other_person_joins(visitors: Visitors, meeting: Meeting, tmp_path: Path) -> None:
    """Devices of both kinds of client: the SDK adds a web client's new device, which reads what follows."""

    async def story() -> None:
        async with meeting.client("sol") as sol, meeting.client("tom") as tom:
            await meeting.join(sol, "sol")
            code = await meeting.join(tom, "tom")
            await sol.request(tom.handle, "Hello Tom")
            room = await (await asked_by(tom, sol.handle)).accept()
            assert (await next_message(tom)).text == "Hello Tom"
            await do(visitors, "tom-web", "open", origin=meeting.origin, folder=str(tmp_path / "tom-web"))
            answer = await do(
                visitors,
                "tom-web",
                "sign_in_person",
                handle=tom.handle,
                password="a boat with seven lamps",
                recovery_code=code,
            )
            assert answer["phase"] == "ready", answer

            async def joined() -> bool | None:
                return any(chat["ready"] for chat in await do(visitors, "tom-web", "chats")) or None

            await eventually(joined, "the new device joining")
            await sol.room(room.id).send("for both of your devices")
            assert (await next_message(tom)).text == "for both of your devices"
            await do(visitors, "tom-web", "hear", room=room.id, text="for both of your devices")
            await do(visitors, "tom-web", "send", room=room.id, text="from the new device")
            assert (await next_message(sol)).text == "from the new device"
        await do(visitors, "tom-web", "close")

    asyncio.run(story())
