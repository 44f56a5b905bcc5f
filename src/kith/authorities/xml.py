"""XML as the CyberTipline speaks it: text that XML 1.0 can carry, and answers parsed without surprises."""

from __future__ import annotations

import re
from typing import Never
from xml.etree import ElementTree as ET
from xml.parsers import expat

LONGEST_ANSWER = 256 * 1024
"""Bytes of an answer that are read at all."""

_NOT_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REPLACEMENT = "\ufffd"
"""Stands for a character that XML 1.0 cannot carry, so that its place stays visible."""


class BadXml(ValueError):  # noqa: N818  it says what it is
    """Not well-formed, too large, or with a document type; the text says which."""


def carriable(words: str) -> str:
    """The same words with line ends as LF and every character outside XML 1.0 replaced (U+FFFD)."""
    return _NOT_XML.sub(REPLACEMENT, words.replace("\r\n", "\n").replace("\r", "\n"))


def write(root: ET.Element) -> bytes:
    """UTF-8 with an XML declaration; raises BadXml when a text holds what XML cannot carry."""
    for element in root.iter():
        for words in (element.text or "", *element.attrib.values()):
            if carriable(words) != words:
                raise BadXml(f"<{element.tag}> holds a character that XML cannot carry")
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def parse(body: bytes) -> ET.Element:
    """The root element. Document types, and with them entities and external fetches, are refused."""
    if len(body) > LONGEST_ANSWER:
        raise BadXml("the answer is too large")
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator=None)
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as failure:
        raise BadXml(f"not well-formed: {failure}") from None
    root: ET.Element = builder.close()
    return root


def _refuse_doctype(*_: object) -> Never:
    raise BadXml("document types are refused")
