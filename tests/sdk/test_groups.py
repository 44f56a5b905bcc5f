"""Groups over a real server: people with several devices each come, write, rise, leave and are removed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evil.scene import GHOST, ME, OUTSIDER, TABLET, THEM, Device, Scene, scene
from kith.protocol.identity import Identity
from kith.sdk import Client, Group, Invitation, Refused, claiming
from sdk.meeting import PASSWORD, Meeting, eventually, introduce, next_message


async def invited(client: Client, name: str) -> Invitation:
    """The invitation into the group of that name, once it is there."""

    async def look() -> Invitation | None:
        return next((one for one in await client.group_invitations() if one.facts.name == name), None)

    return await eventually(look, f"an invitation into {name}")


async def brought(owner: Group, client: Client) -> Group:
    """Somebody is invited and says yes."""
    await owner.invite(client.handle)
    facts = await owner.facts()
    assert facts.group is not None
    return await (await invited(client, facts.group.name)).accept()


async def follows(client: Client, group: Group, devices: int) -> None:
    """Wait until the group has so many devices in this one's eyes."""

    async def look() -> bool | None:
        return leaves(client, group) == devices or None

    await eventually(look, f"{devices} devices in the group")


def leaves(client: Client, group: Group) -> int:
    """Devices in the group as this one follows it; 0 while it does not."""
    state = client.state(group.id)
    known = state.group() if state.has_group() else None
    return 0 if known is None else len(known.members())


def words(client: Client, group: Group) -> list[str]:
    """What was said, as this device has it."""
    return [one.text for one in client.history(group.id, 50) if one.kind == "text"]


async def shows(client: Client, group: Group, *texts: str) -> None:
    """Wait until exactly these messages are on that device, in this order."""

    async def look() -> bool | None:
        return words(client, group) == list(texts) or None

    await eventually(look, f"{texts} in the thread")


async def heard(client: Client, text: str) -> None:
    """The next message is this one."""
    message = await next_message(client)
    assert (message.text, message.kind) == (text, "text")


def lines(client: Client, group: Group) -> list[str]:
    """What the program itself says in the thread."""
    return [one.text for one in client.history(group.id, 100) if one.kind == "info"]


def test_three_people_with_five_devices_write_to_each_other(meeting: Meeting) -> None:
    """Each message reaches every other device, once, in one order; who was removed hears nothing any more."""

    async def story() -> None:
        async with (
            meeting.client("ann") as ann,
            meeting.client("ben") as ben,
            meeting.client("cat") as cat,
            meeting.client("ann2") as ann2,
            meeting.client("cat2") as cat2,
        ):
            codes = {one: await meeting.join(one, name) for one, name in ((ann, "ann"), (ben, "ben"), (cat, "cat"))}
            for other in (ben, cat):
                await introduce(ann, other)
            for second, first in ((ann2, ann), (cat2, cat)):
                await second.sign_in(meeting.origin, first.handle, PASSWORD, recovery_code=codes[first])
            hikers = await ann.create_group("Hikers", "Sundays")
            bens, cats = await brought(hikers, ben), await brought(hikers, cat)
            everybody = (ann, ann2, ben, cat, cat2)
            for client in everybody:
                await follows(client, hikers, 5)
            await hikers.send("Who comes?")
            await cats.send("I do")
            for client in everybody:
                await shows(client, hikers, "Who comes?", "I do")
            assert any("joined the group" in line for line in lines(ann, hikers))
            await hikers.remove(ben.account)
            await follows(cat, hikers, 4)
            await hikers.send("Without Ben")
            for client in (ann2, cat, cat2):
                await shows(client, hikers, "Who comes?", "I do", "Without Ben")
            with pytest.raises(Refused):
                await bens.send("Am I here?")
            assert words(ben, bens) == ["Who comes?", "I do"]
            assert "You are not in this group any more." in lines(ben, bens)
            assert any("is not in the group any more" in line for line in lines(cat, cats))

    asyncio.run(story())


def test_roles_links_and_a_way_back(meeting: Meeting) -> None:
    """A joiner waits for an admin; the owner leaves and somebody else is owner; who left can come again."""

    async def story() -> None:
        async with meeting.client("dan") as dan, meeting.client("eva") as eva, meeting.client("fay") as fay:
            for client, name in ((dan, "dan"), (eva, "eva"), (fay, "fay")):
                await meeting.join(client, name)
            await introduce(dan, eva)
            choir = await dan.create_group("Choir")
            evas = await brought(choir, eva)
            await follows(eva, choir, 2)
            await choir.give_role(eva.account, "admin")
            link, link_id = await evas.link()
            assert (await fay.look_at_link(link)).name == "Choir"
            assert await fay.join_group(link) is None
            [joiner] = await evas.joiners()
            assert joiner.account == fay.account
            await evas.let_in(fay.account)
            await follows(fay, choir, 3)
            await evas.revoke_link(link_id)
            with pytest.raises(Refused):
                await fay.look_at_link(link)
            await evas.change(posting="admins", name="Big choir")
            with pytest.raises(Refused):
                await fay.group(choir.id).send("La")
            await evas.send("Only us")
            await heard(fay, "Only us")
            await heard(dan, "Only us")
            await choir.leave()
            await follows(fay, choir, 2)
            assert (await evas.members())[eva.account] == "owner"
            again = await brought(evas, dan)
            await follows(dan, choir, 3)
            await evas.change(posting="everyone")
            await again.send("I am back")
            await heard(eva, "I am back")
            await heard(fay, "I am back")

    asyncio.run(story())


def test_a_member_who_was_away_reads_what_was_said_by_people_who_left_meanwhile(meeting: Meeting) -> None:
    """Their messages were written inside; a report of one of them is proven."""

    async def story() -> None:
        async with meeting.client("gus") as gus, meeting.client("hal") as hal:
            ivy = meeting.client("ivy")
            async with ivy:
                for client, name in ((gus, "gus"), (hal, "hal"), (ivy, "ivy")):
                    await meeting.join(client, name)
                await introduce(gus, hal)
                await introduce(gus, ivy)
                club = await gus.create_group("Chess")
                hals = await brought(club, hal)
                await brought(club, ivy)
                for client in (gus, hal, ivy):
                    await follows(client, club, 3)
                await hals.send("First words")
                await heard(ivy, "First words")
                await heard(gus, "First words")
            await hals.send("Last words")
            await heard(gus, "Last words")
            await hals.leave()
            await follows(gus, club, 2)
            await club.send("After")
            async with meeting.client("ivy") as back:
                await heard(back, "Last words")
                message = await next_message(back)
                assert message.text == "After"
                report = await message.report("other", "so it says")
                assert report.kind == "FULL"
                assert message.sender == gus.account

    asyncio.run(story())


def test_a_new_device_comes_into_the_group_and_a_lost_one_goes(meeting: Meeting) -> None:
    """Brought in by whoever is there, also when it is the owner's only one and the old is signed out."""

    async def story() -> None:
        async with meeting.client("jan") as jan, meeting.client("kay") as kay, meeting.client("jan2") as jan2:
            code = await meeting.join(jan, "jan")
            await meeting.join(kay, "kay")
            await introduce(jan, kay)
            band = await jan.create_group("Band")
            kays = await brought(band, kay)
            await follows(kay, band, 2)
            old = next(one.id for one in await jan.devices() if one.current)
            await jan2.sign_in(meeting.origin, jan.handle, PASSWORD, recovery_code=code)
            await jan2.remove_device(old)
            await follows(jan2, band, 2)
            await kays.send("Still the owner?")
            await shows(jan2, band, "Still the owner?")
            assert (await jan2.group(band.id).members())[jan2.account] == "owner"

    asyncio.run(story())


def test_devices_without_key_packages_do_not_keep_out_those_that_come_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one commit adds a few at a time; and whoever has packages later is added then."""
    monkeypatch.setattr(claiming, "CLAIMED_AT_ONCE", 1)
    late = "00000000-0000-4000-8000-000000000004"

    def there(s: Scene) -> set[str]:
        return {Identity.decode(one.identity).account_uri[-1] for one in s.peer.engine.roster(s.group)}

    async def story() -> None:
        async with scene(tmp_path, monkeypatch, kind="group") as s:
            empty, fine = Device(OUTSIDER, TABLET), Device(late, GHOST)
            s.server.aiks[late] = Ed25519PrivateKey.generate()
            s.server.lists_devices(OUTSIDER, empty)
            s.server.lists_devices(late, fine)
            s.server.packages[GHOST] = fine.package()
            s.server.accounts = [ME, THEM, OUTSIDER, late]
            await s.members_changed()
            await s.adopts()
            assert there(s) == {"1", "2", "4"}
            await s.members_changed()
            assert len(s.commits()) == 1
            s.server.packages[TABLET] = empty.package()
            await s.members_changed()
            await s.adopts()
            assert there(s) == {"1", "2", "3", "4"}

    asyncio.run(story())
