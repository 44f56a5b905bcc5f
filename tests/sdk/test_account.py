"""What an account can do about itself: name, door, password, devices, requests, data."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kith.sdk import Client, NotSignedIn, Refused, WrongCredentials
from kith.sdk.api import Api
from sdk.meeting import PASSWORD, Meeting, asked_by, next_message

NEW_PASSWORD = "eleven slow blue kettles"


def test_an_account_is_kept_in_order(meeting: Meeting) -> None:
    """Name and door change, a request is taken back with its first message, and the export holds what was said."""

    async def story() -> None:
        async with meeting.client("ada") as ada, meeting.client("bob") as bob:
            await meeting.join(ada, "ada")
            await meeting.join(bob, "bob")
            await ada.rename("Ada Lake")
            assert (await ada.me()).display_name == "Ada Lake"
            withdrawn = await ada.request(bob.handle, "too soon")
            await asked_by(bob, ada.handle)
            await ada.cancel(withdrawn)
            assert await bob.requests() == []
            await bob.accept_requests_of("nobody")
            assert (await bob.me()).controls.requests == "nobody"
            await ada.request(bob.handle, "into the void")
            assert await bob.requests() == []
            assert [(one.to, one.state) for one in await ada.sent_requests()] == [(bob.handle, "sent")]
            await bob.accept_requests_of("everyone")
            await ada.request(bob.handle, "now it fits")
            request = await asked_by(bob, ada.handle)
            assert request.display_name == "Ada Lake"
            await request.accept()
            assert (await next_message(bob)).text == "now it fits"
            data = await bob.export()
            assert [one["text"] for one in data["device"]["messages"]] == ["now it fits"]
            assert data["server"]["account"]["handle"] == bob.handle

    asyncio.run(story())


def test_a_new_password_signs_the_others_out(meeting: Meeting) -> None:
    """With the old one it is refused; the device that changed it stays, the other is out, the old password is dead."""

    async def story() -> None:
        async with meeting.client("cat") as cat, meeting.client("cat2") as other:
            code = await meeting.join(cat, "cat")
            await other.sign_in(meeting.origin, cat.handle, PASSWORD, recovery_code=code)
            await other.connected()
            with pytest.raises(Refused) as refused:
                await cat.change_password("not this", NEW_PASSWORD)
            assert refused.value.code == "forbidden"
            assert len(await cat.devices()) == 2
            await cat.change_password(PASSWORD, NEW_PASSWORD, sign_out_others=True)
            (only,) = await cat.devices()
            assert only.current
            with pytest.raises(NotSignedIn):
                await next_message(other)
            handle = cat.handle
            await tries(meeting.client("cat3"), meeting.origin, handle, code)
            with pytest.raises(Refused, match="this device"):
                await cat.remove_device(only.id)

    asyncio.run(story())


def test_signing_in_again_shows_that_one_was_here_before(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the server it was got from, and to no other; so a crowd that guesses keeps no program out."""
    brought = list[object]()
    really = Api.call

    async def call(self: Api, kind: Any, method: str, path: str, body: Any = None, **how: Any) -> Any:
        if path == "/sessions":
            brought.append(body.get("known_device"))
        return await really(self, kind, method, path, body, **how)

    monkeypatch.setattr(Api, "call", call)

    async def story() -> None:
        async with meeting.client("kay") as kay, meeting.client("kay2") as other:
            code = await meeting.join(kay, "kay")
            first = kay._known_at(kay.api.origin)
            await other.sign_in(meeting.origin, kay.handle, PASSWORD, recovery_code=code)
            await kay.sign_in(meeting.origin, kay.handle, PASSWORD, recovery_code=code)
            assert first is not None
            assert brought == [None, first]
            assert kay._known_at(kay.api.origin) not in (None, first)
            assert kay._known_at("https://elsewhere.example") is None

    asyncio.run(story())


async def tries(client: Client, origin: str, handle: str, code: str) -> None:
    """A further device: not by the old password, but by the new one."""
    async with client:
        with pytest.raises(WrongCredentials):
            await client.sign_in(origin, handle, PASSWORD, recovery_code=code)
        await client.sign_in(origin, handle, NEW_PASSWORD, recovery_code=code)
        assert client.ready
