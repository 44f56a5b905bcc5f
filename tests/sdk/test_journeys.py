"""The product's journeys without a browser: people on the SDK, staff at the console over HTTP, one real server."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest

from journeys.harness import Server, served
from kith.protocol.frames import Pong, ServerFrame
from kith.safety.limits import DEFAULT
from kith.safety.rules import MANY_UNANSWERED
from kith.sdk import Api, Client, Limited, Measure, Refused, Restricted
from sdk.meeting import PASSWORD, WAIT_S, Meeting, asked_by, eventually, introduce, next_message
from sdk.staff import Reviewer

T = TypeVar("T")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
FOURTEEN_YEARS_AGO = (dt.datetime.now(dt.UTC).year - 14, 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which the rule about unwanted first contacts does what it says."""
    with served(tmp_path_factory.mktemp("journeys-sdk"), rules={MANY_UNANSWERED: "live"}) as running:
        yield running


async def at_console(work: Callable[..., T], *facts: Any) -> T:
    """Something that staff do, while people's clients go on."""
    return await asyncio.to_thread(work, *facts)


async def told(client: Client, what: str, after: Callable[[], Any]) -> None:
    """Do something; then wait until the client is told that `what` is worth another look."""
    async with asyncio.timeout(WAIT_S), aclosing(client.changes()) as changes:
        await anext(changes)
        await after()
        async for news in changes:
            if what in news:
                return


async def only_measure(client: Client) -> Measure:
    """What limits this account; exactly one thing does."""
    (measure,) = (await client.standing()).measures
    return measure


def restrained(server: Server, login: str, handle: str, action: str) -> list[str]:
    """A reviewer reads the case about somebody and decides; the words that were read, all of them verified."""
    with Reviewer(server, login, "reviewer") as reviewer:
        case = reviewer.take_about(handle)
        words, verified = reviewer.reads_all(case)
        assert verified == len(words)
        reviewer.decides(case, "bullying-harassment", action, days=7)
    return words


def overturned(server: Server, login: str, handle: str) -> None:
    """Another reviewer takes the appeal and gives everything back."""
    with Reviewer(server, login, "reviewer") as reviewer:
        case = reviewer.take_about(handle)
        assert "What it is about" in reviewer.get(f"/cases/{case}")
        reviewer.overturns(case, "A quotation between friends, not a threat.")


def test_from_a_message_to_a_decision_and_back(server: Server, meeting: Meeting) -> None:
    """Request, chat, report of true messages, suspension with its reason, appeal, reversal: restored at once."""

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("otto") as otto:
            await meeting.join(ann, "ann")
            await meeting.join(otto, "otto")
            his, hers = await introduce(otto, ann, "Hi, we met at choir")
            await hers.send("Did we?")
            await next_message(otto)
            await his.send("Nobody there can stand you")
            harm = await next_message(ann)
            filed = await harm.report("bullying", "He goes on and on.")
            assert filed.kind == "FULL"
            assert [one.status for one in await ann.reports()] == ["received"]

            said: list[str] = []

            async def decision() -> None:
                said.extend(await at_console(restrained, server, "rita", otto.handle, "suspend"))

            await told(otto, "standing", decision)
            assert said == ["Hi, we met at choir", "Did we?", "Nobody there can stand you"]
            standing, measure = await otto.standing(), await only_measure(otto)
            assert (measure.what, measure.rule, standing.can_send) == ("suspended", "bullying-harassment", False)
            assert measure.because
            assert measure.until_ms is not None
            assert measure.until_ms > otto.now()
            assert measure.appeal_until_ms is not None
            with pytest.raises(Restricted) as refused:
                await his.send("And another thing")
            assert refused.value.decision
            (failed,) = his.unsent()
            his.discard(failed.id)

            await otto.appeal(measure.id, "We were quoting a film.")
            assert (await only_measure(otto)).appeal == "open"
            with pytest.raises(Refused) as twice:
                await otto.appeal(measure.id, "Again.")
            assert twice.value.code == "conflict"
            await at_console(overturned, server, "carl", otto.handle)
            standing = await otto.standing()
            assert (standing.can_send, standing.measures) == (True, [])
            assert [one.appeal for one in standing.history] == ["overturned"]
            await his.send("Sorry. I was quoting.")
            assert (await next_message(ann)).text == "Sorry. I was quoting."
            (mine,) = await ann.reports()
            assert (mine.report, mine.handle, mine.status, mine.outcome) == (
                filed.report,
                otto.handle,
                "closed",
                "action",
            )
        checked = await asyncio.to_thread(audit, server)
        assert checked.startswith("Intact: ")
        assert " 3 of them reads of evidence" in checked

    asyncio.run(story())


def audit(server: Server) -> str:
    """What `kith audit verify` says."""
    command = [sys.executable, "-m", "kith", "audit", "verify", "--data", str(server.data)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_who_may_not_start_chats_goes_on_in_those_that_exist(server: Server, meeting: Meeting) -> None:
    """A lesser measure: requests and invites are Restricted with a decision's id, words still pass."""

    async def story() -> None:
        async with meeting.client("bea") as bea, meeting.client("pim") as pim:
            await meeting.join(bea, "bea")
            await meeting.join(pim, "pim")
            his, _ = await introduce(pim, bea, "You are no good at this")
            await bea.room(his.id).report("bullying")
            await at_console(restrained, server, "rolf", pim.handle, "restrict")
            assert (await only_measure(pim)).what == "no_new_conversations"
            for forbidden in (pim.request("somebody.new"), pim.invite()):
                with pytest.raises(Restricted, match="start new conversations") as refused:
                    await forbidden
                assert refused.value.decision
            await his.send("I take that back")
            assert (await next_message(bea)).text == "I take that back"

    asyncio.run(story())


async def raw(client: Client, method: str, path: str, body: object = None) -> tuple[int, list[Any], str]:
    """An answer as bytes would compare: status, headers and body, apart from fresh ids and the date."""
    headers = {"Authorization": f"Bearer {client.api.token}"}
    async with httpx.AsyncClient(base_url=f"{client.api.origin}/api/v1", headers=headers, trust_env=False) as http:
        answer = await http.request(method, path, json=body)
    said = [one for one in answer.headers.multi_items() if one[0] != "date"]
    return answer.status_code, said, ID.sub("ID", answer.text)


def listening(client: Client) -> list[ServerFrame]:
    """Everything that the stream says to this client from now on, pongs apart."""
    heard: list[ServerFrame] = []
    link = client._link
    assert link is not None
    passed_on = link._heard

    def hear(frame: ServerFrame) -> None:
        if not isinstance(frame, Pong):
            heard.append(frame)
        passed_on(frame)

    link._heard = hear
    return heard


def test_an_adult_and_an_unconnected_minor_learn_nothing_of_each_other(meeting: Meeting) -> None:
    """A minor, nobody, one who blocked, one who takes no requests, one who is open: one answer; she hears nothing."""

    async def story() -> None:
        async with AsyncExitStack() as stack:
            kit, adult, dora, cleo, vera = [
                await stack.enter_async_context(meeting.client(name))
                for name in ("kit", "adult", "dora", "cleo", "vera")
            ]
            await meeting.join(kit, "kit", FOURTEEN_YEARS_AGO)
            for client, name in ((adult, "adult"), (dora, "dora"), (cleo, "cleo"), (vera, "vera")):
                await meeting.join(client, name)
            asked = await adult.request(dora.handle)
            await dora.block((await asked_by(dora, adult.handle)).account)
            await adult.cancel(asked)
            await cleo.accept_requests_of("nobody")
            await kit.connected()
            heard = listening(kit)

            handles = [kit.handle, "nobody.here", dora.handle, cleo.handle, vera.handle]
            answers = [await raw(adult, "POST", "/requests", {"handle": handle}) for handle in handles]
            assert all(one == answers[0] for one in answers)
            assert answers[0][0] == 201
            sent = await adult.sent_requests()
            assert sorted(one.to for one in sent) == sorted(handles)
            assert {(one.state, one.account, one.room) for one in sent} == {("sent", None, None)}
            await asked_by(vera, adult.handle)  # the control: one of the five was reached
            nobody = str(uuid4())
            for method, path, body in (
                ("GET", "/accounts/{}/devices", None),
                ("PUT", "/blocks/{}", None),
                ("POST", "/reports", {"room": None, "category": "other", "minor_involved": False, "note": ""}),
            ):
                seen = [
                    await raw(
                        adult, method, path.format(one), None if body is None else {**body, "account": one, "items": []}
                    )
                    for one in (kit.account, nobody)
                ]
                assert seen[0] == seen[1]
                assert seen[0][0] == 404

            # Back the same, and the first frame that she hears at all is of the one whom she gave a link.
            backwards = [await raw(kit, "POST", "/requests", {"handle": one}) for one in (adult.handle, "nobody.too")]
            assert backwards[0] == backwards[1] == answers[0]
            assert await kit.requests() == []
            assert await kit.notices() == []
            await vera.request((await kit.invite()).link, "It's me, your aunt")
            (request,) = [await asked_by(kit, vera.handle)]

            async def first_frame() -> ServerFrame | None:
                return heard[0] if heard else None

            first = await eventually(first_frame, "a frame about the invited one")
            assert b"requests" in getattr(first, "body", b"")
            assert len(heard) == 1
            assert [one.handle for one in await kit.requests()] == [vera.handle]
            await request.accept()
            assert (await next_message(kit)).text == "It's me, your aunt"

    asyncio.run(story())


def test_a_link_leads_one_person_to_a_question(meeting: Meeting) -> None:
    """It works once, and only with a yes; for the next it is as if it did not exist, and the answer is the same."""

    async def story() -> None:
        async with meeting.client("ivy") as ivy, meeting.client("june") as june, meeting.client("larry") as larry:
            for client, name in ((ivy, "ivy"), (june, "june"), (larry, "larry")):
                await meeting.join(client, name)
            link = (await ivy.invite()).link
            body = {"invite": link.rpartition("/")[2]}
            first = await raw(june, "POST", "/requests", body)
            second = await raw(larry, "POST", "/requests", body)
            assert first == second
            assert [one.handle for one in await ivy.requests()] == [june.handle]

    asyncio.run(story())


def test_who_is_blocked_hears_and_reaches_nothing(meeting: Meeting) -> None:
    """A fixed sentence on one side, silence on the other; undoing it gives nothing back but the chance to ask."""

    async def story() -> None:
        async with meeting.client("una") as una, meeting.client("vito") as vito:
            await meeting.join(una, "una")
            await meeting.join(vito, "vito")
            his, hers = await introduce(vito, una)
            await hers.block()
            with pytest.raises(Refused) as refused:
                await his.send("Are you there?")
            assert (refused.value.code, str(refused.value)) == ("not_allowed", "This message could not be sent.")
            assert not isinstance(refused.value, Restricted)
            with pytest.raises(Refused):
                await hers.send("I can't write to you either")
            for room in (his, hers):
                room.discard(room.unsent()[0].id)
            (blocked,) = await una.blocks()
            assert blocked.handle == vito.handle
            await una.unblock(blocked.account)
            with pytest.raises(Refused):
                await his.send("Am I back?")
            his.discard(his.unsent()[0].id)
            again, _ = await introduce(vito, una, "I am sorry")
            await again.send("Thank you")
            assert (await next_message(una)).text == "Thank you"

    asyncio.run(story())


class Bystander:
    """Somebody at the interface alone, without keys: enough to be asked and to say no."""

    def __init__(self, meeting: Meeting, name: str) -> None:
        self.handle = meeting.handle(name)
        self.api = Api(meeting.origin)

    async def join(self) -> None:
        """Sign up."""
        ticket, terms = await self.api.age(1985, 4), await self.api.terms()
        session = await self.api.sign_up(
            ticket=ticket.ticket,
            handle=self.handle,
            display_name=self.handle,
            password=PASSWORD,
            terms_version=terms.version,
            device_name="none",
        )
        self.api.token = session.token

    async def declines(self) -> None:
        """Say no to everybody who asks."""
        for request in (await self.api.requests()).received:
            await self.api.decline(request.request)


def test_mass_contact_is_noticed_and_limited_with_its_reason(meeting: Meeting) -> None:
    """Few of many said yes: a notice for who was asked, a daily limit for who asked, and Limited names its decision."""

    async def story() -> None:
        async with meeting.client("pat") as pat, meeting.client("wren") as wren, AsyncExitStack() as stack:
            await meeting.join(pat, "pat")
            await meeting.join(wren, "wren")
            await pat.request(wren.handle, "Hello you")
            for number in range(DEFAULT.many_first_contacts - 1):
                one = Bystander(meeting, f"person{number}")
                await stack.enter_async_context(one.api)
                await one.join()
                await pat.request(one.handle)
                await one.declines()

            async def limited() -> Measure | None:
                return next(iter((await pat.standing()).measures), None)

            measure = await eventually(limited, "a limit")
            assert (measure.what, measure.limit) == ("daily_limit", DEFAULT.friction_requests_per_day)
            assert "few were accepted" in measure.because
            with pytest.raises(Limited) as refused:
                await pat.request("one.more")
            assert refused.value.decision
            assert refused.value.retry_after_ms is not None
            request = await asked_by(wren, pat.handle)
            assert request.notice is not None
            assert "has messaged many people" in request.notice.text
            (notice,) = await wren.notices()
            assert notice.about == request.account
            await wren.dismiss(notice.id)
            assert await wren.notices() == []

    asyncio.run(story())
