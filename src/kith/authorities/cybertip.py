"""A CyberTipline report as strict data, and the one way to write it as XML.

The structs below are the ordered table: a field's place in its struct is its place in the schema, and its
annotation its length or choice. Out-of-order children are refused by the receiver, so nothing else decides
an order. Source: the CyberTipline web service as modelled by two public clients; validate against `/xsd`
when an operator has credentials. A presence flag is an empty element that is there or not; a boolean is an
element that says true or false. The two are never mixed up here: `flags` names the former.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, ClassVar, Literal
from xml.etree import ElementTree as ET

import msgspec
from msgspec import Meta

from kith.authorities import xml

Text10 = Annotated[str, Meta(max_length=10)]
Text20 = Annotated[str, Meta(max_length=20)]
Text50 = Annotated[str, Meta(max_length=50)]
Text64 = Annotated[str, Meta(max_length=64)]
Text100 = Annotated[str, Meta(max_length=100)]
Text255 = Annotated[str, Meta(max_length=255)]
Text256 = Annotated[str, Meta(max_length=256)]
Text300 = Annotated[str, Meta(max_length=300)]
Text2056 = Annotated[str, Meta(max_length=2056)]
Text2083 = Annotated[str, Meta(max_length=2083)]
Text3000 = Annotated[str, Meta(max_length=3000)]
Address = Annotated[str, Meta(max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")]
"""An e-mail address."""
Time = Annotated[datetime, Meta(tz=True)]
"""Aware, and in UTC: `check` refuses every other offset."""

IncidentType = Literal[
    "Child Pornography (possession, manufacture, and distribution)",
    "Child Sex Trafficking",
    "Child Sex Tourism",
    "Child Sexual Molestation",
    "Misleading Domain Name",
    "Misleading Words or Digital Images on the Internet",
    "Online Enticement of Children for Sexual Acts",
    "Unsolicited Obscene Material Sent to a Child",
]
EventName = Literal["Login", "Registration", "Purchase", "Upload", "Other", "Unknown"]


class InvalidTip(ValueError):  # noqa: N818  it says what is wrong
    """A report that the CyberTipline would refuse or that would mislead; the text names the field."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """An element with children. `attributes`, `flags` and `words` name fields that are not child elements."""

    attributes: ClassVar[tuple[str, ...]] = ()
    flags: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[str | None] = None


# Shared parts ------------------------------------------------------------------------------------


class Phone(Part, frozen=True, kw_only=True):
    """<phone>."""

    attributes = ("type", "verified", "verification_date", "country_calling_code", "extension")
    words = "number"

    number: Text50
    type: Literal["Mobile", "Home", "Business", "Work", "Fax", "Internet", "Recovery"] | None = None
    verified: bool | None = None
    verification_date: Time | None = None
    country_calling_code: Annotated[str, Meta(pattern=r"^\+[0-9]{1,3}$")] | None = None
    extension: Annotated[str, Meta(pattern=r"^[0-9]{1,10}$")] | None = None


class Email(Part, frozen=True, kw_only=True):
    """<email>."""

    attributes = ("type", "verified", "verification_date")
    words = "address"

    address: Address
    type: Literal["Home", "Work", "Business", "Recovery"] | None = None
    verified: bool | None = None
    verification_date: Time | None = None


class PostalAddress(Part, frozen=True, kw_only=True):
    """<address>."""

    attributes = ("type",)

    type: Literal["Home", "Business", "Billing", "Shipping", "Technical"] | None = None
    address: Text255 | None = None
    city: Text100 | None = None
    zip_code: Text20 | None = None
    state: str | None = None
    non_usa_state: Text100 | None = None
    country: str | None = None


class EstimatedLocation(Part, frozen=True, kw_only=True):
    """<estimatedLocation>."""

    attributes = ("verified", "timestamp")

    verified: bool | None = None
    timestamp: Time | None = None
    city: str | None = None
    region: str | None = None
    country_code: str | None = None


class IpCaptureEvent(Part, frozen=True, kw_only=True):
    """<ipCaptureEvent>: one address at one time, as the server saw it. Made by `ip_capture`."""

    ip_address: str
    event_name: EventName | None = None
    date_time: Time | None = None
    possible_proxy: bool | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None

    def __post_init__(self) -> None:
        if _normal_ip(self.ip_address) != self.ip_address:
            raise InvalidTip("ipAddress: not in its normal form")


def _normal_ip(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise InvalidTip("ipAddress: not an IP address") from None
    if "%" in address:  # a scope is the server's own interface and tells an investigator nothing
        raise InvalidTip("ipAddress: an address with a scope")
    return str(found)


def is_ip(address: str) -> bool:
    """Whether these characters are an IP address."""
    try:
        _normal_ip(address)
    except InvalidTip:
        return False
    return True


def ip_capture(address: str, event: EventName, at: datetime, port: int | None = None) -> IpCaptureEvent:
    """An address in its normal form; InvalidTip when it is none."""
    return IpCaptureEvent(ip_address=_normal_ip(address), event_name=event, date_time=at, port=port)


class DeviceId(Part, frozen=True, kw_only=True):
    """<deviceId>."""

    id_type: Text255
    id_value: Text2083
    event_name: EventName | None = None
    date_time: Time | None = None


class ContactPerson(Part, frozen=True, kw_only=True):
    """<contactPerson>, <officerContact>."""

    first_name: Text100 | None = None
    last_name: Text100 | None = None
    phone: tuple[Phone, ...] = ()
    email: tuple[Email, ...] = ()
    address: tuple[PostalAddress, ...] = ()


class Person(Part, frozen=True, kw_only=True):
    """<reportingPerson>, <…Person>."""

    first_name: Text100 | None = None
    last_name: Text100 | None = None
    phone: tuple[Phone, ...] = ()
    email: tuple[Email, ...] = ()
    address: tuple[PostalAddress, ...] = ()
    age: Annotated[int, Meta(ge=0, le=150)] | None = None
    age_assertion_discrepancy: bool | None = None
    date_of_birth: date | None = None


class AssociatedAccount(Part, frozen=True, kw_only=True):
    """<associatedAccount>."""

    attributes = ("account_type", "third_party_user")

    account_type: Literal["Billing", "Linked", "Business", "Creator", "Parent/Guardian", "Other"] | None = None
    third_party_user: bool | None = None
    platform: str | None = None
    first_name: Text100 | None = None
    middle_name: Text100 | None = None
    last_name: Text100 | None = None
    approximate_age: Annotated[int, Meta(ge=0, le=150)] | None = None
    age_assertion_discrepancy: bool | None = None
    phone: tuple[Phone, ...] = ()
    email: tuple[Email, ...] = ()
    all_emails_reported: bool | None = None
    address: tuple[PostalAddress, ...] = ()
    esp_service: Text100 | None = None
    esp_identifier: Text255 | None = None
    profile_url: tuple[str, ...] = ()
    screen_name: Text256 | None = None
    display_name: tuple[str, ...] = ()
    profile_bio: str | None = None
    group_identifier: Text255 | None = None
    ip_capture_event: tuple[IpCaptureEvent, ...] = ()
    device_id: tuple[DeviceId, ...] = ()
    additional_info: str | None = None


# The incident ------------------------------------------------------------------------------------


class ReportAnnotations(Part, frozen=True, kw_only=True):
    """<reportAnnotations>: presence flags."""

    flags = (
        "sextortion",
        "csam_solicitation",
        "minor_to_minor_interaction",
        "spam",
        "sadistic_online_exploitation",
        "informational",
    )

    sextortion: bool = False
    csam_solicitation: bool = False
    minor_to_minor_interaction: bool = False
    spam: bool = False
    sadistic_online_exploitation: bool = False
    informational: bool = False


class IncidentSummary(Part, frozen=True, kw_only=True):
    """<incidentSummary>. `escalate_to_high_priority` is a reason in words, not a yes."""

    incident_type: IncidentType
    platform: Text256 | None = None
    escalate_to_high_priority: Text3000 | None = None
    report_annotations: ReportAnnotations | None = None
    incident_date_time: Time
    incident_date_time_description: Text3000 | None = None


class WebPageIncident(Part, frozen=True, kw_only=True):
    """<webPageIncident>."""

    attributes = ("third_party_hosted_content",)

    third_party_hosted_content: bool | None = None
    url: tuple[str, ...] = ()
    additional_info: str | None = None


class EmailIncident(Part, frozen=True, kw_only=True):
    """<emailIncident>."""

    email_address: tuple[Email, ...] = ()
    content: str | None = None
    additional_info: str | None = None


class NewsgroupIncident(Part, frozen=True, kw_only=True):
    """<newsgroupIncident>."""

    name: Text255 | None = None
    email_address: tuple[Email, ...] = ()
    content: str | None = None
    additional_info: str | None = None


class ChatImIncident(Part, frozen=True, kw_only=True):
    """<chatImIncident>: a conversation."""

    chat_client: Text255 | None = None
    chat_room_name: Text255 | None = None
    content: str | None = None
    additional_info: str | None = None


class OnlineGamingIncident(Part, frozen=True, kw_only=True):
    """<onlineGamingIncident>."""

    game_name: str | None = None
    console: str | None = None
    content: str | None = None
    additional_info: str | None = None


class CellPhoneIncident(Part, frozen=True, kw_only=True):
    """<cellPhoneIncident>."""

    phone_number: Phone | None = None
    latitude: float | None = None
    longitude: float | None = None
    additional_info: str | None = None


class NonInternetIncident(Part, frozen=True, kw_only=True):
    """<nonInternetIncident>."""

    location_name: str | None = None
    incident_address: tuple[PostalAddress, ...] = ()
    additional_info: str | None = None


class Peer2PeerIncident(Part, frozen=True, kw_only=True):
    """<peer2peerIncident>."""

    client: str | None = None
    ip_capture_event: tuple[IpCaptureEvent, ...] = ()
    file_names: str | None = None
    additional_info: str | None = None


class InternetDetails(Part, frozen=True, kw_only=True):
    """<internetDetails>: exactly one incident; the receiver takes neither none nor two."""

    web_page_incident: WebPageIncident | None = None
    email_incident: EmailIncident | None = None
    newsgroup_incident: NewsgroupIncident | None = None
    chat_im_incident: ChatImIncident | None = None
    online_gaming_incident: OnlineGamingIncident | None = None
    cell_phone_incident: CellPhoneIncident | None = None
    non_internet_incident: NonInternetIncident | None = None
    peer2peer_incident: Peer2PeerIncident | None = msgspec.field(default=None, name="peer2peerIncident")

    def __post_init__(self) -> None:
        if sum(getattr(self, name) is not None for name in self.__struct_fields__) != 1:
            raise InvalidTip("internetDetails: needs exactly one incident")


class LawEnforcement(Part, frozen=True, kw_only=True):
    """<lawEnforcement>."""

    attributes = ("flea_country",)

    flea_country: str | None = None
    agency_name: Text255
    case_number: Text100 | None = None
    officer_contact: ContactPerson | None = None
    reported_to_le: bool | None = None
    served_legal_process_domestic: bool | None = None
    served_legal_process_international: bool | None = None


class Reporter(Part, frozen=True, kw_only=True):
    """<reporter>: the operator. In practice the receiver wants an e-mail address of a person."""

    reporting_person: Person
    contact_person: ContactPerson | None = None
    company_template: str | None = None
    terms_of_service: Text3000 | None = None
    legal_url: Text2083 | None = msgspec.field(default=None, name="legalURL")

    def __post_init__(self) -> None:
        if not self.reporting_person.email:
            raise InvalidTip("reporter: the reporting person needs an e-mail address")


# People ------------------------------------------------------------------------------------------


class PersonOrUserReported(Part, frozen=True, kw_only=True):
    """<personOrUserReported>."""

    person_or_user_reported_person: Person | None = None
    vehicle_description: Text300 | None = None
    esp_identifier: Text255 | None = None
    esp_service: Text100 | None = None
    compromised_account: bool | None = None
    screen_name: Text256 | None = None
    display_name: tuple[str, ...] = ()
    profile_url: tuple[str, ...] = ()
    profile_bio: str | None = None
    ip_capture_event: tuple[IpCaptureEvent, ...] = ()
    device_id: tuple[DeviceId, ...] = ()
    third_party_user_reported: bool | None = None
    prior_ct_reports: tuple[int, ...] = msgspec.field(default=(), name="priorCTReports")
    group_identifier: Text255 | None = None
    account_temporarily_disabled: bool | None = None
    account_permanently_disabled: bool | None = None
    estimated_location: EstimatedLocation | None = None
    all_emails_reported: bool | None = None
    associated_account: tuple[AssociatedAccount, ...] = ()
    additional_info: str | None = None


class IntendedRecipient(Part, frozen=True, kw_only=True):
    """<intendedRecipient>."""

    intended_recipient_person: Person | None = None
    esp_identifier: Text255 | None = None
    esp_service: Text100 | None = None
    compromised_account: bool | None = None
    screen_name: Text256 | None = None
    display_name: tuple[str, ...] = ()
    profile_url: tuple[str, ...] = ()
    profile_bio: str | None = None
    ip_capture_event: tuple[IpCaptureEvent, ...] = ()
    device_id: tuple[DeviceId, ...] = ()
    prior_ct_reports: tuple[int, ...] = msgspec.field(default=(), name="priorCTReports")
    group_identifier: Text255 | None = None
    account_temporarily_disabled: bool | None = None
    account_permanently_disabled: bool | None = None
    estimated_location: EstimatedLocation | None = None
    all_emails_reported: bool | None = None
    additional_info: str | None = None


class Victim(Part, frozen=True, kw_only=True):
    """<victim>."""

    victim_person: Person
    esp_identifier: Text255 | None = None
    esp_service: Text100 | None = None
    compromised_account: bool | None = None
    screen_name: Text256 | None = None
    display_name: tuple[str, ...] = ()
    profile_url: tuple[str, ...] = ()
    profile_bio: str | None = None
    ip_capture_event: tuple[IpCaptureEvent, ...] = ()
    device_id: tuple[DeviceId, ...] = ()
    school_name: Text255 | None = None
    prior_ct_reports: tuple[int, ...] = msgspec.field(default=(), name="priorCTReports")
    estimated_location: EstimatedLocation | None = None
    all_emails_reported: bool | None = None
    associated_account: tuple[AssociatedAccount, ...] = ()
    additional_info: str | None = None


class BatchedReport(Part, frozen=True, kw_only=True):
    """<batchedReport>."""

    attributes = ("reason",)

    reason: Literal["VIRAL_POTENTIAL_MEME"]


class Report(Part, frozen=True, kw_only=True):
    """<report>: the whole of it."""

    batched_report: BatchedReport | None = None
    incident_summary: IncidentSummary
    internet_details: tuple[InternetDetails, ...] = ()
    law_enforcement: LawEnforcement | None = None
    reporter: Reporter
    person_or_user_reported: PersonOrUserReported | None = None
    intended_recipient: tuple[IntendedRecipient, ...] = ()
    victim: tuple[Victim, ...] = ()
    additional_info: str | None = None


# Files -------------------------------------------------------------------------------------------


class FileAnnotations(Part, frozen=True, kw_only=True):
    """<fileAnnotations>: presence flags."""

    flags = (
        "anime_drawing_virtual_hentai",
        "potential_meme",
        "viral",
        "possible_self_production",
        "physical_harm",
        "violence_gore",
        "bestiality",
        "live_streaming",
        "infant",
        "generative_ai",
    )

    anime_drawing_virtual_hentai: bool = False
    potential_meme: bool = False
    viral: bool = False
    possible_self_production: bool = False
    physical_harm: bool = False
    violence_gore: bool = False
    bestiality: bool = False
    live_streaming: bool = False
    infant: bool = False
    generative_ai: bool = False


class OriginalFileHash(Part, frozen=True, kw_only=True):
    """<originalFileHash>."""

    attributes = ("hash_type",)
    words = "value"

    value: str
    hash_type: Text64 | None = None


class NameValuePair(Part, frozen=True, kw_only=True):
    """<nameValuePair>."""

    name: Text64
    value: str


class Details(Part, frozen=True, kw_only=True):
    """<details>."""

    attributes = ("type",)

    type: Literal["EXIF", "HASH"] | None = None
    name_value_pair: Annotated[tuple[NameValuePair, ...], Meta(min_length=1)]


class FileDetails(Part, frozen=True, kw_only=True):
    """<fileDetails>. The two viewed-fields are derived from the log of views: never ticked, never by default."""

    report_id: int
    file_id: str
    original_file_name: Text2056 | None = None
    uploaded_to_esp_timestamp: Time | None = None
    location_of_file: Text2083 | None = None
    file_viewed_by_esp: bool | None = None
    exif_viewed_by_esp: bool | None = None
    publicly_available: bool | None = None
    file_relevance: Literal["Reported", "Supplemental Reported"] | None = None
    file_annotations: FileAnnotations | None = None
    industry_classification: Literal["A1", "A2", "B1", "B2"] | None = None
    original_file_hash: tuple[OriginalFileHash, ...] = ()
    ip_capture_event: IpCaptureEvent | None = None
    device_id: tuple[DeviceId, ...] = ()
    details: tuple[Details, ...] = ()
    additional_info: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        meme = self.file_annotations is not None and self.file_annotations.potential_meme
        if self.file_relevance != "Reported" and (self.industry_classification or meme):
            raise InvalidTip("fileDetails: only a Reported file carries a classification or potentialMeme")


# Writing -----------------------------------------------------------------------------------------

INCIDENT_IN_THE_PAST = timedelta(seconds=1)


def clamp_to_past(at: datetime, now: datetime) -> datetime:
    """The receiver refuses an incident that is not over: at the latest a second ago."""
    return min(at.astimezone(UTC), now.astimezone(UTC) - INCIDENT_IN_THE_PAST).replace(microsecond=0)


def check(report: Report | FileDetails) -> None:
    """Refuse what the receiver would refuse: lengths, choices, offsets. Raises InvalidTip naming the field."""
    try:
        msgspec.convert(msgspec.to_builtins(report, builtin_types=(datetime, date)), type(report))
    except msgspec.ValidationError as failure:
        raise InvalidTip(str(failure)) from None
    for name, at in _times(report):
        if at.utcoffset() != timedelta(0):
            raise InvalidTip(f"{name}: times are in UTC")


def _times(part: Part) -> Iterator[tuple[str, datetime]]:
    for name in part.__struct_fields__:
        value = getattr(part, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, datetime):
                yield name, one
            elif isinstance(one, Part):
                yield from _times(one)


def report_xml(report: Report, *, now: datetime) -> bytes:
    """The report as `/submit` wants it; InvalidTip when it would be refused."""
    check(report)
    if report.incident_summary.incident_date_time >= now:
        raise InvalidTip("incidentDateTime: must be in the past")
    return xml.write(_element("report", report))


def file_details_xml(details: FileDetails) -> bytes:
    """The description of one file as `/fileinfo` wants it."""
    check(details)
    return xml.write(_element("fileDetails", details))


def _element(tag: str, part: Part) -> ET.Element:
    element = ET.Element(tag)
    for name, tag_ in zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True):
        value = getattr(part, name)
        if value is None:
            continue
        if name in part.attributes:
            element.set(tag_, _words(value))
        elif name == part.words:
            element.text = _words(value)
        elif name in part.flags:
            if value:
                ET.SubElement(element, tag_)  # stays, empty as it is
        else:
            element.extend(_child(tag_, one) for one in (value if isinstance(value, tuple) else (value,)))
    return element


def _child(tag: str, value: object) -> ET.Element:
    if isinstance(value, Part):
        return _element(tag, value)
    element = ET.Element(tag)
    element.text = _words(value)
    return element


def _words(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case _:
            return xml.carriable(str(value))
