"""A CyberTip filled from a decided case. Pure: facts in, report out; nothing is invented.

What is not held is left out. A transcript line says whether it was VERIFIED, at which time, and who wrote
it; what the reporter left out shows as a gap. A message cannot pretend to be a further line: its own line
ends are indented.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec

from kith.authorities.cybertip import (
    ChatImIncident,
    Email,
    EventName,
    IncidentSummary,
    IncidentType,
    IntendedRecipient,
    InternetDetails,
    Person,
    PersonOrUserReported,
    Report,
    ReportAnnotations,
    Reporter,
    Victim,
    clamp_to_past,
    ip_capture,
    is_ip,
)

PLATFORM = "Kith"
USUAL_INCIDENT: IncidentType = "Online Enticement of Children for Sexual Acts"
"""The reviewer chooses; this is what a text-only child-safety case most often is."""

EXPLANATION = (
    "Kith is end-to-end encrypted: this service cannot read conversations. The messages here were handed in by a "
    "participant of the conversation. VERIFIED means that this service proved, with a keyed commitment made when it "
    "accepted the message, that the named account sent exactly these words at that place in the conversation. "
    "UNVERIFIED means the participant's claim alone, with the reason why it could not be proved. Messages that were "
    "not handed in are listed as missing; this service does not hold them. All times are UTC. No files are part of "
    "this report."
)
_EVENTS: dict[str, EventName] = {"sign-up": "Registration", "sign-in": "Login", "recovery": "Login"}
_SIDES = {"reported": "reported person", "reporter": "person who reported", "other": "another participant"}


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """The person who answers for this server; the receiver wants a name and an e-mail address."""

    first_name: str = ""
    last_name: str = ""
    email: str = ""

    @property
    def complete(self) -> bool:
        """Whether a report can name this person."""
        return bool(self.first_name and self.last_name and self.email)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What the server holds about an account: names, age band as stated, when made."""

    id: str
    handle: str
    display_name: str
    band: str
    created_ms: int


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A retained sign-up or sign-in, as it was seen."""

    way: str
    at_ms: int
    address: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it was handed in; `flaw` says in words why it is unverified."""

    side: Literal["reported", "reporter", "other"]
    seq: int | None
    at_ms: int | None
    text: str
    flaw: str | None = None
    attachments: tuple[str, ...] = ()


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One report's part of a conversation. `gaps` = first and last number of what was left out in between."""

    room: str
    reporter: str
    filed_ms: int
    lines: tuple[Line, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    omitted_tail: int | None = None
    note: str = ""


class CaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a draft is made of."""

    server: str
    reported: Account
    reporters: tuple[Account, ...]
    minors: frozenset[str]
    """Reporters whom the server protects as minors."""
    conversations: tuple[Conversation, ...]
    sign_ins: tuple[SignIn, ...] = ()
    suspended: Literal["no", "for a time", "until reversed"] = "no"
    imminent: bool = False
    decided_ms: int
    prior_reports: tuple[int, ...] = ()


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """The few fields that people choose or write."""

    incident_type: IncidentType = USUAL_INCIDENT
    annotations: tuple[
        Literal[
            "sextortion",
            "csam_solicitation",
            "minor_to_minor_interaction",
            "spam",
            "sadistic_online_exploitation",
            "informational",
        ],
        ...,
    ] = ()
    escalate: str = ""
    """Why this is urgent, in words; empty = it is not."""
    remarks: str = ""


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """A draft: what the case says, and what people chose."""

    facts: CaseFacts
    choices: Choices = Choices()

    def __repr__(self) -> str:
        return "Paper(…)"


def first_paper(facts: CaseFacts) -> Paper:
    """The draft as it comes from the decision."""
    escalate = "A reviewer judged that a person may be in danger now." if facts.imminent else ""
    return Paper(facts=facts, choices=Choices(escalate=escalate))


def assemble(paper: Paper, operator: Operator, *, now_ms: int) -> Report:
    """The report that the paper stands for; InvalidTip when the operator's details are missing."""
    facts, choices = paper.facts, paper.choices
    at, described = _incident_time(facts)
    return Report(
        incident_summary=IncidentSummary(
            incident_type=choices.incident_type,
            platform=PLATFORM,
            escalate_to_high_priority=choices.escalate or None,
            report_annotations=_annotations(choices),
            incident_date_time=clamp_to_past(_utc(at), _utc(now_ms)),
            incident_date_time_description=described,
        ),
        internet_details=tuple(_details(conversation) for conversation in facts.conversations),
        reporter=Reporter(
            reporting_person=Person(
                first_name=operator.first_name or None,
                last_name=operator.last_name or None,
                email=(Email(address=operator.email),) if operator.email else (),
            ),
        ),
        person_or_user_reported=_reported(facts),
        intended_recipient=tuple(_recipient(facts, a) for a in facts.reporters if a.id not in facts.minors),
        victim=tuple(_victim(facts, a) for a in facts.reporters if a.id in facts.minors),
        additional_info=_information(choices),
    )


def _annotations(choices: Choices) -> ReportAnnotations | None:
    return ReportAnnotations(**dict.fromkeys(choices.annotations, True)) if choices.annotations else None


def _incident_time(facts: CaseFacts) -> tuple[int, str]:
    """The last proven message of the reported account; without one, the last report."""
    proven = [
        line.at_ms
        for conversation in facts.conversations
        for line in conversation.lines
        if line.side == "reported" and line.flaw is None and line.at_ms is not None
    ]
    if proven:
        return max(proven), "When this service accepted the last verified message of the reported account."
    filed = [conversation.filed_ms for conversation in facts.conversations]
    return max(filed, default=facts.decided_ms), "When it was reported to this service; no earlier time is proven."


def _information(choices: Choices) -> str:
    return f"{EXPLANATION}\n\nReviewer's remarks: {choices.remarks}" if choices.remarks else EXPLANATION


def _details(conversation: Conversation) -> InternetDetails:
    note = f"The person who reported added: {conversation.note}" if conversation.note else None
    return InternetDetails(
        chat_im_incident=ChatImIncident(
            chat_client=PLATFORM,
            chat_room_name=conversation.room or None,
            content="\n".join(transcript(conversation)),
            additional_info=note,
        )
    )


def transcript(conversation: Conversation) -> Iterator[str]:
    """The conversation as an investigator reads it, one line or more for each message."""
    gaps = list(conversation.gaps)
    for line in conversation.lines:
        while gaps and line.flaw is None and line.seq is not None and line.seq > gaps[0][0]:
            yield _missing(*gaps.pop(0))
        yield _line(line)
    for gap in gaps:
        yield _missing(*gap)
    if conversation.omitted_tail:
        yield f"[the last {conversation.omitted_tail} message(s) of the conversation were not handed in]"
    if not conversation.lines:
        yield "[no messages were handed in with this report]"


def _line(line: Line) -> str:
    proof = "VERIFIED" if line.flaw is None else f"UNVERIFIED ({line.flaw})"
    at = "no time" if line.at_ms is None else f"{_utc(line.at_ms):%Y-%m-%d %H:%M:%S} UTC"
    number = "" if line.seq is None else f" message {line.seq}"
    words = [*line.text.splitlines(), *(f"[attachment, described only: {a}]" for a in line.attachments)]
    said = "\n    | ".join(words) if words else "[no text]"
    return f"{at} {_SIDES[line.side]}{number} {proof}:\n    | {said}"


def _missing(first: int, last: int) -> str:
    which = f"message {first} was" if first == last else f"messages {first} to {last} were"
    return f"[{which} not handed in]"


def _reported(facts: CaseFacts) -> PersonOrUserReported:
    account = facts.reported
    return PersonOrUserReported(
        esp_identifier=account.id,
        esp_service=_service(facts),
        screen_name=account.handle or None,
        display_name=(account.display_name,) if account.display_name else (),
        ip_capture_event=tuple(
            ip_capture(seen.address, _EVENTS.get(seen.way, "Unknown"), _utc(seen.at_ms))
            for seen in facts.sign_ins
            if is_ip(seen.address)  # what is no address is never passed on as one
        ),
        prior_ct_reports=facts.prior_reports,
        account_temporarily_disabled=True if facts.suspended == "for a time" else None,
        account_permanently_disabled=True if facts.suspended == "until reversed" else None,
        additional_info=_about(account),
    )


def _victim(facts: CaseFacts, account: Account) -> Victim:
    """A minor who reported. The age is not known to the service, so none is given; the band is."""
    return Victim(
        victim_person=Person(),
        esp_identifier=account.id,
        esp_service=_service(facts),
        screen_name=account.handle or None,
        display_name=(account.display_name,) if account.display_name else (),
        additional_info=f"Reported this conversation. {_about(account)}",
    )


def _recipient(facts: CaseFacts, account: Account) -> IntendedRecipient:
    return IntendedRecipient(
        esp_identifier=account.id,
        esp_service=_service(facts),
        screen_name=account.handle or None,
        display_name=(account.display_name,) if account.display_name else (),
        additional_info=f"Reported this conversation. {_about(account)}",
    )


def _about(account: Account) -> str:
    made = f"Account made {_utc(account.created_ms):%Y-%m-%d}."
    return f"{made} Age band as stated by its holder: {account.band}. The service holds no date of birth."


def _service(facts: CaseFacts) -> str:
    return f"{PLATFORM} at {facts.server}"[:100]


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
