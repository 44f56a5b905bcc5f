"""Knowing whose keys they are, over a real server: safety numbers, a second device by code, and the audit."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typer.testing import CliRunner

from journeys.harness import Server
from kith.app.cli import app
from kith.protocol.signing import public_bytes
from kith.sdk import Client, Unverified, WrongCredentials, linking
from kith.sdk.client import CHECK_ENDED
from sdk.meeting import PASSWORD, Meeting, eventually, introduce, next_message

URIS = (
    "mimi://kith.test/u/11111111-1111-4111-8111-111111111111",
    "mimi://kith.test/d/33333333-3333-4333-8333-333333333333",
)


async def linked(meeting: Meeting, old: Client, new: Client) -> None:
    """`new` signs in as `old` and is approved there."""
    shown: asyncio.Queue[str] = asyncio.Queue()
    joining = asyncio.create_task(
        new.sign_in(meeting.origin, old.handle, PASSWORD, show_code=lambda code, _until: shown.put(code))
    )
    assert await old.approve((await shown.get()).lower().replace("-", " ")) == "Kith SDK"
    assert await joining is None


def test_a_second_device_joins_by_the_code_on_its_screen(meeting: Meeting) -> None:
    """It needs no recovery code, gets what is written from then on, and starts with nothing from before."""

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("ben") as ben, meeting.client("tab") as tablet:
            await meeting.join(ann, "ann")
            await meeting.join(ben, "ben")
            _, his = await introduce(ann, ben, "before")
            await linked(meeting, ann, tablet)
            assert tablet.ready
            assert {one.current for one in await tablet.devices()} == {True, False}

            async def reached() -> bool | None:
                await his.send("after")
                heard = [one.text for one in tablet.history(his.id, 50)]
                return True if "after" in heard and "before" not in heard else None

            await eventually(reached, "the tablet is in the group")
            await ann.check_keys()
            assert ann.alarms() == []  # she let it in herself

    asyncio.run(story())


def test_a_wrong_code_lets_nobody_in(meeting: Meeting) -> None:
    """Neither one that nobody shows nor one with a slip; the new device waits on."""

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("tab") as tablet:
            await meeting.join(ann, "ann")
            shown: asyncio.Queue[str] = asyncio.Queue()
            joining = asyncio.create_task(
                tablet.sign_in(meeting.origin, ann.handle, PASSWORD, show_code=lambda code, _until: shown.put(code))
            )
            code = await shown.get()
            with pytest.raises(WrongCredentials, match="No device of yours"):
                await ann.approve(linking.format_code(secrets.token_bytes(10)))
            with pytest.raises(WrongCredentials):
                await ann.approve(code[:-1])
            assert not joining.done()
            await ann.approve(code)
            await joining

    asyncio.run(story())


def test_the_server_cannot_put_its_own_device_in_place() -> None:
    """Another key, device or account fails the tag; what was sealed opens only for code, key and device together."""
    code, other = secrets.token_bytes(10), secrets.token_bytes(10)
    private, evil = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    public, evils = (one.public_key().public_bytes_raw() for one in (private, evil))
    shown = linking.tag(code, *URIS, public)
    assert linking.is_tagged(code, *URIS, public, shown)
    assert not linking.is_tagged(code, *URIS, evils, shown)
    assert not linking.is_tagged(code, URIS[0], URIS[1].replace("3333-4", "3334-4"), public, shown)
    assert not linking.is_tagged(other, *URIS, public, shown)
    seed = secrets.token_bytes(32)
    sealed = linking.seal(code, *URIS, public, seed, secrets.token_bytes(12))
    assert len(sealed) == 92
    assert linking.open_sealed(code, *URIS, private, sealed) == seed
    assert linking.open_sealed(code, *URIS, evil, sealed) is None
    assert linking.open_sealed(other, *URIS, private, sealed) is None
    assert linking.open_sealed(code, URIS[0], URIS[1].replace("3333-4", "3334-4"), private, sealed) is None
    assert linking.open_sealed(code, *URIS, private, sealed[:-1]) is None
    assert linking.open_sealed(code, *URIS, private, bytes(92)) is None


def test_two_people_see_one_safety_number(meeting: Meeting) -> None:
    """Equal on both sides and after a further device; a mark is kept, and withdrawn in the chat by a new key."""

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("ben") as ben, meeting.client("tab") as tablet:
            await meeting.join(ann, "ann")
            await meeting.join(ben, "ben")
            hers, _ = await introduce(ann, ben)
            one, other = await ann.safety_number(ben.account), await ben.safety_number(ann.account)
            assert str(one) == str(other)
            assert len(one.groups) == 12
            assert await ann.matches(ben.account, other.code)
            assert not await ann.matches(ben.account, one.code)
            await linked(meeting, ben, tablet)
            assert str(await ann.safety_number(ben.account)) == str(one)
            await ann.mark_verified(ben.account)
            assert (await ann.safety_number(ben.account)).verified_ms is not None
            async with meeting.client("new") as again:
                with pytest.raises(Exception, match="recovery"):
                    await again.sign_in(meeting.origin, ben.handle, PASSWORD)
            await ben._need_account().make_identity(reset=True)
            await ben._need_account().register(ben.now())

            async def said() -> bool | None:
                told = [message.text for message in hers.history()]
                return True if CHECK_ENDED.format("Ben") in told else None

            await eventually(said, "the mark is withdrawn")
            fresh = await ann.safety_number(ben.account)
            assert str(fresh) != str(one)
            assert fresh.verified_ms is None

    asyncio.run(story())


def test_swapped_keys_are_refused_before_anything_is_sent(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that shows another identity key for a contact, without logging it, gets no message under it."""

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("ben") as ben:
            await meeting.join(ann, "ann")
            await meeting.join(ben, "ben")
            await introduce(ann, ben)
            true = ann.api.devices_of

            async def lying(account: str, tree_size: int = 0) -> Any:
                answer = await true(account, tree_size)
                eve = public_bytes(Ed25519PrivateKey.generate())
                return type(answer)(**{name: getattr(answer, name) for name in answer.__struct_fields__} | {"aik": eve})

            monkeypatch.setattr(ann.api, "devices_of", lying)
            pinned = ann._need_world().directory.identity_of(ben.account)
            await ann._need_trust().learn_keys(ben.account)
            assert ann._need_world().directory.identity_of(ben.account) == pinned

    asyncio.run(story())


def test_heads_travel_in_messages(meeting: Meeting) -> None:
    """What a contact holds is heard, compared and found to be of one log."""

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("ben") as ben:
            await meeting.join(ann, "ann")
            await meeting.join(ben, "ben")
            hers, _ = await introduce(ann, ben)
            await hers.send("with a head")
            assert (await next_message(ben)).text == "with a head"
            log = ben._need_trust().log
            heard = log.heard()
            await ben.check_keys()
            assert log.heard() == []
            assert ben.alarms() == []
            assert heard or log.size  # either an equal head, or one that was compared

    asyncio.run(story())


def test_an_outsider_audits_the_whole_log(server: Server, meeting: Meeting, tmp_path: Path) -> None:
    """Exit code 0 with a count, again from the state file; 3 when the state is of another log; 75 without a server."""

    async def somebody() -> None:
        async with meeting.client("ann") as ann:
            await meeting.join(ann, "ann")

    asyncio.run(somebody())
    state, run = tmp_path / "seen.json", CliRunner().invoke
    first = run(app, ["transparency", "audit", server.origin, "--state", str(state)])
    assert (first.exit_code, "checks out" in first.output) == (0, True), first.output
    asyncio.run(_join_another(meeting))
    assert run(app, ["transparency", "audit", server.origin, "--state", str(state)]).exit_code == 0
    seen = json.loads(state.read_text())
    state.write_text(json.dumps({**seen, "root": base64.b64encode(bytes(32)).decode()}))
    assert run(app, ["transparency", "audit", server.origin, "--state", str(state)]).exit_code == 3
    state.write_text("not a state")
    assert run(app, ["transparency", "audit", server.origin, "--state", str(state)]).exit_code == 1
    assert run(app, ["transparency", "audit", "http://127.0.0.1:9"]).exit_code == 75


async def _join_another(meeting: Meeting) -> None:
    async with meeting.client("cem") as cem:
        await meeting.join(cem, "cem")


def test_no_keys_no_number(meeting: Meeting) -> None:
    """Before the other side has a device there is nothing to compare, and that is said."""

    async def story() -> None:
        async with meeting.client("ann") as ann:
            await meeting.join(ann, "ann")
            with pytest.raises(Unverified, match="no safety number yet"):
                await ann._need_trust()._sides(ann.account, "99999999-9999-4999-8999-999999999999")

    asyncio.run(story())
