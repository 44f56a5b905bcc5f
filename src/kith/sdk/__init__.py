"""A client for programs: bots, tools, tests. It knows the protocol and the published interface, and no server code.

Everything is end-to-end encrypted here, on the device; every message is verified before a program sees it. Start with
docs/sdk.md.

    async with Client("helper.kith", "a passphrase") as client:
        async for message in client.messages():
            await message.reply("Thank you!")
"""

from kith.sdk.account import PackageLimits
from kith.sdk.answers import Connection, Reported
from kith.sdk.api import Api
from kith.sdk.client import Category, Client, Message, Request, Room
from kith.sdk.errors import (
    KithError,
    Limited,
    NeedsRecoveryCode,
    NotSignedIn,
    Refused,
    Restricted,
    StoreError,
    StoreInUse,
    Unreachable,
    Unverified,
    WrongCredentials,
    WrongPassphrase,
)
from kith.sdk.vault import Cost

__all__ = [
    "Api",
    "Category",
    "Client",
    "Connection",
    "Cost",
    "KithError",
    "Limited",
    "Message",
    "NeedsRecoveryCode",
    "NotSignedIn",
    "PackageLimits",
    "Refused",
    "Reported",
    "Request",
    "Restricted",
    "Room",
    "StoreError",
    "StoreInUse",
    "Unreachable",
    "Unverified",
    "WrongCredentials",
    "WrongPassphrase",
]
