"""A client for programs: bots, tools, tests. It knows the protocol and the published interface, and no server code.

Everything is end-to-end encrypted here, on the device; every message is verified before a program sees it. Start with
docs/sdk.md.

    async with Client("helper.kith", "a passphrase") as client:
        async for message in client.messages():
            await message.reply("Thank you!")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kith.sdk.account import PackageLimits
    from kith.sdk.answers import Connection, InviteLink, Me, Measure, Notice, OwnDevice, OwnReport, Reported, Standing
    from kith.sdk.api import Api
    from kith.sdk.chat import Category, Group, Invitation, Message, Request, Room
    from kith.sdk.client import Client
    from kith.sdk.files import File
    from kith.sdk.sending import FileToSend, Upload
    from kith.sdk.vault import Cost

from kith.sdk.errors import (
    BadFile,
    KithError,
    Limited,
    NeedsRecoveryCode,
    NotSignedIn,
    Refused,
    Restricted,
    StoreError,
    StoreInUse,
    Unreachable,
    Untrusted,
    Unverified,
    WrongCredentials,
    WrongPassphrase,
)

_WHERE: Final = {
    "Api": "api",
    "Category": "chat",
    "Client": "client",
    "Connection": "answers",
    "Cost": "vault",
    "File": "files",
    "FileToSend": "sending",
    "Group": "chat",
    "Invitation": "chat",
    "InviteLink": "answers",
    "Me": "answers",
    "Measure": "answers",
    "Message": "chat",
    "Notice": "answers",
    "OwnDevice": "answers",
    "OwnReport": "answers",
    "PackageLimits": "account",
    "Reported": "answers",
    "Request": "chat",
    "Room": "chat",
    "Standing": "answers",
    "Upload": "sending",
}
"""Loaded when first asked for: the terminal's help need not wait for HTTP and cryptography."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds
    """The rest of `__all__` (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


__all__ = [
    "Api",
    "BadFile",
    "Category",
    "Client",
    "Connection",
    "Cost",
    "File",
    "FileToSend",
    "Group",
    "Invitation",
    "InviteLink",
    "KithError",
    "Limited",
    "Me",
    "Measure",
    "Message",
    "NeedsRecoveryCode",
    "NotSignedIn",
    "Notice",
    "OwnDevice",
    "OwnReport",
    "PackageLimits",
    "Refused",
    "Reported",
    "Request",
    "Restricted",
    "Room",
    "Standing",
    "StoreError",
    "StoreInUse",
    "Unreachable",
    "Untrusted",
    "Unverified",
    "Upload",
    "WrongCredentials",
    "WrongPassphrase",
]
