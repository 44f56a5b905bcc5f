"""Everything the SDK raises for a caller to handle.

    KithError
    ├── NotSignedIn             no session here, or it was ended elsewhere
    ├── NeedsRecoveryCode       this account has an identity key already: sign in with its recovery code
    ├── Refused                 the server said no, for good; `code` says why
    │   ├── Restricted          the account's own standing forbids it; `decision` can be explained and appealed
    │   ├── Limited             too many at once; wait `retry_after_ms`
    │   └── WrongCredentials    handle, password or recovery code do not fit
    ├── Unreachable             not now: no network, or the server cannot take it at the moment; never a verdict
    │   └── Untrusted           whoever answers there shows a certificate that is not trusted; nothing was sent
    ├── Unverified              the server shows keys or proofs that do not check out; nothing was sent with them
    ├── BadFile                 a file that cannot be sent, had or opened; `reason` says why, the chat goes on
    └── StoreError              the store on this device
        ├── WrongPassphrase     this passphrase does not open it
        └── StoreInUse          another process has it open

A bug is none of these and is not caught.
"""


class KithError(Exception):
    """The text is a sentence that a person can act on."""


class NotSignedIn(KithError):  # noqa: N818 - reads as the state it is
    """No session here, or it was ended elsewhere."""


class NeedsRecoveryCode(KithError):  # noqa: N818 - reads as the state it is
    """This account has an identity key already: a further device needs the recovery code."""


class Refused(KithError):  # noqa: N818 - the word of the interface
    """The server said no. `code` is one of docs/api.md."""

    def __init__(self, code: str, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_ms = retry_after_ms


class Restricted(Refused):
    """A measure or protection of this account forbids it; `decision` is its id."""

    def __init__(self, code: str, message: str, decision: str) -> None:
        super().__init__(code, message)
        self.decision = decision


class Limited(Refused):
    """Too much in too short a time; `retry_after_ms` says when it may be tried again.

    `decision` is the id of the recorded reason, where the limit is the account's own.
    """

    def __init__(self, code: str, message: str, retry_after_ms: int | None = None, decision: str | None = None) -> None:
        super().__init__(code, message, retry_after_ms)
        self.decision = decision


class WrongCredentials(Refused):
    """Handle, password or recovery code do not fit each other."""


class Unreachable(KithError):  # noqa: N818 - reads as the state it is
    """Not now: no network, or a server that cannot take it at the moment. What was sent stays in the outbox."""

    def __init__(self, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class Untrusted(Unreachable):
    """Whoever answers at that address shows no certificate that is trusted here. Nothing was sent."""


class Unverified(KithError):  # noqa: N818 - reads as the state it is
    """What the server says does not verify; nothing was changed or sent with it."""


class BadFile(KithError):  # noqa: N818 - reads as the thing it is
    """A file that cannot be sent, had or opened. The chat and its other messages are untouched.

    `reason`: attachment_unsupported (not one that Kith opens), attachment_missing (expired or taken back),
    attachment_hash, attachment_decrypt (not what was sent), attachment_damaged (the server's copy is), or, for what was
    to be sent: picture (it cannot be cleaned), too_large, changed (while it was sent), unreadable.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StoreError(KithError):
    """The store on this device cannot be used."""


class WrongPassphrase(StoreError):  # noqa: N818 - reads as the state it is
    """This passphrase does not open the store."""


class StoreInUse(StoreError):  # noqa: N818 - reads as the state it is
    """Another process has the store open: two of them would use one key twice."""
