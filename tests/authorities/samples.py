"""Samples of every type of a CyberTip, filled to the last field, for tests of its XML."""

from __future__ import annotations

import random
import typing
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from kith.authorities import cybertip
from kith.authorities.cybertip import (
    ChatImIncident,
    Email,
    FileDetails,
    IncidentSummary,
    InternetDetails,
    Part,
    Person,
    PersonOrUserReported,
    Report,
    ReportAnnotations,
    Reporter,
    Victim,
    ip_capture,
)

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = datetime(2026, 2, 1, tzinfo=UTC)
TEXTS = {
    "ip_address": "2001:db8::1",
    "country_calling_code": "+49",
    "extension": "12",
}
EMAILS = {cybertip.Email: "address"}


def every_type() -> list[type[Part]]:
    """Each struct of the table."""
    return list(Part.__subclasses__())


def filled(kind: type[Part], chance: random.Random | None = None) -> Any:
    """One of this type with every field filled; arguments in random order when a chance is given."""
    fields = _types_of(kind)
    names = list(fields)
    if kind is InternetDetails:
        names = ["chat_im_incident"]
    if chance is not None:
        chance.shuffle(names)
    return kind(**{name: _value(kind, name, fields[name], chance) for name in names})


def _types_of(kind: type[Part]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, vars(cybertip), include_extras=False)
    return {name: hints[name] for name in kind.__struct_fields__}


def _value(kind: type[Part], name: str, hint: Any, chance: random.Random | None) -> Any:  # noqa: PLR0911  a table
    if typing.get_origin(hint) is tuple:
        return (_value(kind, name, typing.get_args(hint)[0], chance),) * 2
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)[0]
    if options:
        return _value(kind, name, options[0], chance)
    if name == "file_relevance":
        return "Reported"
    if isinstance(hint, type) and issubclass(hint, Part):
        return filled(hint, chance)
    plain = {bool: True, int: 7, float: 1.5, datetime: AT, date: date(2000, 1, 1)}
    if hint in plain:
        return plain[hint]
    return "somebody@example.org" if (kind, name) == (Email, "address") else TEXTS.get(name, f"{name} & <more>"[:60])


def minimal() -> Report:
    """The least that can be sent."""
    return Report(
        incident_summary=IncidentSummary(
            incident_type="Online Enticement of Children for Sexual Acts", incident_date_time=AT
        ),
        reporter=Reporter(reporting_person=Person(email=(Email(address="safety@kith.example"),))),
    )


def text_only() -> Report:
    """Words alone: what Kith sends."""
    return msgspec.structs.replace(
        minimal(),
        internet_details=(
            InternetDetails(
                chat_im_incident=ChatImIncident(
                    chat_client="Kith",
                    chat_room_name="7f8d2c1e-8a52-4f0e-9a77-0d3f6d1b2a10",
                    content="2026-01-02 03:04:05 UTC reported person message 1 VERIFIED:\n    | Hello <there> & \x00",
                )
            ),
        ),
        person_or_user_reported=PersonOrUserReported(
            esp_identifier="2b1f6a52-6f8e-4f0a-8d7a-53a1c0de0001",
            screen_name="marco",
            ip_capture_event=(ip_capture("2001:DB8:0::7", "Login", AT),),
            account_permanently_disabled=True,
        ),
        victim=(Victim(victim_person=Person(), screen_name="tim"),),
    )


def maximal() -> Report:
    """Everything at once."""
    report: Report = filled(Report)
    return report


def every_flag() -> Report:
    """Each presence flag."""
    annotations = ReportAnnotations(**dict.fromkeys(ReportAnnotations.flags, True))
    summary = msgspec.structs.replace(minimal().incident_summary, report_annotations=annotations)
    return msgspec.structs.replace(minimal(), incident_summary=summary)


def file_details() -> FileDetails:
    """A file described to the last field."""
    details: FileDetails = filled(FileDetails)
    return details
