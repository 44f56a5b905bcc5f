"""The XML of a CyberTip: order, lengths, flags, times, and nothing that misleads."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorities import samples
from authorities.samples import AT, NOW
from kith.app import tipline
from kith.authorities import cybertip, xml
from kith.authorities.cybertip import (
    Email,
    FileAnnotations,
    FileDetails,
    IncidentSummary,
    InternetDetails,
    InvalidTip,
    IpCaptureEvent,
    Part,
    Person,
    Report,
    ReportAnnotations,
    Reporter,
    clamp_to_past,
    file_details_xml,
    ip_capture,
    report_xml,
)

GOLDEN = Path(__file__).parent / "golden"
SHAPE_OF = {
    "Report": "report",
    "BatchedReport": "Batched",
    "IncidentSummary": "Summary",
    "ReportAnnotations": "Annotations",
    "InternetDetails": "Internet",
    "WebPageIncident": "Web",
    "EmailIncident": "Mail",
    "NewsgroupIncident": "News",
    "ChatImIncident": "Chat",
    "OnlineGamingIncident": "Game",
    "CellPhoneIncident": "Cell",
    "NonInternetIncident": "Place",
    "Peer2PeerIncident": "Peer",
    "LawEnforcement": "Law",
    "ContactPerson": "Contact",
    "PostalAddress": "Address",
    "EstimatedLocation": "Location",
    "PersonOrUserReported": "Reported",
    "IntendedRecipient": "Recipient",
    "AssociatedAccount": "Account",
    "IpCaptureEvent": "Capture",
    "DeviceId": "Device",
    "FileDetails": "fileDetails",
    "FileAnnotations": "FileFlags",
    "OriginalFileHash": "Hash",
    "NameValuePair": "Pair",
}


def with_summary(**changes: Any) -> Report:
    """The minimal report with another summary."""
    report = samples.minimal()
    return msgspec.structs.replace(report, incident_summary=msgspec.structs.replace(report.incident_summary, **changes))


@pytest.mark.parametrize("kind", samples.every_type(), ids=lambda kind: kind.__name__)
def test_each_type_lists_its_children_in_the_order_of_the_second_transcription(kind: type[Part]) -> None:
    """The structs and the practice server's grammar were written down separately and agree."""
    shape = tipline.SHAPES[SHAPE_OF.get(kind.__name__, kind.__name__)]
    names = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    children = [tag for name, tag in names.items() if name not in kind.attributes and name != kind.words]
    assert children == [child.name for child in shape.children]
    assert {names[name] for name in kind.attributes} == set(shape.attributes)
    assert (kind.words is not None) == (shape.words is not None)


@pytest.mark.parametrize("kind", samples.every_type(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", range(5))
def test_shuffled_input_yields_schema_order(kind: type[Part], seed: int) -> None:
    """Whatever order facts come in, the receiver's order goes out."""
    straight = cybertip._element("x", samples.filled(kind))
    shuffled = cybertip._element("x", samples.filled(kind, random.Random(seed)))
    assert xml.write(shuffled) == xml.write(straight)
    decoded = msgspec.convert(_shuffled(msgspec.to_builtins(samples.filled(kind)), random.Random(seed)), kind)
    assert xml.write(cybertip._element("x", decoded)) == xml.write(straight)


def _shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        chance.shuffle(items)
        return {name: _shuffled(inner, chance) for name, inner in items}
    return [_shuffled(inner, chance) for inner in value] if isinstance(value, list | tuple) else value


GOLDEN_REPORTS = {
    "minimal": samples.minimal,
    "text-only": samples.text_only,
    "every-flag": samples.every_flag,
    "maximal": samples.maximal,
}


@pytest.mark.parametrize("name", GOLDEN_REPORTS)
def test_reports_are_written_byte_for_byte_as_before(name: str) -> None:
    """Golden files; written anew with KITH_GOLDEN=write, then read by a person before they are committed."""
    _compare(name, report_xml(GOLDEN_REPORTS[name](), now=NOW))


def test_file_details_are_written_byte_for_byte_as_before() -> None:
    """The same for the description of a file."""
    _compare("file-details", file_details_xml(samples.file_details()))


def _compare(name: str, body: bytes) -> None:
    file = GOLDEN / f"{name}.xml"
    if os.environ.get("KITH_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(body)
    assert body == file.read_bytes()
    tipline.validate(xml.parse(body), NOW.timestamp())


def test_presence_flags_survive_and_unset_ones_are_absent() -> None:
    """An empty element is a statement; an over-eager serializer would delete it."""
    summary = with_summary(report_annotations=ReportAnnotations(sextortion=True, spam=True))
    root = xml.parse(report_xml(summary, now=NOW))
    annotations = root.find("incidentSummary/reportAnnotations")
    assert annotations is not None
    assert [child.tag for child in annotations] == ["sextortion", "spam"]
    assert all(child.text is None for child in annotations)


def test_a_boolean_says_false_where_a_flag_says_nothing() -> None:
    """The two are different things."""
    element = cybertip._element("x", cybertip.PersonOrUserReported(compromised_account=False))
    assert xml.write(element).endswith(b"<x><compromisedAccount>false</compromisedAccount></x>")


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001  naive on purpose
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_times_that_are_naive_or_not_in_utc_are_refused(at: datetime) -> None:
    """An hour's doubt can point at the wrong subscriber."""
    with pytest.raises(InvalidTip):
        report_xml(with_summary(incident_date_time=at), now=NOW)


def test_an_incident_in_the_future_is_refused_and_clamping_mends_it() -> None:
    """The receiver takes only what is over."""
    with pytest.raises(InvalidTip, match="past"):
        report_xml(with_summary(incident_date_time=NOW), now=NOW)
    report_xml(with_summary(incident_date_time=clamp_to_past(NOW + timedelta(days=1), NOW)), now=NOW)
    assert clamp_to_past(AT, NOW) == AT


@pytest.mark.parametrize("address", ["", "nonsense", "1.2.3", "1.2.3.4.5", "fe80::1%eth0 x", "01.2.3.4"])
def test_what_is_no_ip_address_is_refused(address: str) -> None:
    """An address that points nowhere or at somebody else is worse than none."""
    with pytest.raises(InvalidTip):
        ip_capture(address, "Login", AT)


def test_an_ip_address_is_written_in_its_normal_form_only() -> None:
    """One spelling, so that two reports about the same line compare equal."""
    assert ip_capture("2001:0DB8:0:0::1", "Login", AT).ip_address == "2001:db8::1"
    with pytest.raises(InvalidTip):
        IpCaptureEvent(ip_address="2001:0DB8:0:0::1")


def test_there_is_exactly_one_incident_in_details() -> None:
    """Neither none nor two."""
    chat, page = cybertip.ChatImIncident(), cybertip.WebPageIncident()
    InternetDetails(chat_im_incident=chat)
    with pytest.raises(InvalidTip):
        InternetDetails()
    with pytest.raises(InvalidTip):
        InternetDetails(chat_im_incident=chat, web_page_incident=page)


def test_a_reporter_needs_an_email_address() -> None:
    """Investigators write back."""
    with pytest.raises(InvalidTip):
        Reporter(reporting_person=Person(first_name="Ada"))
    with pytest.raises(InvalidTip):
        report_xml(
            msgspec.structs.replace(
                samples.minimal(), reporter=Reporter(reporting_person=Person(email=(Email(address="not one"),)))
            ),
            now=NOW,
        )


@pytest.mark.parametrize(
    ("field", "length"),
    [("platform", 256), ("escalate_to_high_priority", 3000), ("incident_date_time_description", 3000)],
)
def test_lengths_hold_to_the_character(field: str, length: int) -> None:
    """One more is refused here, not by the receiver."""
    report_xml(with_summary(**{field: "é" * length}), now=NOW)
    with pytest.raises(InvalidTip):
        report_xml(with_summary(**{field: "é" * (length + 1)}), now=NOW)


def test_an_incident_type_outside_the_list_is_refused() -> None:
    """The receiver compares strings exactly."""
    wrong: Any = "online enticement"
    with pytest.raises(InvalidTip):
        report_xml(with_summary(incident_type=wrong), now=NOW)


@pytest.mark.parametrize("relevance", [None, "Supplemental Reported"])
def test_only_a_reported_file_carries_a_classification(relevance: Any) -> None:
    """Nor the mark of a meme."""
    with pytest.raises(InvalidTip):
        FileDetails(report_id=1, file_id="f", file_relevance=relevance, industry_classification="A1")
    with pytest.raises(InvalidTip):
        FileDetails(
            report_id=1, file_id="f", file_relevance=relevance, file_annotations=FileAnnotations(potential_meme=True)
        )


def test_a_file_is_never_said_to_be_viewed_by_default() -> None:
    """It bears on whether investigators need a warrant."""
    assert b"Viewed" not in file_details_xml(FileDetails(report_id=1, file_id="f"))


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_that_people_write_can_be_carried(words: str) -> None:
    """Control characters become visible replacements; everything else arrives as it was."""
    chat = InternetDetails(chat_im_incident=cybertip.ChatImIncident(content=words))
    body = report_xml(msgspec.structs.replace(samples.minimal(), internet_details=(chat,)), now=NOW)
    arrived = xml.parse(body).findtext("internetDetails/chatImIncident/content")
    assert (arrived or "") == xml.carriable(words)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"])))
def test_ordinary_text_arrives_unchanged(words: str) -> None:
    """The filter touches nothing that XML can carry."""
    assert xml.carriable(words) == words


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "http://localhost/x"><a/>',
        b"<a>&undefined;</a>",
        b"\xff\xfe<",
        b"<a>" + b"x" * xml.LONGEST_ANSWER + b"</a>",
    ],
)
def test_answers_with_document_types_or_out_of_shape_are_refused(body: bytes) -> None:
    """No entity is expanded, nothing is fetched, nothing grows."""
    with pytest.raises(xml.BadXml):
        xml.parse(body)


def test_a_report_survives_being_stored_as_json() -> None:
    """Drafts are kept as JSON, sealed."""
    for make in GOLDEN_REPORTS.values():
        assert msgspec.json.decode(msgspec.json.encode(make()), type=Report) == make()


def test_the_summary_of_a_report_is_at_a_time_in_utc() -> None:
    """As text it ends with Z."""
    assert b"<incidentDateTime>2026-01-02T03:04:05Z<" in report_xml(samples.minimal(), now=NOW)
    assert IncidentSummary(incident_type="Child Sex Tourism", incident_date_time=AT).incident_date_time.tzinfo is UTC
