"""What the server answers (docs/api.md), as types. Unknown fields are of a later version and ignored."""

import msgspec
from msgspec import Struct

from kith.protocol import transparency


class Measure(Struct, frozen=True):
    """One measure against this account: what it limits, why, until when, and what became of an appeal.

    `limit` is new conversations a day. `until_ms` None: until it is reversed. `appeal_until_ms` None: no appeal now.
    """

    id: str
    what: str
    rule: str
    because: str
    since_ms: int
    until_ms: int | None = None
    limit: int | None = None
    appeal: str | None = None
    appeal_until_ms: int | None = None
    reversed_ms: int | None = None


class Standing(Struct, frozen=True):
    """GET /me/standing: what this account may do now, the measures in force, and those that were."""

    can_start_conversations: bool = True
    can_send: bool = True
    measures: list[Measure] = []
    history: list[Measure] = []


class Protection(Struct, frozen=True):
    """Something that is on for this account; `until_ms` None = no end by itself."""

    id: str
    text: str
    until_ms: int | None = None
    changeable: bool = False


class Controls(Struct, frozen=True):
    """Who may send requests (`everyone` within the protections, or `nobody`), and what others see."""

    requests: str = "everyone"
    read_receipts: bool = False
    typing: bool = False


class Me(Struct, frozen=True):
    """GET /me."""

    account_id: str
    device_id: str
    handle: str
    display_name: str
    band: str
    server_name: str
    has_identity: bool
    device_registered: bool
    terms_version: str
    protections: list[Protection] = []
    standing: Standing = Standing()
    controls: Controls = Controls()


class Session(Struct, frozen=True):
    """A new session of a program: the token comes in the body."""

    account_id: str
    device_id: str
    token: str
    me: Me
    known_device: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Session({self.account_id!r})"


class Ticket(Struct, frozen=True):
    """POST /age."""

    ticket: str
    band: str


class OwnIdentity(Struct, frozen=True):
    """GET /me/identity."""

    aik: bytes | None
    sealed_aik: bytes | None


class Device(Struct, frozen=True):
    """One registered device of an account, with its certificate."""

    device: str
    mls_key: bytes
    added_ms: int
    certificate: bytes


class Head(Struct, frozen=True):
    """A signed head of the key log, and the proof that it continues an earlier one."""

    tree_size: int
    root: bytes
    signature: bytes
    consistency: list[bytes] = []


class LogEntry(Struct, frozen=True):
    """An entry of the key log with searches for one account's versions."""

    position: int
    timestamp_ms: int
    prefix_root: bytes
    path: list[bytes]
    greatest: int | None
    lookups: list[bytes]

    def entry(self) -> transparency.Entry:
        """As the verifier takes it."""
        return transparency.Entry(
            self.position, self.timestamp_ms, self.prefix_root, tuple(self.path), self.greatest, tuple(self.lookups)
        )


class Opening(Struct, frozen=True):
    """What a commitment opens to."""

    version: int
    opening: bytes
    value: bytes | None = None


class KeysProof(Struct, frozen=True):
    """That keys are an account's newest in the key log."""

    head: Head
    newest: LogEntry
    opening: Opening


class Watch(Struct, frozen=True):
    """GET /accounts/{id}/transparency."""

    head: Head
    newest: LogEntry
    upto: int
    checked: list[LogEntry]
    openings: list[Opening] = []


class PublicLog(Struct, frozen=True):
    """GET /.well-known/kith-transparency.json."""

    server_name: str
    configuration: bytes
    head: Head | None


class PublicEntry(Struct, frozen=True):
    """GET /transparency/log: an entry as anybody may read it."""

    position: int
    timestamp_ms: int
    prefix_root: bytes
    search_key: bytes
    commitment: bytes


class LogEndorsed(Struct, frozen=True):
    """The key log's configuration, signed by the server's newest signing key."""

    configuration: bytes
    signature: bytes


class WaitingDevice(Struct, frozen=True):
    """A device of this account that waits for approval."""

    device: str
    name: str
    public_key: bytes
    tag: bytes
    until_ms: int


class WaitingDevices(Struct, frozen=True):
    """GET /me/links."""

    waiting: list[WaitingDevice]


class LinkOffered(Struct, frozen=True):
    """PUT /me/link, GET /me/link."""

    until_ms: int
    sealed: bytes | None = None


class Devices(Struct, frozen=True):
    """GET /accounts/{id}/devices."""

    account: str
    aik: bytes | None
    device_list: bytes | None
    device_list_signature: bytes | None
    devices: list[Device]
    transparency: KeysProof | None = None


class OwnDevice(Struct, frozen=True):
    """One of my devices."""

    id: str
    name: str
    created_ms: int
    last_seen_ms: int
    current: bool


class OwnDevices(Struct, frozen=True):
    """GET /me/devices."""

    devices: list[OwnDevice]
    list_version: int


class Member(Struct, frozen=True):
    """Somebody in a room."""

    account: str
    handle: str
    display_name: str
    role: str


class Room(Struct, frozen=True):
    """GET /rooms/{id}."""

    room: str
    accounts: list[Member]
    epoch: int | None
    writable: bool
    kind: str = "direct"
    group: "Group | None" = None


class Group(Struct, frozen=True):
    """What a room that is a group has besides."""

    name: str
    description: str
    posting: str
    approval: bool
    role: str
    created_ms: int
    photo: int | None = None


class Inviter(Struct, frozen=True):
    """Who invites into a group."""

    account: str
    handle: str
    display_name: str
    connected: bool


class ReceivedInvitation(Struct, frozen=True):
    """An invitation into a group that waits for an answer."""

    invitation: str
    room: str
    name: str
    description: str
    inviter: Inviter
    members: int
    known: int
    created_ms: int
    sent_ms: int
    photo: int | None = None


class SentInvitation(Struct, frozen=True):
    """An own invitation; `state` is sent or joined."""

    invitation: str
    room: str
    to: str
    sent_ms: int
    state: str


class Invitations(Struct, frozen=True):
    """GET /group-invitations."""

    received: list[ReceivedInvitation]
    sent: list[SentInvitation]


class Invited(Struct, frozen=True):
    """POST /groups/{room}/invitations: the same answer whoever was invited."""

    invitation: str
    status: str


class Entered(Struct, frozen=True):
    """Into which group; `state` is joined, or asked while an admin's yes is waited for."""

    room: str
    state: str = "joined"


class GroupLink(Struct, frozen=True):
    """POST /groups/{room}/links: the token is shown once."""

    link: str
    token: str
    expires_ms: int


class SeenLink(Struct, frozen=True):
    """POST /group-links/look: what the holder of a link is told before a yes."""

    name: str
    description: str
    members: int
    known: int
    by: Inviter
    approval: bool
    photo: int | None = None


class Joiner(Struct, frozen=True):
    """Somebody who came by a link and waits for an admin's yes."""

    account: str
    handle: str
    display_name: str
    since_ms: int
    by: str


class Package(Struct, frozen=True):
    """A claimed key package."""

    device: str
    account: str
    key_package: bytes


class Packages(Struct, frozen=True):
    """POST /rooms/{id}/key-packages."""

    packages: list[Package]
    missing: list[str]


class Stock(Struct, frozen=True):
    """GET /me/key-packages; after an upload only `available`."""

    available: int
    last_resort: bool = True


class Notice(Struct, frozen=True):
    """GET /notices: a fact about somebody (`about`, an account) who wrote to me."""

    id: str
    rule: str
    about: str | None
    text: str
    since_ms: int


class Received(Struct, frozen=True):
    """Somebody asks to write to me."""

    request: str
    account: str
    handle: str
    display_name: str
    joined_ms: int
    mutual: int
    sent_ms: int
    notice: Notice | None = None


class SentRequest(Struct, frozen=True):
    """I asked to write to somebody."""

    request: str
    to: str
    sent_ms: int
    state: str
    account: str | None
    room: str | None


class Requests(Struct, frozen=True):
    """GET /requests."""

    received: list[Received]
    sent: list[SentRequest]


class Asked(Struct, frozen=True):
    """POST /requests: the same answer whoever was asked."""

    request: str
    status: str


class Connected(Struct, frozen=True):
    """A request was accepted."""

    account: str
    room: str


class Connection(Struct, frozen=True):
    """Somebody I am connected with."""

    account: str
    handle: str
    display_name: str
    room: str
    since_ms: int
    state: str


class Invite(Struct, frozen=True):
    """POST /invites."""

    token: str
    expires_ms: int


class InviteLink(Struct, frozen=True):
    """A link for one person, until `expires_ms`."""

    link: str
    expires_ms: int

    def __repr__(self) -> str:
        """Without what lets somebody in."""
        return f"InviteLink(until {self.expires_ms})"


class Blocked(Struct, frozen=True):
    """Somebody I blocked."""

    account: str
    handle: str
    display_name: str
    since_ms: int


class Hushed(Struct, frozen=True):
    """Somebody I restrict."""

    account: str
    handle: str
    display_name: str
    since_ms: int


class MissingFile(Struct, frozen=True):
    """A file of a reported message that the server has no more."""

    message_id: str
    part: int


class Reported(Struct, frozen=True):
    """POST /reports. `missing` can be handed in with `File.hand_in`, from a copy that one saved."""

    report: str
    kind: str = msgspec.field(name="class")
    first: bool = False
    missing: tuple[MissingFile, ...] = ()


class OwnReport(Struct, frozen=True):
    """GET /reports: one I made. `status`: received, reviewing or closed; then `outcome`: action or no_action."""

    report: str
    sent_ms: int
    category: str
    account: str
    handle: str | None
    status: str
    outcome: str | None
    missing: tuple[MissingFile, ...] = ()
    """Files that the server has not, or has lost: `File.hand_in` gives them from a copy that one saved."""


class Appealed(Struct, frozen=True):
    """POST /me/standing/{measure}/appeal."""

    appeal: str


class Push(Struct, frozen=True):
    """GET /me/push: the key to subscribe with (base64url; None: this server wakes nobody), and what does not wake."""

    public_key: str | None
    on: bool
    quiet: list[str]


class ManifestLine(Struct, frozen=True):
    """An entry of the server's key manifest and the signature on it."""

    entry: bytes
    signature: bytes


class WellKnown(Struct, frozen=True):
    """GET /.well-known/kith.json."""

    server_name: str
    origin: str
    api: int
    stream: str
    manifest: list[ManifestLine]
    transparency: LogEndorsed | None = None


class Terms(Struct, frozen=True):
    """GET /terms."""

    version: str
    terms: list[dict[str, str]]
