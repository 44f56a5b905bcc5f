"""A CyberTip's own data key, and what is sealed under it: paper, approved XML, answers, bundle.

It is not the case's key: that one is destroyed with the case's evidence after 180 days, this one a year
after submission. Wrapping and sealing are those of `reports.sealing`.
"""

from __future__ import annotations

from uuid import UUID, uuid5

import msgspec

from kith.authorities import store
from kith.authorities.draft import Paper
from kith.ledger.database import Reader, Tx
from kith.reports.sealing import CannotOpen, CaseKey, EvidenceKey


def new_key(tx: Tx, tip: str, key: EvidenceKey) -> CaseKey:
    """Make and keep the data key of a new CyberTip."""
    fresh = CaseKey.fresh(tip)
    tx.put(store.keys, tip=tip, wrapped=key.wrap(tip, fresh))
    return fresh


def key_of(reader: Reader, tip: str, key: EvidenceKey) -> CaseKey:
    """The data key of a CyberTip; CannotOpen once it is destroyed."""
    wrapped = reader.value(store.KEY, id=tip)
    if wrapped is None:
        raise CannotOpen("the time of keeping is over; this was destroyed")
    return key.unwrap(tip, wrapped)


def seal_paper(key: CaseKey, paper: Paper) -> bytes:
    """The draft, sealed."""
    return key.seal(key.case, msgspec.json.encode(paper))


def open_paper(key: CaseKey, sealed: bytes) -> Paper:
    """The draft; CannotOpen when it was altered."""
    return msgspec.json.decode(key.open(key.case, sealed), type=Paper)


def seal_xml(key: CaseKey, body: bytes) -> bytes:
    """The approved XML, sealed under a name of its own."""
    return key.seal(_xml_name(key.case), body)


def open_xml(key: CaseKey, sealed: bytes) -> bytes:
    """The approved XML; CannotOpen when it was altered."""
    return key.open(_xml_name(key.case), sealed)


def _xml_name(tip: str) -> str:
    return str(uuid5(UUID(tip), "xml"))
