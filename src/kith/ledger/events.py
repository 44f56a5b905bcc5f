"""Every fact that Kith records, on one page: the answer to "what do you know about me?".

An event carries ids, numbers and closed words; never a name, a text or an address, which live in
erasable tables. Its kind reads `room:subject:action`. Each kind has one writer, named in its docstring.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kith.ledger.decision import Outcome, Reason


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened. Fields ending in `_ms` are milliseconds since 1970 UTC."""


# People ------------------------------------------------------------------------------------------


class AccountCreated(Event, frozen=True, kw_only=True, tag="people:account:created"):
    """Somebody signed up. Writer: people.flows.sign_up."""

    account: str
    band: str
    next_band_ms: int | None = None


class TermsAccepted(Event, frozen=True, kw_only=True, tag="people:terms:accepted"):
    """A person accepted a version of the terms and standards. Writer: people.flows.sign_up."""

    account: str
    version: str


class BandChanged(Event, frozen=True, kw_only=True, tag="people:band:changed"):
    """An age band moved on (birthday month) or was corrected. Writer: people.flows.change_band."""

    account: str
    band: str
    next_band_ms: int | None = None
    because: str


class IdentitySet(Event, frozen=True, kw_only=True, tag="people:identity:set"):
    """An account identity key was stored, or replaced (`reset`). Writer: people.flows.set_identity."""

    account: str
    reset: bool = False


class DeviceSignedIn(Event, frozen=True, kw_only=True, tag="people:device:signed-in"):
    """A device got a session. Writer: people.flows."""

    account: str
    device: str


class DeviceRegistered(Event, frozen=True, kw_only=True, tag="people:device:registered"):
    """A device has a certified key and stands in the device list. Writer: people.flows.register_device."""

    account: str
    device: str


class DeviceRemoved(Event, frozen=True, kw_only=True, tag="people:device:removed"):
    """A device's session and key share were destroyed. Writer: people.flows.remove_device."""

    account: str
    device: str


class DeviceListSigned(Event, frozen=True, kw_only=True, tag="people:device-list:signed"):
    """An account signed a new list of its devices. Writer: people.flows."""

    account: str
    version: int


class KeysLogged(Event, frozen=True, kw_only=True, tag="people:keys:logged"):
    """The key log committed to the next version of an account's keys (`commitment`: hex). Writer: people.key_log."""

    account: str
    commitment: str


class KeyLogIdle(Event, frozen=True, kw_only=True, tag="people:key-log:idle"):
    """Nothing was logged for a while; an entry shows that the log is up to date. Writer: people.key_log."""


class ControlsChanged(Event, frozen=True, kw_only=True, tag="people:controls:changed"):
    """What a person lets others do and see: her choice, or closed on turning 18. Writer: people.flows.

    What is None stays as it was.
    """

    account: str
    requests: str | None = None
    read_receipts: bool | None = None
    typing: bool | None = None


class ConnectionGranted(Event, frozen=True, kw_only=True, tag="people:connection:granted"):
    """Two people agreed to be connected. Writer: people.connections."""

    one: str
    other: str


class ConnectionEnded(Event, frozen=True, kw_only=True, tag="people:connection:ended"):
    """A connection is over. Writer: people.connections."""

    one: str
    other: str


class Blocked(Event, frozen=True, kw_only=True, tag="people:person:blocked"):
    """A person blocked another. Writer: people.flows.block."""

    by: str
    account: str


class Unblocked(Event, frozen=True, kw_only=True, tag="people:person:unblocked"):
    """A person lifted a block; nothing is granted by it. Writer: people.flows.unblock."""

    by: str
    account: str


class Hushed(Event, frozen=True, kw_only=True, tag="people:person:hushed"):
    """A person restricted another, for herself alone: no measure, and no rule counts it. Writer: people.hushes."""

    by: str
    account: str


class Unhushed(Event, frozen=True, kw_only=True, tag="people:person:unhushed"):
    """A person no longer restricts another. Writer: people.hushes."""

    by: str
    account: str


class MeasureImposed(Event, frozen=True, kw_only=True, tag="people:measure:imposed"):
    """A step of the enforcement ladder. Writer: people.enforcement alone, whoever asked for it.

    `what`: warning, daily_limit (with `limit` per day), no_new_conversations, suspended.
    `source`: rule:<rule id> or case:<case id>. `until_ms` None = until reversed.
    """

    measure: str
    account: str
    what: str
    rule: str
    because: str
    source: str
    decision: str
    until_ms: int | None = None
    limit: int | None = None


class MeasureReversed(Event, frozen=True, kw_only=True, tag="people:measure:reversed"):
    """A measure was taken back. Writer: people.enforcement alone."""

    measure: str
    account: str
    because: str


class DecisionMade(Event, frozen=True, kw_only=True, tag="ledger:decision:made"):
    """A policy's answer, kept because it limits somebody or lets somebody in. Writer: ledger.log.record.

    `facts` are what the policy was told: closed words, numbers, ids.
    """

    decision: str
    policy: str
    outcome: Outcome
    about: str
    reasons: tuple[Reason, ...] = ()
    facts: dict[str, str | int | float | bool | None] = msgspec.field(default_factory=dict)


# Messaging ---------------------------------------------------------------------------------------


class RequestSent(Event, frozen=True, kw_only=True, tag="messaging:request:sent"):
    """A first contact was asked for; `target` is None where it reached nobody. Writer: messaging.flows.

    `invited`: it came by an invite that the target made.
    """

    request: str
    requester: str
    target: str | None = None
    decision: str
    invited: bool = False


class RequestAccepted(Event, frozen=True, kw_only=True, tag="messaging:request:accepted"):
    """The target said yes. Writer: messaging.flows.accept."""

    request: str
    requester: str
    target: str
    room: str


class RequestDeclined(Event, frozen=True, kw_only=True, tag="messaging:request:declined"):
    """The target said no; the requester is not told. Writer: messaging.flows.decline."""

    request: str
    requester: str
    target: str


class RequestCancelled(Event, frozen=True, kw_only=True, tag="messaging:request:cancelled"):
    """The requester took it back. Writer: messaging.flows.cancel."""

    request: str
    requester: str
    target: str | None = None


class RequestExpired(Event, frozen=True, kw_only=True, tag="messaging:request:expired"):
    """Thirty days passed without an answer. Writer: messaging.flows.expire."""

    request: str
    requester: str
    target: str | None = None


class RoomCreated(Event, frozen=True, kw_only=True, tag="messaging:room:created"):
    """A direct room for two accounts exists; its group may not yet. Writer: messaging.flows.accept."""

    room: str
    one: str
    other: str


class MembershipStarted(Event, frozen=True, kw_only=True, tag="messaging:membership:started"):
    """From this message number on, an account was in the room. Writer: messaging.flows."""

    room: str
    account: str
    first_seq: int


class MembershipEnded(Event, frozen=True, kw_only=True, tag="messaging:membership:ended"):
    """Up to this message number, an account was in the room. Writer: messaging.flows."""

    room: str
    account: str
    last_seq: int


class EpochAdvanced(Event, frozen=True, kw_only=True, tag="messaging:room:epoch"):
    """The room's group moved to a new epoch by a device's commit. Writer: messaging.flows.commit.

    `added`: each device that joined, with its account; the creator's own device is among them at epoch 1.
    """

    room: str
    epoch: int
    device: str
    added: dict[str, str] = msgspec.field(default_factory=dict)
    removed: tuple[str, ...] = ()


class RequestsForgotten(Event, frozen=True, kw_only=True, tag="messaging:requests:forgotten"):
    """Closed requests and ended memberships past their retention were dropped. Writer: messaging.flows.sweep."""

    requests_before_ms: int
    memberships_before_ms: int


class FirstMessage(Event, frozen=True, kw_only=True, tag="messaging:message:first"):
    """An account wrote to a room for the first time (later ones are not events). Writer: messaging.flows.send."""

    room: str
    account: str


class GroupCreated(Event, frozen=True, kw_only=True, tag="messaging:group:created"):
    """A group exists, with its creator as owner. Writer: messaging.flows.groups."""

    room: str
    by: str


class GroupDescribed(Event, frozen=True, kw_only=True, tag="messaging:group:described"):
    """Name or description of a group changed; the words are elsewhere. Writer: messaging.flows.groups."""

    room: str
    by: str


class GroupPhotoChanged(Event, frozen=True, kw_only=True, tag="messaging:group:photo"):
    """A group's photo was set, replaced or removed; the bytes are elsewhere. Writer: messaging.flows.photos."""

    room: str
    by: str


class GroupRulesChanged(Event, frozen=True, kw_only=True, tag="messaging:group:rules"):
    """Who may write in a group (`everyone`, `admins`), and whether joiners wait. Writer: messaging.flows.groups."""

    room: str
    by: str
    posting: str
    approval: bool


class GroupInvited(Event, frozen=True, kw_only=True, tag="messaging:group:invited"):
    """Somebody was invited; `target` is None where it reached nobody. Writer: messaging.flows.inviting."""

    invitation: str
    room: str
    inviter: str
    target: str | None = None
    decision: str


class InvitationClosed(Event, frozen=True, kw_only=True, tag="messaging:invitation:closed"):
    """What became of an invitation: accepted, declined, cancelled, expired. Writer: messaging.flows.inviting."""

    invitation: str
    room: str
    outcome: str


class GroupEntered(Event, frozen=True, kw_only=True, tag="messaging:group:entered"):
    """Somebody stands on a group's roster by her own yes: as owner, member, or joiner who waits for an admin's.

    `by`: who invited her or made the link. `vouched`: she made the group, or `by` was connected with her then.
    Writer: messaging.flows.roster.
    """

    room: str
    account: str
    role: str
    by: str
    vouched: bool
    decision: str | None = None


class GroupRoleChanged(Event, frozen=True, kw_only=True, tag="messaging:group:role"):
    """Somebody's role in a group changed, or a joiner was let in. Writer: messaging.flows.roster."""

    room: str
    account: str
    role: str
    by: str


class GroupBanned(Event, frozen=True, kw_only=True, tag="messaging:group:banned"):
    """Somebody who was in a group once may not come back. Writer: messaging.flows.roster.

    Who is banned while she is in it leaves by that (`GroupLeft`).
    """

    room: str
    account: str
    by: str


class GroupLeft(Event, frozen=True, kw_only=True, tag="messaging:group:left"):
    """Somebody is off a group's roster: `how` = left, removed, banned or protected. Writer: messaging.flows.roster.

    protected: an age was corrected, and nobody connected with her had brought her in.
    """

    room: str
    account: str
    how: str
    by: str


class GroupUnbanned(Event, frozen=True, kw_only=True, tag="messaging:group:unbanned"):
    """A ban from a group was lifted. Writer: messaging.flows.roster."""

    room: str
    account: str
    by: str


# Safety ------------------------------------------------------------------------------------------


class RuleFired(Event, frozen=True, kw_only=True, tag="safety:rule:fired"):
    """A rule's condition held. `live` False = shadow: nothing was done. Writer: safety.flows."""

    rule: str
    account: str
    live: bool
    features: dict[str, float]
    effects: tuple[str, ...] = ()


class CaseProposed(Event, frozen=True, kw_only=True, tag="safety:case:proposed"):
    """A rule asks people to look at an account. Writer: safety.flows; reports opens the case."""

    account: str
    rule: str
    features: dict[str, float]


class NoticeShown(Event, frozen=True, kw_only=True, tag="safety:notice:shown"):
    """A safety notice was put before a person, perhaps about another. Writer: safety.flows."""

    notice: str
    to: str
    rule: str
    about: str | None = None


class NoticeDismissed(Event, frozen=True, kw_only=True, tag="safety:notice:dismissed"):
    """The person put the notice away. Writer: safety.flows."""

    notice: str
    to: str


class NoticeWithdrawn(Event, frozen=True, kw_only=True, tag="safety:notice:withdrawn"):
    """What the notice rested on was taken back. Writer: safety.flows."""

    notice: str
    to: str


class NoticesForgotten(Event, frozen=True, kw_only=True, tag="safety:notices:forgotten"):
    """Notices and firings of rules up to a time are past their retention. Writer: safety.flows.forget_old."""

    before_ms: int


# Reports -----------------------------------------------------------------------------------------


class ReportFiled(Event, frozen=True, kw_only=True, tag="reports:report:filed"):
    """A person reported another; how much of it proved genuine. Writer: reports.flows.file."""

    report: str
    case: str
    reporter: str
    account: str
    category: str
    minor_involved: bool
    items: int
    verified: int
    room: str | None = None


class CaseOpened(Event, frozen=True, kw_only=True, tag="reports:case:opened"):
    """A case for review exists. `queue`: child-safety, general, appeals. Writer: reports.flows.

    `source`: report, appeal or rule:<rule id>. An appeal names its `measure` and, when a reviewer imposed it,
    the case of `origin`.
    """

    case: str
    account: str
    queue: str
    priority: int
    because: str
    due_ms: int
    source: str = "report"
    measure: str | None = None
    origin: str | None = None


class CaseRaised(Event, frozen=True, kw_only=True, tag="reports:case:raised"):
    """More arrived and the case stands higher in its queue. Writer: reports.flows."""

    case: str
    priority: int
    because: str
    due_ms: int


class CaseClaimed(Event, frozen=True, kw_only=True, tag="reports:case:claimed"):
    """A reviewer took a case. Writer: reports.flows.claim."""

    case: str
    staff: str
    until_ms: int


class CaseReleased(Event, frozen=True, kw_only=True, tag="reports:case:released"):
    """A reviewer gave a case back undecided. Writer: reports.flows.release."""

    case: str
    staff: str


class CaseEscalated(Event, frozen=True, kw_only=True, tag="reports:case:escalated"):
    """A reviewer moved a case to another queue; its evidence went `into` a case that was open there, if any.

    Writer: reports.flows.escalate.
    """

    case: str
    queue: str
    staff: str
    into: str | None = None


class EvidenceDestroyed(Event, frozen=True, kw_only=True, tag="reports:evidence:destroyed"):
    """The key and the sealed evidence of a closed case are gone. Writer: reports.flows.forget."""

    case: str


class VerdictGiven(Event, frozen=True, kw_only=True, tag="reports:verdict:given"):
    """A reviewer's verdict on one exhibit: breaks-standards, allowed, unclear. Writer: reports.flows."""

    case: str
    exhibit: str
    verdict: str
    staff: str


class CaseDecided(Event, frozen=True, kw_only=True, tag="reports:case:decided"):
    """What the reviewer decided, under which policy. Writer: reports.flows.decide."""

    case: str
    account: str
    staff: str
    action: str
    policy: str
    severity: str
    decision: str
    measure: str | None = None


class AppealFiled(Event, frozen=True, kw_only=True, tag="reports:appeal:filed"):
    """A person asked for a measure to be looked at again. Writer: reports.flows.appeal."""

    appeal: str
    measure: str
    account: str
    case: str


class AppealDecided(Event, frozen=True, kw_only=True, tag="reports:appeal:decided"):
    """Upheld or overturned, by somebody else than before. Writer: reports.flows.decide_appeal."""

    appeal: str
    measure: str
    account: str
    outcome: str
    staff: str
    decision: str | None = None


# Authorities -------------------------------------------------------------------------------------


class TipDrafted(Event, frozen=True, kw_only=True, tag="authorities:tip:drafted"):
    """A CyberTip was drafted from a child-safety decision. Writer: authorities.flows."""

    tip: str
    case: str
    account: str
    staff: str


class TipEdited(Event, frozen=True, kw_only=True, tag="authorities:tip:edited"):
    """Somebody changed a draft, and so may not approve it. Writer: authorities.flows.edit."""

    tip: str
    staff: str


class TipApproved(Event, frozen=True, kw_only=True, tag="authorities:tip:approved"):
    """A second person approved exactly this paper (SHA-256 of the XML, hex). Writer: authorities.flows.approve."""

    tip: str
    staff: str
    paper: str


class TipMoved(Event, frozen=True, kw_only=True, tag="authorities:tip:moved"):
    """A CyberTip changed state; each call is journalled before and after. Writer: authorities.flows.

    `test`: the call went to a test environment; such reports are never counted with real ones.
    """

    tip: str
    state: str
    call: str | None = None
    code: int | None = None
    report_id: str | None = None
    test: bool | None = None


class PreservationStarted(Event, frozen=True, kw_only=True, tag="authorities:preservation:started"):
    """What a finished CyberTip rests on is kept until a date. Writer: authorities.flows."""

    preservation: str
    tip: str
    case: str
    until_ms: int


class PreservationEnded(Event, frozen=True, kw_only=True, tag="authorities:preservation:ended"):
    """The time of keeping is over: the key was destroyed, and with it everything sealed. Writer: authorities.flows."""

    preservation: str
    tip: str
    case: str


class StaffAdded(Event, frozen=True, kw_only=True, tag="reports:staff:added"):
    """A staff account exists. Writer: reports.staffing.add_staff."""

    staff: str
    roles: tuple[str, ...]


class StaffRolesChanged(Event, frozen=True, kw_only=True, tag="reports:staff:roles"):
    """An admin gave a colleague other roles. Writer: reports.staffing.change_roles."""

    staff: str
    roles: tuple[str, ...]
    by: str


class StaffEnded(Event, frozen=True, kw_only=True, tag="reports:staff:ended"):
    """A staff account was closed. Writer: reports.staffing.end_staff."""

    staff: str
    by: str


def all_kinds() -> dict[str, type[Event]]:
    """Every kind of event by its tag."""
    return {kind.__struct_config__.tag: kind for kind in Event.__subclasses__()}  # type: ignore[misc]  # tags are set


def kind_of(event: Event) -> str:
    """The event's tag."""
    return str(type(event).__struct_config__.tag)


def encode_event(event: Event) -> str:
    """The event as JSON."""
    return msgspec.json.encode(event).decode()


def decode_event(kind: str, body: str) -> Any:  # noqa: ANN401  the caller matches on the type
    """The event of that kind."""
    return msgspec.json.decode(body, type=all_kinds()[kind])
