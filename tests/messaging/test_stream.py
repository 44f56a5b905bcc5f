"""The stream over real sockets: order, windows, replacement, refusals, and nothing that breaks it."""

from __future__ import annotations

import asyncio

from kith.messaging.limits import Limits
from kith.protocol import frames
from kith.protocol.frames import Accepted, Bye, Delivered, Ephemeral, Mail, Pong, Refused
from messaging.conftest import Pair
from messaging.town import Town
from messaging.wire import Device, online, serving


def test_a_message_reaches_the_other_phone_and_its_sender_gets_the_same_frank(town: Town, pair: Pair) -> None:
    """ACCEPTED and MAIL carry one frank; an ack empties the mailbox and hints at delivery."""

    async def story() -> None:
        async with serving(town) as (_, url), online(url, town, pair.ana) as ana, online(url, town, pair.ben) as ben:
            body = pair.group.message()
            accepted = await ana.say(pair.group, body=body)
            assert isinstance(accepted, Accepted)
            welcome, mail = await ben.until(Mail), await ben.until(Mail)
            assert (welcome.kind, welcome.room_pos) == (frames.WELCOME, 1)
            assert (mail.kind, mail.room, mail.room_pos, mail.body) == (frames.MESSAGE, pair.room, 2, body)
            frank = (mail.frank.accepted_timestamp, mail.frank.room_seq, mail.frank.server_frank, mail.frank.proof)
            assert frank == (accepted.timestamp, accepted.room_seq, accepted.server_frank, accepted.proof)
            await ben.ack(welcome, mail)
            assert await ana.until(Delivered) == Delivered(pair.room, 2)
        assert town.mail(pair.ben) == []

    asyncio.run(story())
