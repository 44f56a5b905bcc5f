"""What counts as one emoji: the rule for reactions, the same on every device whatever Unicode version it has.

A text is one emoji when it has 1 to 32 bytes of UTF-8 and is, from its first to its last code point, one of:

1. a flag: two of U+1F1E6..1F1FF;
2. a keycap: one of 0-9 # *, then U+FE0F or not, then U+20E3;
3. a flag of a region: U+1F3F4, one or more of U+E0020..E007E, then U+E007F;
4. one or more pictures with U+200D between each two. A picture is a code point of `PICTURES`, followed by nothing, by
   U+FE0F, or by one of U+1F3FB..1F3FF.

The ranges are written out because the Unicode property Extended_Pictographic differs between versions: two devices
would show different threads. What is not one emoji is shown as an answer, so nothing is lost by a narrow rule. In
ECMAScript the same expression works with the flag `u`, anchored with ^ and $.
"""

import re
from typing import Final

MAX_BYTES: Final = 32
"""UTF-8 bytes of one reaction."""

PICTURES: Final = (
    (0xA9, 0xA9),
    (0xAE, 0xAE),
    (0x203C, 0x203C),
    (0x2049, 0x2049),
    (0x2122, 0x2122),
    (0x2139, 0x2139),
    (0x2194, 0x2199),
    (0x21A9, 0x21AA),
    (0x231A, 0x231B),
    (0x2328, 0x2328),
    (0x23CF, 0x23CF),
    (0x23E9, 0x23F3),
    (0x23F8, 0x23FA),
    (0x24C2, 0x24C2),
    (0x25AA, 0x25AB),
    (0x25B6, 0x25B6),
    (0x25C0, 0x25C0),
    (0x25FB, 0x25FE),
    (0x2600, 0x27BF),
    (0x2934, 0x2935),
    (0x2B05, 0x2B07),
    (0x2B1B, 0x2B1C),
    (0x2B50, 0x2B50),
    (0x2B55, 0x2B55),
    (0x3030, 0x3030),
    (0x303D, 0x303D),
    (0x3297, 0x3297),
    (0x3299, 0x3299),
    (0x1F004, 0x1F004),
    (0x1F0CF, 0x1F0CF),
    (0x1F170, 0x1F171),
    (0x1F17E, 0x1F17F),
    (0x1F18E, 0x1F18E),
    (0x1F191, 0x1F19A),
    (0x1F201, 0x1F202),
    (0x1F21A, 0x1F21A),
    (0x1F22F, 0x1F22F),
    (0x1F232, 0x1F23A),
    (0x1F250, 0x1F251),
    (0x1F300, 0x1F3FA),
    (0x1F400, 0x1F64F),
    (0x1F680, 0x1F6FF),
    (0x1F7E0, 0x1F7FF),
    (0x1F90C, 0x1F9FF),
    (0x1FA70, 0x1FAFF),
)
"""First and last code point of each range of pictures."""

_CLASS: Final = "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in PICTURES) + "]"
_PICTURE: Final = _CLASS + "(?:\ufe0f|[\U0001f3fb-\U0001f3ff])?"
_ONE: Final = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}"
    "|[0-9#*]\ufe0f?\u20e3"
    "|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
    f"|{_PICTURE}(?:\u200d{_PICTURE})*"
)


def is_one_emoji(text: str) -> bool:
    """Whether the whole text is one emoji by the rule above."""
    return len(text) <= MAX_BYTES and _ONE.fullmatch(text) is not None and len(text.encode()) <= MAX_BYTES
