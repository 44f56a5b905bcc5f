"""Reports with proof, blocking, standing: what a program may do to stay safe."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace

from kith.sdk import NeedsRecoveryCode, NotSignedIn, Refused, Unreachable, WrongCredentials, WrongPassphrase
from kith.sdk.records import MessageRecord
from sdk.meeting import PASSWORD, Meeting, eventually, introduce, next_message


def test_a_report_proves_what_was_said(meeting: Meeting) -> None:
    """Every item of a report by the SDK verifies at the server: received and own messages alike."""

    async def story() -> None:
        async with meeting.client("lea") as lea, meeting.client("max") as max_:
            await meeting.join(lea, "lea")
            await meeting.join(max_, "max")
            _, his = await introduce(max_, lea, "Buy these coins now")
            await lea.room(his.id).send("No, thank you")
            await next_message(max_)
            await max_.room(his.id).send("Only today")
            message = await next_message(lea)
            filed = await message.report("scam", "He sells coins.")
            assert filed.kind == "FULL"
            mine = (await lea.export())["server"]
            assert filed.report in json.dumps(mine)

    asyncio.run(story())


def test_an_altered_message_is_not_proof(meeting: Meeting) -> None:
    """The control: a report whose stored content was changed verifies as nothing."""

    async def story() -> None:
        async with meeting.client("mel") as mel, meeting.client("ned") as ned:
            await meeting.join(mel, "mel")
            await meeting.join(ned, "ned")
            _, room = await introduce(ned, mel, "Good morning")
            vault = mel._need_vault()
            ((key, row),) = vault.scan("messages", f"{room.id}/", MessageRecord)
            assert row.content is not None
            with vault.transaction():
                forged = row.content.replace(b"morning", b"evening")
                vault.put("messages", key, replace(row, content=forged))
            assert (await room.report("bullying")).kind == "NONE"

    asyncio.run(story())


def test_who_is_restricted_reaches_and_learns_of_nothing(meeting: Meeting) -> None:
    """What he writes comes, marked, and is answered; only what he is told of reading ends, and begins again."""

    async def story() -> None:
        async with meeting.client("una") as una, meeting.client("vito") as vito:
            await meeting.join(una, "una")
            await meeting.join(vito, "vito")
            his, hers = await introduce(vito, una)

            async def is_read(text: str) -> bool | None:
                return any(one.text == text and one.read_by for one in his.history()) or None

            await hers.mark_read()
            await eventually(lambda: is_read("Hello!"), "the control: what is read is told")
            await hers.restrict()
            assert [one.handle for one in await una.restricted()] == [vito.handle]
            two = await his.send("Are you there?")
            seen = await next_message(una)
            assert (seen.text, seen.quiet) == ("Are you there?", True)
            await hers.mark_read()
            await hers.typing()
            await hers.send("At work")
            assert (await next_message(vito)).text == "At work"  # it came behind all that she could have told
            assert two.id in {one.id for one in his.history() if one.mine and not one.read_by}
            assert his.writing() == []
            await una.unrestrict(vito.account)
            assert await una.restricted() == []
            await his.send("Good night")
            await next_message(una)
            await hers.mark_read()
            await eventually(lambda: is_read("Good night"), "told again")

    asyncio.run(story())


def test_who_is_blocked_reaches_nobody(meeting: Meeting) -> None:
    """A blocked person's message is refused with one fixed sentence; the typed error says so."""

    async def story() -> None:
        async with meeting.client("ola") as ola, meeting.client("pat") as pat:
            await meeting.join(ola, "ola")
            await meeting.join(pat, "pat")
            hers, his = await introduce(pat, ola)
            await his.block()
            assert [one.handle for one in await ola.api.blocks()] == [pat.handle]
            with pytest.raises(Refused) as refused:
                await hers.send("Are you there?")
            assert refused.value.code == "not_allowed"
            (failed,) = hers.unsent()
            assert failed.failure == "not_allowed"
            hers.discard(failed.id)
            assert hers.unsent() == []

    asyncio.run(story())


def test_errors_say_what_happened(meeting: Meeting) -> None:
    """One small tree: passphrase, password, recovery code, session, network, each with its own type."""

    async def story() -> None:
        async with meeting.client("quin") as quin:
            with pytest.raises(NotSignedIn):
                quin.room("00000000-0000-4000-8000-000000000000")
            code = await meeting.join(quin, "quin")
            handle = quin.handle
            with pytest.raises(Refused, match="Write something"):
                quin.queue("00000000-0000-4000-8000-000000000000", "  ")
            with pytest.raises(Refused, match="no chat"):
                await quin.room_with("nobody.here")
        wrong = meeting.client("quin")
        wrong._passphrase = "another one"
        with pytest.raises(WrongPassphrase):
            async with wrong:
                pass
        async with meeting.client("second") as second:
            with pytest.raises(WrongCredentials):
                await second.sign_in(meeting.origin, handle, "not the password")
            with pytest.raises(NeedsRecoveryCode):
                await second.sign_in(meeting.origin, handle, PASSWORD)
            wrong_code = code[:-1] + ("0" if code[-1] != "0" else "1")
            with pytest.raises(WrongCredentials, match="typing mistake"):
                await second.sign_in(meeting.origin, handle, PASSWORD, recovery_code=wrong_code)
            with pytest.raises(Unreachable):
                await second.sign_in("http://localhost:9", handle, PASSWORD)
            assert await second.sign_in(meeting.origin, handle, PASSWORD, recovery_code=code) is None
            await second.connected()

    asyncio.run(story())


def test_a_device_that_was_signed_out_elsewhere_forgets_everything(meeting: Meeting) -> None:
    """Whoever waits for messages gets NotSignedIn, and the store is empty."""

    async def story() -> None:
        async with meeting.client("ria") as ria, meeting.client("ria2") as other:
            code = await meeting.join(ria, "ria")
            await other.sign_in(meeting.origin, ria.handle, PASSWORD, recovery_code=code)
            await other.connected()
            await ria.connected()
            mine = (await other.api.own_devices()).devices
            (gone,) = [one.id for one in mine if not one.current]
            await other.api.call(None, "DELETE", f"/me/devices/{gone}")
            with pytest.raises(NotSignedIn):
                await next_message(ria)
            assert not ria.signed_in
            assert ria._need_vault().keys("keys") == []

    asyncio.run(story())
