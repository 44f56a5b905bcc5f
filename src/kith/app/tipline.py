"""A practice CyberTipline: a small local server that speaks the real protocol and sends nothing anywhere.

The demo and the tests start it on a port. It checks what the receiver checks (credentials, order, required
elements, lengths, choices), keeps reports in memory, expires unfinished ones, and can be told to fail in the
ways that matter to a client: an answer lost after the work was done, an error, a slow or unreadable answer.
Its grammar is written down a second time here, on purpose: a mistake in one transcription shows in the other.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import itertools
import re
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Literal, NamedTuple
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

from kith.authorities import xml

HOUR_S = 3_600.0
OPEN_FOR_S = 24 * HOUR_S
"""An unfinished report is deleted this long after opening …"""
AFTER_CHANGE_S = HOUR_S
"""… or this long after its last change, whichever is later."""
LONGEST_BODY = 4 * 1024 * 1024
LONGEST_HEAD = 16 * 1024
READ_TIMEOUT_S = 10.0

Fault = Literal["drop", "1000", "1100", "slow", "malformed", "http-503"]
"""drop: the work is done and the answer lost · 1000, 1100: refused with that code, nothing done · slow: the answer
comes late · malformed: the work is done and the answer unreadable · http-503: refused without a body."""

GRAMMAR = """
report = batchedReport:Batched? incidentSummary:Summary internetDetails:Internet* lawEnforcement:Law?
  reporter:Reporter personOrUserReported:Reported? intendedRecipient:Recipient* victim:Victim* additionalInfo:text?
Batched = @reason
Summary = incidentType:IncidentType platform:256? escalateToHighPriority:3000? reportAnnotations:Annotations?
  incidentDateTime:past incidentDateTimeDescription:3000?
Annotations = sextortion:flag? csamSolicitation:flag? minorToMinorInteraction:flag? spam:flag?
  sadisticOnlineExploitation:flag? informational:flag?
Internet = webPageIncident:Web? emailIncident:Mail? newsgroupIncident:News? chatImIncident:Chat?
  onlineGamingIncident:Game? cellPhoneIncident:Cell? nonInternetIncident:Place? peer2peerIncident:Peer?
Web = @thirdPartyHostedContent url:text* additionalInfo:text?
Mail = emailAddress:Email* content:text? additionalInfo:text?
News = name:255? emailAddress:Email* content:text? additionalInfo:text?
Chat = chatClient:255? chatRoomName:255? content:text? additionalInfo:text?
Game = gameName:text? console:text? content:text? additionalInfo:text?
Cell = phoneNumber:Phone? latitude:text? longitude:text? additionalInfo:text?
Place = locationName:text? incidentAddress:Address* additionalInfo:text?
Peer = client:text? ipCaptureEvent:Capture* fileNames:text? additionalInfo:text?
Law = @fleaCountry agencyName:255 caseNumber:100? officerContact:Contact? reportedToLe:bool?
  servedLegalProcessDomestic:bool? servedLegalProcessInternational:bool?
Reporter = reportingPerson:Person contactPerson:Contact? companyTemplate:text? termsOfService:3000? legalURL:2083?
Contact = firstName:100? lastName:100? phone:Phone* email:Email* address:Address*
Person = firstName:100? lastName:100? phone:Phone* email:Email* address:Address* age:age? ageAssertionDiscrepancy:bool?
  dateOfBirth:text?
Phone = @type @verified @verificationDate @countryCallingCode @extension 50
Email = @type @verified @verificationDate 255
Address = @type address:255? city:100? zipCode:20? state:text? nonUsaState:100? country:text?
Location = @verified @timestamp city:text? region:text? countryCode:text?
Reported = personOrUserReportedPerson:Person? vehicleDescription:300? espIdentifier:255? espService:100?
  compromisedAccount:bool? screenName:256? displayName:text* profileUrl:text* profileBio:text? ipCaptureEvent:Capture*
  deviceId:Device* thirdPartyUserReported:bool? priorCTReports:number* groupIdentifier:255?
  accountTemporarilyDisabled:bool? accountPermanentlyDisabled:bool? estimatedLocation:Location? allEmailsReported:bool?
  associatedAccount:Account* additionalInfo:text?
Recipient = intendedRecipientPerson:Person? espIdentifier:255? espService:100? compromisedAccount:bool?
  screenName:256? displayName:text* profileUrl:text* profileBio:text? ipCaptureEvent:Capture* deviceId:Device*
  priorCTReports:number* groupIdentifier:255? accountTemporarilyDisabled:bool? accountPermanentlyDisabled:bool?
  estimatedLocation:Location? allEmailsReported:bool? additionalInfo:text?
Victim = victimPerson:Person espIdentifier:255? espService:100? compromisedAccount:bool? screenName:256?
  displayName:text* profileUrl:text* profileBio:text? ipCaptureEvent:Capture* deviceId:Device* schoolName:255?
  priorCTReports:number* estimatedLocation:Location? allEmailsReported:bool? associatedAccount:Account*
  additionalInfo:text?
Account = @accountType @thirdPartyUser platform:text? firstName:100? middleName:100? lastName:100? approximateAge:age?
  ageAssertionDiscrepancy:bool? phone:Phone* email:Email* allEmailsReported:bool? address:Address* espService:100?
  espIdentifier:255? profileUrl:text* screenName:256? displayName:text* profileBio:text? groupIdentifier:255?
  ipCaptureEvent:Capture* deviceId:Device* additionalInfo:text?
Capture = ipAddress:text eventName:EventName? dateTime:time? possibleProxy:bool? port:port?
Device = idType:255 idValue:2083 eventName:EventName? dateTime:time?
fileDetails = reportId:number fileId:text originalFileName:2056? uploadedToEspTimestamp:time? locationOfFile:2083?
  fileViewedByEsp:bool? exifViewedByEsp:bool? publiclyAvailable:bool? fileRelevance:Relevance?
  fileAnnotations:FileFlags? industryClassification:Class? originalFileHash:Hash* ipCaptureEvent:Capture?
  deviceId:Device* details:Details* additionalInfo:text*
FileFlags = animeDrawingVirtualHentai:flag? potentialMeme:flag? viral:flag? possibleSelfProduction:flag?
  physicalHarm:flag? violenceGore:flag? bestiality:flag? liveStreaming:flag? infant:flag? generativeAi:flag?
Hash = @hashType text
Details = @type nameValuePair:Pair+
Pair = name:64 value:text
"""
"""One line per type: `@attribute`, then `name:type` with ?, * or +; a number is a text of at most that many
characters; a type without a name is the element's own text."""

CHOICES = {
    "IncidentType": (
        "Child Pornography (possession, manufacture, and distribution)",
        "Child Sex Trafficking",
        "Child Sex Tourism",
        "Child Sexual Molestation",
        "Misleading Domain Name",
        "Misleading Words or Digital Images on the Internet",
        "Online Enticement of Children for Sexual Acts",
        "Unsolicited Obscene Material Sent to a Child",
    ),
    "EventName": ("Login", "Registration", "Purchase", "Upload", "Other", "Unknown"),
    "Relevance": ("Reported", "Supplemental Reported"),
    "Class": ("A1", "A2", "B1", "B2"),
}
_PATTERNS = {
    "bool": r"true|false|1|0",
    "flag": r"",
    "number": r"[0-9]{1,18}",
    "age": r"[0-9]|[1-9][0-9]|1[0-4][0-9]|150",
    "port": r"[1-9][0-9]{0,4}",
}

SUCCESS, SERVER_ERROR, NOT_FOUND_ = 0, 1000, 1210
INVALID, VALIDATION, MALFORMED = 4000, 4100, 4110
NO_REPORT, NO_FILE, RETRACTED, FINISHED = 5001, 5002, 5101, 5102
WORDS = {
    SUCCESS: "Success",
    SERVER_ERROR: "Server error",
    1100: "Save failed",
    NOT_FOUND_: "Resource not found",
    INVALID: "Invalid request",
    VALIDATION: "Validation failed",
    MALFORMED: "Malformed XML",
    NO_REPORT: "Report does not exist",
    NO_FILE: "File does not exist",
    RETRACTED: "Report already retracted",
    FINISHED: "Report already finished",
}


class Child(NamedTuple):
    """A child element of a type."""

    name: str
    type: str
    at_least: int
    at_most: int | None


class Shape(NamedTuple):
    """What a type of element may hold."""

    attributes: tuple[str, ...]
    children: tuple[Child, ...]
    words: str | None
    """The type of its own text, where it has no children."""


def grammar() -> dict[str, Shape]:
    """GRAMMAR as data."""
    joined = re.sub(r"\n +", " ", GRAMMAR.strip())
    shapes = {}
    for line in joined.splitlines():
        name, _, body = line.partition(" = ")
        tokens = body.split()
        attributes = tuple(token[1:] for token in tokens if token[0] == "@")
        children = tuple(_child(token) for token in tokens if ":" in token)
        own = [token for token in tokens if token[0] != "@" and ":" not in token]
        shapes[name] = Shape(attributes, children, own[0] if own else None)
    return shapes


def _child(token: str) -> Child:
    name, _, kind = token.partition(":")
    at_least, at_most = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(kind[-1], (1, 1))
    return Child(name, kind.rstrip("?*+"), at_least, at_most)


SHAPES = grammar()


class NotValid(ValueError):  # noqa: N818  it says what is wrong
    """The element that the receiver would refuse, and why."""


def validate(root: ET.Element, now: float) -> None:
    """Refuse what does not follow the grammar; `now` in seconds since 1970."""
    if root.tag not in ("report", "fileDetails"):
        raise NotValid(f"<{root.tag}> is no document")
    _validate(root, root.tag, now)
    for details in root.iter("internetDetails"):
        if len(details) != 1:
            raise NotValid("<internetDetails> needs exactly one incident")


def _validate(element: ET.Element, kind: str, now: float) -> None:
    shape = SHAPES.get(kind)
    if shape is None:
        if len(element) or element.attrib:
            raise NotValid(f"<{element.tag}> has no children or attributes")
        _validate_words(element.tag, element.text or "", kind, now)
        return
    if strange := set(element.attrib) - set(shape.attributes):
        raise NotValid(f"<{element.tag}> has no attribute {strange.pop()}")
    if shape.words is not None:
        _validate_words(element.tag, element.text or "", shape.words, now)
    elif (element.text or "").strip():
        raise NotValid(f"<{element.tag}> holds no text of its own")
    _validate_children(element, shape, now)


def _validate_children(element: ET.Element, shape: Shape, now: float) -> None:
    waiting = deque(element)
    for child in shape.children:
        count = 0
        while waiting and waiting[0].tag == child.name and (child.at_most is None or count < child.at_most):
            _validate(waiting.popleft(), child.type, now)
            count += 1
        if count < child.at_least:
            raise NotValid(f"<{element.tag}> needs <{child.name}>")
    if waiting:
        raise NotValid(f"<{waiting[0].tag}> is not expected here in <{element.tag}>")


def _validate_words(tag: str, words: str, kind: str, now: float) -> None:
    if kind.isdigit():
        fits = len(words) <= int(kind)
    elif kind in CHOICES:
        fits = words in CHOICES[kind]
    elif kind in ("time", "past"):
        at = _seconds(words)
        fits = at is not None and (kind == "time" or at < now)
    else:
        fits = kind not in _PATTERNS or re.fullmatch(_PATTERNS[kind], words) is not None
    if not fits:
        raise NotValid(f"<{tag}> does not hold a valid {kind}")


def _seconds(words: str) -> float | None:
    try:
        at = datetime.fromisoformat(words)
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None else None


@dataclass
class Filed:
    """A report as the practice server holds it."""

    id: int
    body: bytes
    opened: float
    changed: float
    state: Literal["open", "finished", "retracted"] = "open"
    files: dict[str, bytes] = field(default_factory=dict)
    described: dict[str, bytes] = field(default_factory=dict)

    def gone(self, now: float) -> bool:
        """Deleted because nobody finished it in time."""
        return self.state == "open" and now >= max(self.opened + OPEN_FOR_S, self.changed + AFTER_CHANGE_S)


class Asked(NamedTuple):
    """One HTTP request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Said(NamedTuple):
    """One HTTP answer."""

    status: int
    body: bytes


class Tipline:
    """The practice server. `clock` gives seconds since 1970; `slow_s` is how late a slow answer comes."""

    def __init__(
        self,
        username: str = "practice",
        password: str = "practice",  # noqa: S107  the practice server's own, published
        *,
        clock: Callable[[], float] = time.time,
        slow_s: float = 5.0,
    ) -> None:
        self.clock = clock
        self.slow_s = slow_s
        self.reports: dict[int, Filed] = {}
        self.calls: list[str] = []
        """Every call in order, for tests."""
        self.faults: dict[str, deque[Fault]] = {}
        self._numbers = itertools.count(4_500_001)
        self._credentials = f"{username}:{password}".encode()

    def plan(self, call: str, *faults: Fault) -> None:
        """Let the next calls of this name fail so, one after the other."""
        self.faults.setdefault(call, deque()).extend(faults)

    def finished(self) -> list[Filed]:
        """Reports that were finished: what the receiver would act on."""
        return [report for report in self.reports.values() if report.state == "finished"]

    # The protocol

    def answer(self, asked: Asked) -> Said:
        """Do what is asked for; a bad login is a bare 401."""
        self.calls.append(asked.path.rpartition("/")[2])
        if not self._known(asked.headers.get("authorization", "")):
            return Said(401, b"")
        calls: dict[tuple[str, str], Callable[[Asked], Said]] = {
            ("GET", "/ispws/status"): lambda _: _said(SUCCESS),
            ("GET", "/ispws/xsd"): lambda _: Said(200, GRAMMAR.encode()),
            ("POST", "/ispws/submit"): self._submit,
            ("POST", "/ispws/upload"): self._upload,
            ("POST", "/ispws/fileinfo"): self._fileinfo,
            ("POST", "/ispws/finish"): self._finish,
            ("POST", "/ispws/retract"): self._retract,
        }
        call = calls.get((asked.method, asked.path))
        return call(asked) if call else Said(404, _said(NOT_FOUND_).body)

    def _known(self, authorization: str) -> bool:
        kind, _, token = authorization.partition(" ")
        try:
            given = base64.b64decode(token, validate=True)
        except ValueError:
            return False
        return kind.lower() == "basic" and hmac.compare_digest(given, self._credentials)

    def _submit(self, asked: Asked) -> Said:
        fault = self._refuses_xml(asked, "report")
        if fault is not None:
            return fault
        now = self.clock()
        report = Filed(next(self._numbers), asked.body, now, now)
        self.reports[report.id] = report
        return _said(SUCCESS, reportId=str(report.id))

    def _refuses_xml(self, asked: Asked, wanted: str) -> Said | None:
        if not asked.headers.get("content-type", "").startswith("text/xml"):
            return _said(INVALID)
        try:
            root = xml.parse(asked.body)
            validate(root, self.clock())
        except xml.BadXml as failure:
            return _said(MALFORMED, words=str(failure))
        except NotValid as failure:
            return _said(VALIDATION, words=str(failure))
        return None if root.tag == wanted else _said(VALIDATION, words=f"<{root.tag}> is not expected")

    def _upload(self, asked: Asked) -> Said:
        parts = _multipart(asked)
        report = self._open(parts.get("id", b"").decode("ascii", "replace"))
        if isinstance(report, Said):
            return report
        if "file" not in parts:
            return _said(INVALID)
        made = secrets.token_hex(16)
        report.files[made] = parts["file"]
        report.changed = self.clock()
        digest = hashlib.md5(parts["file"], usedforsecurity=False).hexdigest()
        return _said(SUCCESS, reportId=str(report.id), fileId=made, hash=digest)

    def _fileinfo(self, asked: Asked) -> Said:
        fault = self._refuses_xml(asked, "fileDetails")
        if fault is not None:
            return fault
        root = xml.parse(asked.body)
        report = self._open(root.findtext("reportId", ""))
        if isinstance(report, Said):
            return report
        file = root.findtext("fileId", "")
        if file not in report.files:
            return _said(NO_FILE)
        report.described[file] = asked.body
        report.changed = self.clock()
        return _said(SUCCESS, reportId=str(report.id))

    def _finish(self, asked: Asked) -> Said:
        report = self._open(_form(asked).get("id", ""))
        if isinstance(report, Said):
            return report
        report.state = "finished"
        root = _response("reportDoneResponse", SUCCESS, {"reportId": str(report.id)})
        files = ET.SubElement(root, "files")
        for file in report.files:
            ET.SubElement(files, "fileId").text = file
        return Said(200, xml.write(root))

    def _retract(self, asked: Asked) -> Said:
        report = self._open(_form(asked).get("id", ""))
        if isinstance(report, Said):
            return report
        report.state = "retracted"
        return _said(SUCCESS, reportId=str(report.id))

    def _open(self, number: str) -> Filed | Said:
        report = self.reports.get(int(number)) if re.fullmatch("[0-9]{1,18}", number) else None
        if report is None or report.gone(self.clock()):
            return _said(NO_REPORT)
        if report.state == "open":
            return report
        return _said(FINISHED if report.state == "finished" else RETRACTED)

    # The wire

    @contextlib.asynccontextmanager
    async def listening(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until left; gives the endpoint, `http://HOST:PORT/ispws`."""
        server = await asyncio.start_server(self._serve, host, port, limit=LONGEST_HEAD)
        try:
            yield f"http://{host}:{server.sockets[0].getsockname()[1]}/ispws"
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await asyncio.wait_for(_read(reader), READ_TIMEOUT_S)
            said = await self._answer_or_fail(asked) if asked else Said(400, b"")
            if said is None:
                writer.transport.abort()
                return
            writer.write(_head(said) + said.body)
            await writer.drain()
        except (TimeoutError, ConnectionError):
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_or_fail(self, asked: Asked) -> Said | None:
        """The answer as the fault plan lets it through; None for a line that goes dead."""
        planned = self.faults.get(asked.path.rpartition("/")[2])
        match planned.popleft() if planned else None:
            case "drop":
                self.answer(asked)
                return None
            case "malformed":
                self.answer(asked)
                return Said(200, b"<reportResponse><responseCode>0</responseCode>")
            case "slow":
                said = self.answer(asked)
                await asyncio.sleep(self.slow_s)
                return said
            case "http-503":
                return Said(503, b"")
            case "1000" | "1100" as code:
                return _said(int(code))
            case _:
                return self.answer(asked)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    """One request; None when it cannot be read as one."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    words = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    if len(words) != 3 or not re.fullmatch("[0-9]{1,9}", length) or int(length) > LONGEST_BODY:  # noqa: PLR2004
        return None
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        return None
    return Asked(words[0], words[1], headers, body)


def _head(said: Said) -> bytes:
    reason = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 503: "Service Unavailable"}
    return (
        f"HTTP/1.1 {said.status} {reason[said.status]}\r\nContent-Type: text/xml; charset=utf-8\r\n"
        f"Content-Length: {len(said.body)}\r\nRequest-ID: {secrets.token_hex(8)}\r\nConnection: close\r\n\r\n"
    ).encode()


def _said(code: int, *, words: str = "", **more: str) -> Said:
    return Said(200, xml.write(_response("reportResponse", code, more, words)))


def _response(tag: str, code: int, more: dict[str, str], words: str = "") -> ET.Element:
    root = ET.Element(tag)
    ET.SubElement(root, "responseCode").text = str(code)
    ET.SubElement(root, "responseDescription").text = words or WORDS[code]
    for name, value in more.items():
        ET.SubElement(root, name).text = value
    return root


def _form(asked: Asked) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(asked.body.decode("latin-1")).items()}


def _multipart(asked: Asked) -> dict[str, bytes]:
    head = f"Content-Type: {asked.headers.get('content-type', '')}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + asked.body)
    parts: Iterator[object] = message.iter_parts() if message.is_multipart() else iter(())
    found = {}
    for part in parts:
        name = part.get_param("name", header="content-disposition")  # type: ignore[attr-defined]  # typeshed: object
        content = part.get_payload(decode=True)  # type: ignore[attr-defined]
        if isinstance(name, str) and isinstance(content, bytes):
            found[name] = content
    return found
