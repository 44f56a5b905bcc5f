"""The client of the CyberTipline: makes the calls that the journal asks for, one at a time.

Basic authentication over https; an answer is small XML without document type. Whether a failed call may
have done something there is told apart here, because everything else follows from it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as ET

import httpx
import structlog

from kith.authorities import flows, xml
from kith.authorities.flows import ToSend
from kith.authorities.journal import Answered, Call, Lost, NotSent, Outcome
from kith.authorities.office import Office
from kith.ledger.database import Database
from kith.ledger.decision import Decision, refuse

log = structlog.get_logger("kith.authorities")

AUTHENTICATION_REQUIRED: Final = 2000
_UNAVAILABLE: Final = frozenset({429, 503})
_UNAUTHORIZED: Final = 401
_CONTENT_TYPE: Final[Mapping[Call, str]] = {
    "submit": "text/xml; charset=utf-8",
    "finish": "application/x-www-form-urlencoded",
    "retract": "application/x-www-form-urlencoded",
}
_ANSWERS: Final = frozenset({"reportResponse", "reportDoneResponse"})


class Submitter:
    """One per process; `run_once` is a chore of app's jobs. Nothing is sent while it is off or in the wrong mode."""

    def __init__(self, database: Database, office: Office, username: str, password: str) -> None:
        self._database = database
        self._office = office
        self._credentials = (username, password)

    def __repr__(self) -> str:
        return f"Submitter({self._office.destination.mode()})"

    async def run_once(self) -> int:
        """Resume what a crash left, then make every call that is due; returns how many were made."""
        if self._office.may_send().refused:
            return 0
        await self._database.write(flows.recover, self._office)
        due = await self._database.read(flows.due)
        if not due:  # most of the time; making a client costs more than asking
            return 0
        async with self._client() as client:
            return sum([await self._advance(client, tip) for tip in due])

    async def check(self) -> Decision:
        """At start-up: may anything be sent, and does the receiver know these credentials?"""
        decision = self._office.may_send()
        if decision.refused:
            return decision
        async with self._client() as client:
            outcome = await ask(client, "GET", "status")
        if isinstance(outcome, Answered) and outcome.code == 0:
            return decision
        if isinstance(outcome, Answered):
            return refuse("tipline-status", f"The CyberTipline answers {outcome.code} to these credentials.", "staff")
        return refuse("tipline-status", f"The CyberTipline cannot be reached: {outcome.why}.", "staff")

    async def _advance(self, client: httpx.AsyncClient, tip: str) -> int:
        """Call after call until this CyberTip is finished, waits, or needs a person."""
        made = 0
        while True:
            sending = await self._database.write(flows.begin, tip, self._office)
            if sending is None:
                return made
            outcome = await _send(client, sending)
            state = await self._database.write(flows.settle, sending.entry, outcome, self._office, random.random())
            log.info("cybertip", tip=tip, call=sending.call, state=state, outcome=type(outcome).__name__)
            made += 1
            if not isinstance(outcome, Answered) or tip not in await self._database.read(flows.due):
                return made

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._office.destination.endpoint,
            auth=self._credentials,
            timeout=self._office.limits.call_timeout_ms / 1000,
            follow_redirects=False,
            trust_env=False,
        )


async def _send(client: httpx.AsyncClient, sending: ToSend) -> Outcome:
    headers = {"Content-Type": _CONTENT_TYPE[sending.call]}
    return await ask(client, "POST", sending.call, content=sending.body, headers=headers)


async def ask(
    client: httpx.AsyncClient,
    method: str,
    call: str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Outcome:
    """One call; every failure is told as what it means for the receiver."""
    try:
        async with client.stream(method, call, content=content, headers=headers) as response:
            return _outcome(response.status_code, response.headers.get("Request-ID", ""), await _body(response))
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as failure:
        return NotSent(type(failure).__name__)
    except httpx.HTTPError as failure:
        return Lost(type(failure).__name__)


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > xml.LONGEST_ANSWER:
            break
    return body


def _outcome(status: int, request_id: str, body: bytes) -> Outcome:
    """What an HTTP answer means. A refusal to serve did nothing; every other unreadable answer leaves a doubt."""
    request_id = re.sub(r"[^A-Za-z0-9_.-]", "", request_id)[:100]
    if status == _UNAUTHORIZED:  # a bare 401 without a body is how a bad login is answered
        return Answered(status, AUTHENTICATION_REQUIRED, None, "authentication required", request_id)
    if status in _UNAVAILABLE and not body:
        return NotSent(f"HTTP {status}")
    try:
        root = xml.parse(body)
    except xml.BadXml as fault:
        return Lost(f"unreadable answer: {fault}", status, request_id)
    code = root.findtext("responseCode", "").strip()
    if root.tag not in _ANSWERS or not re.fullmatch("[0-9]{1,6}", code):
        return Lost("an answer without a response code", status, request_id)
    return Answered(status, int(code), _report_id(root), root.findtext("responseDescription", "")[:1000], request_id)


def _report_id(root: ET.Element) -> str | None:
    number = root.findtext("reportId", "").strip()
    return number if re.fullmatch("[0-9]{1,18}", number) else None
