"""Reports: which messages go along as proof, and that a report whose answer was lost is the same report."""

import asyncio
import uuid

from kith.sdk import answers, receive
from kith.sdk.api import Api, b64
from kith.sdk.effects import selected
from kith.sdk.errors import Unreachable
from kith.sdk.keeping import REPORT_ITEMS, Keeping
from kith.sdk.link import delay_s
from kith.sdk.records import MessageRecord


class Reporting:
    """Of one signed-in device."""

    def __init__(self, api: Api, keeping: Keeping) -> None:
        self._api, self._keeping = api, keeping

    def sender(self, room: str, message: str | None) -> str | None:
        """Who of the others sent a message of this chat, deleted or not, that can be proven."""
        if message is None:
            return None
        return next((row.sender for row in self._keeping.provable(room) if row.id == message and not row.mine), None)

    def items(self, room: str, upto: str | None) -> list[str]:
        """The proven messages of a chat up to this one, as a report carries them."""
        return [_item(row) for row in selected(self._keeping.provable(room), upto, REPORT_ITEMS)]

    async def file(
        self, account: str, category: str, note: str, room: str | None, items: list[str], *, minor_involved: bool
    ) -> answers.Reported:
        """Report an account; without a room it is a report of words alone."""
        body = {"account": account, "room": room, "category": category, "minor_involved": minor_involved}
        whole = {**body, "note": note, "items": items, "id": str(uuid.uuid4())}
        try:
            return await self._api.report(whole)
        except Unreachable:  # perhaps only the answer was lost: with its id it is the same report
            await asyncio.sleep(delay_s(1))
            return await self._api.report(whole)


def _item(row: MessageRecord) -> str:
    if row.content is None or row.frank is None:
        raise RuntimeError("a message without proof among those that can be proven")
    return b64(receive.report_item(row.content, row.frank).encode())
