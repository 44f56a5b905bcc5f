"""A photo that was reported, from the chat to the reviewer's page: over a real server, the SDK and the console."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from journeys.harness import Server
from kith.sdk import BadFile, Client, FileToSend
from sdk.meeting import Meeting, introduce, next_message
from sdk.staff import Reviewer

CANARY = b"CANARY inside the file"
NAME = "a-name-for-the-canary.png"


def picture() -> bytes:
    """A benign PNG."""
    out, said = io.BytesIO(), PngInfo()
    said.add_text("Comment", CANARY.decode())
    Image.new("RGB", (64, 48), (20, 101, 90)).save(out, "PNG", pnginfo=said)
    return out.getvalue()


def shows_the_picture(answer: httpx.Response) -> bool:
    """Its pixels in a file that was made anew: what was sent never comes."""
    assert answer.content != picture()
    assert CANARY not in answer.content
    with Image.open(io.BytesIO(answer.content)) as seen, Image.open(io.BytesIO(picture())) as sent:
        return seen.convert("RGB").tobytes() == sent.convert("RGB").tobytes()


def opened(reviewer: Reviewer, handle: str) -> tuple[str, httpx.Response | None]:
    """Take the case, open its messages and the one attachment; its page, and what the page's picture fetches."""
    return attachment(reviewer, reviewer.take_about(handle))


def attachment(reviewer: Reviewer, case: str) -> tuple[str, httpx.Response | None]:
    """The same of a case that was taken."""
    page = reviewer.submit(f"/cases/{case}/open", what="all").text
    [(exhibit, part)] = re.findall(
        r'name="exhibit" value="([^"]+)">\s*<input type="hidden" name="part" value="(\d+)"', page
    )
    shown = reviewer.submit(f"/cases/{case}/attachments", exhibit=exhibit, part=part).text
    found = re.search(r'src="(/attachments/[^"]+)"', shown)
    return shown, reviewer.fetch(found[1]) if found else None


async def send_and_report(meeting: Meeting, do: Callable[[Client, Client, Any], Any]) -> Any:
    """Ben sends Ann a picture; `do` goes on from there, as Ann sees the message."""
    async with meeting.client("ann") as ann, meeting.client("ben") as ben:
        await meeting.join(ann, "ann")
        await meeting.join(ben, "ben")
        hers, his = await introduce(ann, ben)
        await his.send_files([FileToSend(source=picture(), name=NAME, as_is=True)], caption="look at this")
        message = await next_message(ann)
        del hers
        return await do(ann, ben, message)


def test_a_reported_photo_is_seen_by_the_reviewer_alone_also_when_its_sender_deletes_it(
    meeting: Meeting, server: Server
) -> None:
    """The bytes that were sent, with a type read off them, under headers that let it do nothing."""

    async def story(_: Client, ben: Client, message: Any) -> str:
        reported = await message.report("other", "this one")
        assert (reported.kind, reported.missing) == ("FULL", ())
        blob = message.files[0]._facts.sealed.blob
        async with httpx.AsyncClient(base_url=f"{server.origin}/api/v1") as http:
            bearer = {"Authorization": f"Bearer {ben.api.token}"}
            assert (await http.delete(f"/blobs/{blob}", headers=bearer)).status_code == 204
            assert (await http.get(f"/blobs/{blob}", headers=bearer)).status_code == 404
        return ben.handle

    handle = asyncio.run(send_and_report(meeting, story))
    with Reviewer(server, "rita.files", "reviewer") as rita:
        page, answer = opened(rita, handle)
        assert "VERIFIED" in page
        assert answer is not None
        assert shows_the_picture(answer)
        assert answer.headers["content-type"] == "image/png"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
        part = rita.fetch(str(answer.request.url.path), {"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (200, answer.content)
        with Reviewer(server, "carl.files", "reviewer") as carl:
            assert carl.fetch(str(answer.request.url.path)).status_code == 404
        rita.submit(f"/cases/{rita.take_about(handle)}/release")
        assert rita.fetch(str(answer.request.url.path)).status_code == 404  # given back: no page goes on showing it
    everything = (
        b"".join(file.read_bytes() for file in server.data.rglob("*") if file.is_file()) + server.log.read_bytes()
    )
    assert NAME.encode() not in everything


async def hand_in_another_size(client: Client, server: Server, reported: Any, missing: Any) -> int:
    """Hand in an own upload that is shorter than the message says; the answer's status."""
    bearer = {"Authorization": f"Bearer {client.api.token}"}
    async with httpx.AsyncClient(base_url=f"{server.origin}/api/v1", headers=bearer) as http:
        blob = (await http.post("/blobs", json={"size": 16})).json()["blob"]
        octets = {"Content-Type": "application/octet-stream", "Upload-Offset": "0"}
        assert (await http.patch(f"/blobs/{blob}", content=bytes(16), headers=octets)).status_code == 204
        body = {"message_id": missing.message_id, "part": missing.part, "blob": blob}
        return (await http.post(f"/reports/{reported.report}/attachments", json=body)).status_code


def test_a_photo_that_was_gone_before_the_report_is_handed_in_from_a_copy(meeting: Meeting, server: Server) -> None:
    """Without it the part is unverified and the words are not; another file is refused and changes nothing."""

    async def story(ann: Client, ben: Client, message: Any) -> str:
        [file] = message.files
        copy = await file.read()
        async with httpx.AsyncClient(base_url=f"{server.origin}/api/v1") as http:
            bearer = {"Authorization": f"Bearer {ben.api.token}"}
            assert (await http.delete(f"/blobs/{file._facts.sealed.blob}", headers=bearer)).status_code == 204
        reported = await message.report("other")
        [missing] = reported.missing
        assert missing.message_id == message.id
        with pytest.raises(BadFile):
            await file.hand_in(reported, missing, copy[:-1] + b"!")
        assert await hand_in_another_size(ann, server, reported, missing) == 400
        await file.hand_in(reported, missing, copy)
        return ben.handle

    handle = asyncio.run(send_and_report(meeting, story))
    with Reviewer(server, "rosa.files", "reviewer") as rosa:
        page, answer = opened(rosa, handle)
        assert "UNVERIFIED" not in page
        assert answer is not None
        assert shows_the_picture(answer)
        rosa.submit(f"/cases/{rosa.take_about(handle)}/release")  # others take cases of this server too


def test_evidence_that_the_servers_disk_lost_is_said_so_and_handed_in_again(meeting: Meeting, server: Server) -> None:
    """The reviewer who opens it reads that her device is asked; once it gave its copy, the picture is there."""

    async def story(ann: Client, ben: Client, message: Any) -> None:
        [file] = message.files
        copy = await file.read()
        reported = await message.report("other")
        assert reported.missing == ()
        blob = file._facts.sealed.blob
        (server.data / "blobs" / blob[:2] / blob).unlink()
        with Reviewer(server, "rhea.files", "reviewer") as rhea:
            case = rhea.take_about(ben.handle)
            page, answer = attachment(rhea, case)
            assert answer is None
            assert "UNVERIFIED" in page
            assert "device is asked for its copy" in page
            [own] = [one for one in await ann.api.reports() if one.report == reported.report]
            [missing] = own.missing
            assert (missing.message_id, missing.part) == (message.id, file._facts.part)
            await file.hand_in(own, missing, copy)
            page, answer = attachment(rhea, case)
            assert "is asked" not in page
            assert answer is not None
            assert shows_the_picture(answer)
            [own] = [one for one in await ann.api.reports() if one.report == reported.report]
            assert own.missing == ()
            rhea.submit(f"/cases/{case}/release")

    asyncio.run(send_and_report(meeting, story))
