"""What the device keeps, record by record. Everything here is stored sealed (vault)."""

from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["text", "unsupported", "tombstone", "info", "effect", "deleted", "gone"]
"""`effect`: changes another row and is shown in it. `deleted`: by its sender, for everybody. `gone`: not shown here."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable record; change it with `msgspec.structs.replace`."""


class SessionRecord(Record, frozen=True, kw_only=True):
    """account/session: where this device is signed in, and as whom."""

    origin: str
    server: str
    account: str
    device: str
    token: str
    handle: str

    def __repr__(self) -> str:
        """Without the token."""
        return f"SessionRecord({self.handle!r} at {self.origin!r})"


class KnownRecord(Record, frozen=True, kw_only=True):
    """account/known: what shows a server that an account was signed in on this device before."""

    origin: str
    known: str

    def __repr__(self) -> str:
        """Without it."""
        return f"KnownRecord({self.origin!r})"


class KeyRecord(Record, frozen=True, kw_only=True):
    """keys/aik and keys/device: an Ed25519 seed; `added_ms` and `registered` are the device's."""

    seed: bytes
    added_ms: int = 0
    registered: bool = False

    def __repr__(self) -> str:
        """No key."""
        return "KeyRecord(…)"


class PackageRecord(Record, frozen=True, kw_only=True):
    """keys/kp/<ref>: the secret half of an uploaded key package."""

    secret: bytes
    last_resort: bool
    not_after_ms: int

    def __repr__(self) -> str:
        """No key."""
        return "PackageRecord(…)"


class Pin(Record, frozen=True, kw_only=True):
    """meta/pin/<account>: what was seen of somebody's identity; a later list may not be older."""

    aik: bytes
    version: int
    list: bytes


class LogRecord(Record, frozen=True, kw_only=True):
    """meta/log: the key log's configuration, as endorsed, and the last head that was verified (size 0: none yet)."""

    configuration: bytes
    size: int = 0
    root: bytes = b""
    signature: bytes = b""


class Watched(Record, frozen=True, kw_only=True):
    """meta/seen-keys/<account>: the newest version of somebody's keys that was shown here.

    meta/watch/<account>: the same, while it was not yet found at an entry that its owner checks too.
    """

    position: int
    version: int
    commitment: bytes


class OwnKeys(Record, frozen=True, kw_only=True):
    """meta/own-keys: what was verified of this account's own entries.

    Up to which log entry, which versions, which devices (URIs); `mine` once one of the present identity was seen.
    """

    position: int = -1
    next_version: int = 0
    commitments: dict[int, bytes] = {}
    devices: tuple[str, ...] = ()
    mine: bool = False


class HeardHead(Record, frozen=True, kw_only=True):
    """meta/heard/<size>-<root>: a head of the key log that a message carried."""

    size: int
    root: bytes
    signature: bytes


class Alarm(Record, frozen=True, kw_only=True):
    """meta/alarm/<name>: what the person must see, with the signed heads that contradict each other, if there are."""

    text: str
    evidence: tuple[LogRecord, ...] = ()


class VerifiedPerson(Record, frozen=True, kw_only=True):
    """meta/verified/<account>: the identity key whose safety number was compared, and when."""

    aik: bytes
    at_ms: int


class PinnedManifest(Record, frozen=True, kw_only=True):
    """meta/manifest: (entry, signature) pairs pinned so far, as served."""

    entries: tuple[tuple[bytes, bytes], ...]


class Roster(Record, frozen=True, kw_only=True):
    """meta/room/<room>: who is in a room. A direct room stays as first seen; a group's `roles` are by account.

    `past`: accounts that this device saw in the group and that are not in it any more.
    """

    accounts: tuple[str, ...]
    roles: dict[str, str] = {}
    names: dict[str, str] = {}
    past: tuple[str, ...] = ()

    @property
    def is_group(self) -> bool:
        """Whether others than two may be in it, and come and go."""
        return bool(self.roles)


class FirstMessage(Record, frozen=True, kw_only=True):
    """meta/first/<request>: the first message, waiting here for the request to be accepted."""

    text: str
    created_ms: int


class GroupRecord(Record, frozen=True, kw_only=True):
    """groups/<room>.

    `joined` is False while the group is only being created. `pending_key` is the stream key of the commit that waits
    inside `state`. `broken` says why this device cannot follow; a new Welcome heals it. `revision` guards `state`.
    """

    state: bytes
    revision: int
    joined: bool
    pending_key: bytes | None
    broken: Literal["removed", "fork"] | None
    rotated_ms: int

    def __repr__(self) -> str:
        """No key."""
        return f"GroupRecord(revision {self.revision}, …)"


class FrankRecord(Record, frozen=True, kw_only=True):
    """What proves a message: kept with it, repeated in reports. `context` is an encoded SaferFrankingContext."""

    context: bytes
    server_frank: bytes
    suite: int
    proof: bytes


class EditMark(Record, frozen=True, kw_only=True):
    """An edit that counts; its words are in its own row."""

    id: str
    seq: int


class ReactionMark(Record, frozen=True, kw_only=True):
    """A reaction: `first`, `since` = id and number of the message that began it; no symbols once it is taken back.

    `seq` is the number of the newest message about it.
    """

    first: str
    since: int
    sender: str
    symbols: tuple[str, ...]
    seq: int


class Doing(Record, frozen=True, kw_only=True):
    """What an effect was found to do: `base` is the message it changes, `first` the reaction it gives or changes.

    none: nothing, because it came too late, too often, or is not its sender's to do.
    """

    what: Literal["edit", "withdraw", "react", "none"]
    base: str
    first: str | None = None


class HeldEffect(Record, frozen=True, kw_only=True):
    """meta/held/<room>/<id>/<seq>: an effect whose target is not here yet; `key` is its row."""

    key: str
    until_ms: int


class Hold(Record, frozen=True, kw_only=True):
    """meta/holds/<room>/<sender>/<seq>: the same effect among those of its sender; `at` is the key of that record."""

    at: str
    until_ms: int


class MessageRecord(Record, frozen=True, kw_only=True):
    """messages/<room>/<seq>/<pos>: one row of a thread. `content` is M exactly as sent or received.

    `edits`, oldest first, and `reactions` are what others did to it; `doing` is what an effect does. `fades_s`: it
    disappears so long after reading here; `vanish_ms`: then. `keep_ms`: hidden, and reportable until then.
    """

    kind: Kind
    id: str
    pos: int
    seq: int | None
    at_ms: int
    mine: bool
    sender: str
    text: str
    reply_to: str | None = None
    content: bytes | None = None
    frank: FrankRecord | None = None
    edited: bool = False
    edits: tuple[EditMark, ...] = ()
    reactions: tuple[ReactionMark, ...] = ()
    doing: Doing | None = None
    forwarded: int = 0
    fades_s: int | None = None
    vanish_ms: int | None = None
    keep_ms: int | None = None

    def __repr__(self) -> str:
        """Without what was said."""
        return f"MessageRecord({self.kind} at {self.pos}, …)"


class Kept(Record, frozen=True, kw_only=True):
    """meta/kept/<room>: how this device keeps a chat. `archived_at_ms`: time of its newest message when put away."""

    pinned_ms: int | None = None
    muted: bool = False
    archived_at_ms: int | None = None


class Draft(Record, frozen=True, kw_only=True):
    """meta/draft/<room>: what is half written."""

    text: str

    def __repr__(self) -> str:
        """Without what was written."""
        return "Draft(…)"


class KeptMessage(Record, frozen=True, kw_only=True):
    """kept/<room>/<seq>/<pos>: a proven message of a deleted thread, reportable for a while and shown nowhere."""

    message: MessageRecord
    until_ms: int


class Thread(Record, frozen=True, kw_only=True):
    """meta/thread/<room>: where the thread stands.

    `pos`: room_pos up to which everything was processed. `seq`, `at_ms`: room_seq and time of the last message in
    turn. `head_seq`: highest room_seq of any message. `ahead`: its time was ahead of this device's clock, and said so.
    `timer_s`: messages disappear so long after reading (0: never), as the message `timer_seq` says. `read_seq`: read
    here up to that one; `read_by`: by others, account by account, as far as they tell.
    """

    pos: int = 0
    seq: int = 0
    at_ms: int = 0
    head_seq: int = 0
    delivered_pos: int = 0
    ahead: bool = False
    last_id: bytes | None = None
    timer_s: int = 0
    timer_seq: int = 0
    read_seq: int = 0
    read_by: dict[str, int] = {}


class Sealed(Record, frozen=True, kw_only=True):
    """An encrypted message: sent, and sent again, unchanged, until it is answered."""

    key: bytes
    wire: bytes
    content: bytes
    epoch: int


class FileRecord(Record, frozen=True, kw_only=True):
    """A file that is sent: what its ciphertext is, where it goes, and what is said of it.

    `blob` is empty until the server made room. `path` and `source_type` find it again after a crash; `chunks` and
    `tag` prove that it is still the same.
    """

    name: str
    media_type: str
    description: str
    key: bytes
    nonce: bytes
    length: int
    size: int
    content_hash: bytes
    chunks: tuple[bytes, ...]
    tag: bytes
    path: str | None = None
    source_type: str = ""
    as_is: bool = False
    width: int | None = None
    height: int | None = None
    thumbhash: bytes | None = None
    duration_ms: int | None = None
    waveform: bytes | None = None
    voice: bool = False
    poster: bytes | None = None
    poster_type: str = ""
    blob: str = ""
    piece: int = 0
    expires_ms: int = 0

    def __repr__(self) -> str:
        """Without its key and its name."""
        return f"FileRecord({self.size} bytes, …)"


class UploadRecord(Record, frozen=True, kw_only=True):
    """meta/upload/<room>/<id>: files that are on their way; they become an outbox record when all are up."""

    id: str
    room: str
    caption: str
    reply_to: str | None
    created_ms: int
    files: tuple[FileRecord, ...]

    def __repr__(self) -> str:
        """Without what is said."""
        return f"UploadRecord({self.id!r}, {len(self.files)} files)"

    @property
    def place(self) -> str:
        """Its key."""
        return f"upload/{self.room}/{self.id}"


class OutboxRecord(Record, frozen=True, kw_only=True):
    """outbox/<room>/<time>-<id>: what was written here and is not accepted yet, in order.

    plain: not encrypted yet. sealed: the bytes exist. failed: refused for good, for the reason in `failure`.
    `template`: anything but a text: its encoded content, with a salt of zeros until it is encrypted.
    """

    id: str
    room: str
    created_ms: int
    text: str
    reply_to: str | None = None
    template: bytes | None = None
    sealed: Sealed | None = None
    failure: str | None = None
    details: str | None = None
    files: tuple[FileRecord, ...] = ()

    def __repr__(self) -> str:
        """Without what was said."""
        return f"OutboxRecord({self.id!r}, …)"

    @property
    def place(self) -> str:
        """Its key in the outbox."""
        return f"{self.room}/{padded(self.created_ms)}-{self.id}"


def padded(number: int) -> str:
    """Numbers in keys, so that they sort."""
    return f"{number:016d}"


def message_key(room: str, seq: int, pos: int) -> str:
    """The key of a row."""
    return f"{room}/{padded(seq)}/{padded(pos)}"
