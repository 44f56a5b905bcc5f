"""Wake-ups: to the wire, and to nobody who did not ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from app.push_service import PushService, b64, unb64
from app.serverside import bearer, sign_up
from journeys.harness import Server, free_ports
from kith.app.push import Waker
from kith.ledger.database import Database
from kith.messaging.push import SERVICES, Subscription, is_served, may_subscribe
from messaging.town import projectors
from sdk.meeting import Meeting, eventually, introduce, next_message

POINT = unb64("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8")
"""The receiver's public key of RFC 8291, appendix A."""


@pytest.fixture
def service() -> Iterator[PushService]:
    """A push service on loopback."""
    with PushService() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, service: PushService) -> Iterator[Server]:
    """A server whose operator named that service."""
    port, staff_port = free_ports(2)
    made = Server(tmp_path / "server", port, staff_port)
    made.create()
    settings = made.data / "kith.toml"
    settings.write_text(f'push_services = ["{service.origin}"]\n{settings.read_text()}')
    made.start()
    yield made
    made.stop()


async def subscribe(client: Any, service: PushService, origin: str) -> httpx.AsyncClient:
    """A client's device as a browser that wants to be woken; its HTTP."""
    http = httpx.AsyncClient(base_url=f"{origin}/api/v1", headers={"Authorization": f"Bearer {client._api.token}"})
    facts = (await http.get("/me/push")).json()
    service.public_key = unb64(facts["public_key"])
    answer = await http.put("/me/push", json=service.browser().subscription)
    assert answer.status_code == 204, answer.text
    return http


def test_a_device_that_is_away_is_woken_once_with_nothing_until_it_comes_back(
    server: Server, service: PushService, tmp_path: Path
) -> None:
    """Two messages make one call; its size and content are always the same; after a visit the next one rings again."""
    meeting = Meeting(server.origin, tmp_path)

    async def story() -> None:
        async with meeting.client("ann") as ann:
            async with meeting.client("ben") as ben:
                await meeting.join(ann, "ann")
                await meeting.join(ben, "ben")
                room, _ = await introduce(ann, ben)
                http = await subscribe(ben, service, server.origin)
                await room.send("while he is here")
                await next_message(ben)
            assert service.wakes == []
            await room.send("a first secret for the canary")
            await asyncio.to_thread(service.wait_for, 1)
            await room.send("short")
            async with meeting.client("ben") as ben:
                for _ in range(2):
                    await next_message(ben)
            await room.send("third " * 500)
            await asyncio.to_thread(service.wait_for, 2)
            await http.aclose()

    asyncio.run(story())
    assert len(service.wakes) == 2
    one, two = service.wakes
    assert one.plaintext == two.plaintext == bytes(64)
    assert len(one.body) == len(two.body)
    assert one.body != two.body
    assert {name: one.headers[name] for name in ("TTL", "Topic", "Content-Encoding")} == {
        "TTL": "86400",
        "Topic": "kith",
        "Content-Encoding": "aes128gcm",
    }


def test_own_messages_muted_rooms_and_requests_wake_nobody(
    server: Server, service: PushService, tmp_path: Path
) -> None:
    """The control is the unmuted room: its message rings the device that the others left in peace."""
    meeting = Meeting(server.origin, tmp_path)

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("cyn") as cyn:
            async with meeting.client("ben") as ben:
                for client, name in ((ann, "ann"), (ben, "ben"), (cyn, "cyn")):
                    await meeting.join(client, name)
                loud, _ = await introduce(ann, ben)
                quiet, _ = await introduce(cyn, ben)
                http = await subscribe(ben, service, server.origin)
                muted = await http.put("/me/push/quiet", json={"rooms": [quiet.id]})
                assert muted.status_code == 204
                assert (await http.get("/me/push")).json()["quiet"] == [quiet.id]
                handle = ben.handle
            await quiet.send("hush")
            async with meeting.client("dan") as dan:
                await meeting.join(dan, "dan")
                await dan.request(handle, "do you know me?")
            await asyncio.sleep(5)  # longer than a wake-up ever waits
            assert service.wakes == []
            await loud.send("ring")
            await asyncio.to_thread(service.wait_for, 1)
            await http.aclose()

    asyncio.run(story())


def test_a_program_tells_which_chats_are_muted_only_while_it_is_woken(
    server: Server, service: PushService, tmp_path: Path
) -> None:
    """Muted before and after it asks to be woken; deleting a chat unmutes it; asleep, the server holds no list."""
    meeting = Meeting(server.origin, tmp_path)

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("ben") as ben:
            await meeting.join(ann, "ann")
            await meeting.join(ben, "ben")
            _, room = await introduce(ann, ben)
            await room.keep(muted=True)
            facts = await ben.api.push()
            assert (facts.on, facts.quiet) == (False, [])
            service.public_key = unb64(facts.public_key or "")
            browser = service.browser()
            keys = browser.subscription
            await ben.wake_at(browser.endpoint, p256dh=unb64(keys["p256dh"]), auth=unb64(keys["auth"]))
            assert (await ben.api.push()).quiet == [room.id]
            await room.keep(muted=False)
            assert (await ben.api.push()).quiet == []
            await room.keep(muted=True)
            await room.delete_thread()
            assert (await ben.api.push()).quiet == []
            await ben.let_sleep()
            await room.keep(muted=True)
            facts = await ben.api.push()
            assert (facts.on, facts.quiet, room.kept.muted) == (False, [], True)

    asyncio.run(story())


def test_a_restricted_person_wakes_nobody_not_even_in_a_group(
    server: Server, service: PushService, tmp_path: Path
) -> None:
    """The control is the same person before and after it, and somebody else of that group meanwhile."""
    meeting = Meeting(server.origin, tmp_path)

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("cyn") as cyn:
            async with meeting.client("ben") as ben:
                for client, name in ((ann, "ann"), (ben, "ben"), (cyn, "cyn")):
                    await meeting.join(client, name)
                direct, _ = await introduce(ann, ben)
                await introduce(cyn, ben)
                choir = await ben.create_group("Choir")
                for friend in (ann, cyn):
                    await choir.invite(friend.handle)
                    [invitation] = await eventually(friend.group_invitations, "the invitation")
                    await invitation.accept()
                for friend in (ann, cyn):
                    await friend.group(choir.id).send("hello")
                for _ in range(2):
                    await next_message(ben)
                http = await subscribe(ben, service, server.origin)
                await ben.restrict(ann.account)
            await direct.send("directly")
            await ann.group(choir.id).send("in the group")
            await asyncio.sleep(5)  # longer than a wake-up ever waits
            assert service.wakes == []
            await cyn.group(choir.id).send("somebody else rings")
            await asyncio.to_thread(service.wait_for, 1)
            async with meeting.client("ben") as ben:
                for _ in range(3):
                    await next_message(ben)
                await ben.unrestrict(ann.account)
            await direct.send("she rings again")
            await asyncio.to_thread(service.wait_for, 2)
            await http.aclose()

    asyncio.run(story())


def test_who_was_restricted_before_a_restart_wakes_nobody_after_it(
    server: Server, service: PushService, tmp_path: Path
) -> None:
    """The server learns it again at start-up; the control is the message after it is lifted."""
    meeting = Meeting(server.origin, tmp_path)

    async def story() -> None:
        async with meeting.client("ann") as ann:
            async with meeting.client("ben") as ben:
                await meeting.join(ann, "ann")
                await meeting.join(ben, "ben")
                room, _ = await introduce(ann, ben)
                http = await subscribe(ben, service, server.origin)
                await ben.restrict(ann.account)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await room.send("after the restart")
            await asyncio.sleep(5)  # longer than a wake-up ever waits
            assert service.wakes == []
            lifted = await http.delete(f"/hushes/{ann.account}")
            assert lifted.status_code == 204
            await room.send("ring")
            await asyncio.to_thread(service.wait_for, 1)
            await http.aclose()

    asyncio.run(story())


def test_a_device_that_its_push_service_forgot_is_not_called_again(
    server: Server, service: PushService, tmp_path: Path
) -> None:
    """410 ends the subscription; so does signing out."""
    meeting = Meeting(server.origin, tmp_path)
    service.answer = 410

    async def story() -> None:
        async with meeting.client("ann") as ann:
            async with meeting.client("ben") as ben:
                await meeting.join(ann, "ann")
                await meeting.join(ben, "ben")
                room, _ = await introduce(ann, ben)
                http = await subscribe(ben, service, server.origin)
            await room.send("gone")
            await asyncio.to_thread(service.wait_for, 1)

            async def is_off() -> bool | None:
                return None if (await http.get("/me/push")).json()["on"] else True

            await eventually(is_off, "the subscription ended")
            await http.aclose()

    asyncio.run(story())


def test_only_push_services_that_the_operator_named_are_ever_called(server: Server, service: PushService) -> None:
    """A person names an address; the server must not become her way into its network."""
    with httpx.Client(base_url=server.origin) as http:
        headers = bearer(sign_up(http, "eve.push"))
        good = service.browser().subscription
        for endpoint in (
            "http://169.254.169.254/latest",
            "https://fcm.googleapis.com/x",
            f"{service.origin}.evil.example/x",
            service.origin.replace("http://", "http://user@") + "/x",
            service.origin.replace("127.0.0.1", "127.1") + "/x",
            "file:///etc/passwd",
            "https://[::1]:bad/",
            "\x00",
            "x" * 1025,
        ):
            answer = http.put("/api/v1/me/push", headers=headers, json={**good, "endpoint": endpoint})
            assert answer.status_code == 400, endpoint
        for bad in (b64(bytes(65)), b64(POINT[:64]), b64(b"\x04" + bytes(64)), "A"):
            assert http.put("/api/v1/me/push", headers=headers, json={**good, "p256dh": bad}).status_code == 400
        assert http.put("/api/v1/me/push", headers=headers, json={**good, "auth": b64(bytes(15))}).status_code == 400
        quiet = http.put("/api/v1/me/push/quiet", headers=headers, json={"rooms": []})
        assert quiet.status_code == 409
        assert http.put("/api/v1/me/push", headers=headers, json=good).status_code == 204
        assert http.delete("/api/v1/me/push", headers=headers).status_code == 204
        assert http.get("/api/v1/me/push", headers=headers).json()["on"] is False


@given(st.text(max_size=60), st.sampled_from(SERVICES))
def test_nothing_but_a_named_host_over_https_is_served(noise: str, service: str) -> None:
    """Noise before or behind a host does not make it that host."""
    host = service.replace("*.", "wns2-am3p.")
    assert is_served(f"https://{host}/w/?token=abc", SERVICES)
    assert not is_served(f"https://{host}.{noise}.example/", SERVICES)
    assert not is_served(f"https://{noise}", SERVICES)
    assert not is_served(f"http://{host}/", SERVICES)
    assert not is_served(f"https://{host}:8443/", SERVICES)


def test_the_keys_of_the_standard_are_taken_and_no_service_means_no_waking() -> None:
    """The key of RFC 8291's example is one; without services everything is refused, with a sentence."""
    secret = bytes(16)
    assert may_subscribe("https://fcm.googleapis.com/fcm/send/x", POINT, secret).allowed
    refused = may_subscribe("https://fcm.googleapis.com/fcm/send/x", POINT, secret, ())
    assert refused.reasons[0].because == "This server wakes no devices."


@pytest.mark.parametrize("host", ["xn--.notify.windows.com", "xn--a-.notify.windows.com"])
def test_a_host_that_is_no_name_is_a_call_that_failed_and_no_bug(tmp_path: Path, host: str) -> None:
    """People choose what stands before a service's name; a call there ends like any that reaches nobody."""
    subscription = Subscription("d1", "a1", f"https://{host}/x", POINT, bytes(16))
    assert may_subscribe(subscription.endpoint, POINT, bytes(16)).allowed

    async def story() -> None:
        database = Database(tmp_path / "kith.db", projectors())
        database.create_tables()
        key = generate_private_key(SECP256R1())
        contact = "mailto:operator@kith.example"
        waker = Waker(database, key, contact=contact, services=SERVICES, connected=lambda _: False)
        await waker.start()
        assert await waker._call(subscription) is False
        await waker.stop()
        await database.close()

    asyncio.run(story())
