"""What a person lets others do and see."""

from __future__ import annotations

import msgspec


class Controls(msgspec.Struct, frozen=True):
    """`requests`: who may send her requests, `everyone` (within her protections) or `nobody`.

    `read_receipts` and `typing`: whether her devices tell others what she has read and that she is writing; whoever
    does not tell is not shown it either.
    """

    requests: str = "everyone"
    read_receipts: bool = False
    typing: bool = False
