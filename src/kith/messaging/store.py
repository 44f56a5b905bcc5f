"""The tables of this room and the statements on them, and nothing else.

Projections (requests, rooms, memberships, leaves) hold what events say. Messages are no events: their positions,
bodies and mailboxes are operational rows that go as soon as they have served.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Index,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as insert_or

from kith.ledger.schema import data, number, serial, table, text
from kith.people import store as people
from kith.protocol.frames import ROSTER

_A_ROSTER: ColumnElement[int] = literal_column(str(ROSTER))
"""A mail's kind as part of the text: a partial index serves no parameter."""

# --- projections ----------------------------------------------------------------------------------

requests = table(
    "requests",
    text("request", "id of the request", key=True),
    text("requester", "who asked"),
    text("target", "who was asked; empty where it reached nobody", null=True),
    number("invited", "1 when it came by an invite that the target made"),
    number("sent_ms", "when"),
    text("outcome", "accepted, declined, expired or blocked; empty while open", null=True),
    number("closed_ms", "when it got its outcome", null=True),
    number("cancelled_ms", "when the requester took it back", null=True),
    text("room", "the room that came of it", null=True),
    Index("requests_by_requester", "requester", "sent_ms"),
    Index("requests_by_target", "target", "requester"),
    purpose="who asked whom to be connected, and what came of it",
    retention="120 days after it was sent",
    kind="projection",
)

rooms = table(
    "rooms",
    text("room", "id of the room", key=True),
    text("one", "the smaller account id"),
    text("other", "the larger account id"),
    number("created_ms", "when it was made"),
    Index("rooms_by_people", "one", "other", unique=True),
    Index("rooms_by_other", "other"),
    purpose="direct rooms: one for each two people, used again whenever they are connected again",
    retention="life of both accounts",
    kind="projection",
)

memberships = table(
    "memberships",
    text("room", "id of the room", key=True),
    text("account", "who was in it", key=True),
    number("first_seq", "from this message number on", key=True),
    number("last_seq", "up to this one; empty while in it", null=True),
    number("ended_ms", "when it ended", null=True),
    Index("memberships_by_account", "account"),
    purpose="whether a reporter was in the room at that message",
    retention="180 days after it ended",
    kind="projection",
)

leaves = table(
    "leaves",
    text("room", "id of the room", key=True),
    text("device", "a device in the room's group", key=True),
    text("account", "whose device it is"),
    number("live", "0 once it has to go (signed out, left, removed), though its leaf is still in the group"),
    Index("leaves_by_device", "device"),
    Index("leaves_by_account", "room", "account"),
    purpose="to which devices a room's messages go",
    retention="while the device is in the group",
    kind="projection",
)

groups = table(
    "groups",
    text("room", "id of the room", key=True),
    number("created_ms", "when it was made"),
    text("posting", "who may write: everyone or admins"),
    number("approval", "1 when who comes by a link waits for an admin"),
    purpose="rooms of more than two people, and their rules",
    retention="life of the group",
    kind="projection",
)

participants = table(
    "participants",
    text("room", "id of the group", key=True),
    text("account", "who stands on its roster", key=True),
    text("role", "joiner (waits outside), member, admin or owner"),
    number("since_ms", "since when"),
    text("brought_by", "who invited her or made the link"),
    number("vouched", "1 when she made the group, or was connected with whoever brought her in"),
    Index("participants_by_account", "account"),
    purpose="who belongs to a group, by her own yes, and in which role",
    retention="while she is in it",
    kind="projection",
)

bans = table(
    "bans",
    text("room", "id of the group", key=True),
    text("account", "who may not come back", key=True),
    number("since_ms", "since when"),
    purpose="so that who was banned from a group comes back by no door",
    retention="until it is lifted",
    kind="projection",
)

invitations = table(
    "invitations",
    text("invitation", "its id", key=True),
    text("room", "to which group"),
    text("inviter", "who invites"),
    text("target", "who is invited; empty where it reached nobody", null=True),
    number("sent_ms", "when"),
    text("outcome", "accepted, declined, expired or blocked; empty while open", null=True),
    number("closed_ms", "when it got its outcome", null=True),
    number("cancelled_ms", "when its inviter took it back, whatever had become of it unseen", null=True),
    Index("invitations_by_room", "room", "target"),
    Index("invitations_by_inviter", "inviter", "sent_ms"),
    Index("invitations_by_target", "target"),
    purpose="who invited whom into which group, and what came of it",
    retention="120 days after it was sent",
    kind="projection",
)

# --- personal: erasable ---------------------------------------------------------------------------

group_profiles = table(
    "group_profiles",
    text("room", "id of the group", key=True),
    text("name", "its name, a public surface"),
    text("description", "its description, a public surface"),
    purpose="what a group is called; seen by members, invited people and holders of its links",
    retention="life of the group",
    kind="personal",
)

group_photos = table(
    "group_photos",
    text("room", "id of the group", key=True),
    number("version", "counts its changes, and never starts again, so that no cache shows an old one"),
    text("media_type", "image/png, image/jpeg or image/webp; empty while it has none", null=True),
    data("photo", "the picture, a public surface: nothing but pixels; empty while it has none", null=True),
    purpose="the photo of a group; seen by members, invited people and holders of its links",
    retention="until it is replaced or removed, or nobody is in the group any more",
    kind="personal",
)

invitation_words = table(
    "invitation_words",
    text("invitation", "id of the invitation", key=True),
    text("typed", "whom the inviter typed"),
    purpose="so that the inviter recognises her own invitations",
    retention="120 days after it was sent",
    kind="personal",
)

request_words = table(
    "request_words",
    text("request", "id of the request", key=True),
    text("typed", "the handle that the requester typed, or empty for an invite"),
    purpose="so that the requester recognises her own requests",
    retention="120 days after it was sent",
    kind="personal",
)

# --- secret ---------------------------------------------------------------------------------------

invites = table(
    "invites",
    data("token_hash", "SHA-256 of the token in the link", key=True),
    text("account", "who made it"),
    number("made_ms", "when"),
    number("expires_ms", "until when it works"),
    number("used_ms", "when it was used", null=True),
    Index("invites_by_account", "account"),
    purpose="links that let one person ask, once",
    retention="7 days",
    kind="secret",
)

group_links = table(
    "group_links",
    data("token_hash", "SHA-256 of the token in the link", key=True),
    text("link", "id by which admins see and revoke it"),
    text("room", "to which group it leads"),
    text("made_by", "which admin made it"),
    number("made_ms", "when"),
    number("expires_ms", "until when it works; the moment of its revocation once it is revoked"),
    number("joined", "how many came by it"),
    Index("group_links_by_room", "room"),
    purpose="links that lead into a group",
    retention="30 days",
    kind="secret",
)

# --- operational ----------------------------------------------------------------------------------

joins = table(
    "joins",
    serial("join", "order"),
    text("account", "who made a group, or opened a group's link to come in"),
    number("made", "1 for a group that she made"),
    number("at_ms", "when"),
    Index("joins_by_account", "account", "at_ms"),
    purpose="how many groups somebody makes, or joins by link, in a day",
    retention="24 hours",
    kind="operational",
)

refusals = table(
    "refusals",
    text("account", "who was refused", key=True),
    text("rule", "by which rule", key=True),
    text("decision", "the recorded decision"),
    number("at_ms", "when"),
    purpose="one record for a limit that somebody runs into again and again",
    retention="24 hours",
    kind="operational",
)

blobs = table(
    "blobs",
    text("blob", "its id, 128 random bits; who knows it may read it", key=True),
    text("account", "who uploads it"),
    number("size", "bytes of the whole ciphertext, a bucket"),
    number("received", "bytes that are durable"),
    number("created_ms", "when the upload began"),
    number("touched_ms", "when bytes came last"),
    number("complete_ms", "when it was complete; empty before", null=True),
    number("expires_ms", "when it is removed"),
    Index("blobs_by_account", "account"),
    Index("blobs_by_expiry", "expires_ms"),
    purpose="the ciphertexts of attachments: whose they are and how far they came, never what, for whom, or who reads",
    retention="30 days; an unfinished one 24 hours after its last bytes",
    kind="operational",
)

blob_removals = table(
    "blob_removals",
    text("blob", "its id", key=True),
    purpose="ciphertexts whose bytes are still to be removed from where they lie",
    retention="minutes, until they are gone",
    kind="operational",
)

blob_holds = table(
    "blob_holds",
    text("blob", "its id", key=True),
    text("holder", "what needs it: an exhibit of a report", key=True),
    text("account", "who uploaded it; empty for what was held before this was written down"),
    number("size", "bytes of the whole ciphertext"),
    Index("blob_holds_by_holder", "holder"),
    Index("blob_holds_by_account", "account"),
    purpose="ciphertexts that a participant reported: their bytes stay, readable for reviewers alone",
    retention="as long as the evidence of the case",
    kind="operational",
)

heads = table(
    "heads",
    text("room", "id of the room", key=True),
    number("epoch", "of the room's group; empty before its first commit", null=True),
    number("room_pos", "position of the last commit or message"),
    number("room_seq", "number of the last message"),
    number("last_ms", "its accepted time; time never runs backwards in a room"),
    data("group_info", "the group as its members' last commit left it, public parts", null=True),
    purpose="the next position in every room",
    retention="life of the room",
    kind="operational",
)

key_packages = table(
    "key_packages",
    data("ref", "KeyPackageRef", key=True),
    text("device", "whose it is"),
    text("account", "the device's account"),
    data("mls_key", "the device's certified key in it"),
    data("package", "the key package; empty once issued", null=True),
    number("last_resort", "1 for the one that may be used again"),
    number("not_after_ms", "when it expires"),
    number("issued_ms", "when it was issued", null=True),
    Index("key_packages_by_device", "device", "issued_ms"),
    purpose="so that a device can be added to a room while it is away; each is issued once",
    retention="until it expires, at most 90 days",
    kind="operational",
)

grants = table(
    "grants",
    serial("grant", "order of issue"),
    data("ref", "KeyPackageRef that was issued"),
    text("room", "for this room only"),
    text("requester", "to this account"),
    text("requester_device", "and this device only"),
    text("account", "whose key package it is"),
    text("device", "of which device"),
    number("at_ms", "when"),
    number("until_ms", "until when a commit may use it"),
    number("used", "1 once a commit used it"),
    Index("grants_by_ref", "ref", "room"),
    Index("grants_by_requester", "requester", "at_ms"),
    Index("grants_by_device", "device", "requester", "at_ms"),
    purpose="which key package was issued to whom for which room",
    retention="2 days",
    kind="operational",
)

bodies = table(
    "bodies",
    text("room", "id of the room", key=True),
    number("room_pos", "position in the room", key=True),
    number("kind", "1 message, 2 commit, 3 welcome", key=True),
    data("body", "the MLSMessage, opaque"),
    number("at_ms", "when it was accepted"),
    number("room_seq", "message number", null=True),
    number("hub_key_id", "which key franked it", null=True),
    data("frank", "the server's MAC", null=True),
    data("proof", "the server's signature, or which leaf of which batch it signed", null=True),
    purpose="what still has to be delivered, once for all devices",
    retention="until every device has it, at most 30 days",
    kind="operational",
)

counters = table(
    "counters",
    text("counter", "what is counted: mails", key=True),
    number("given", "the last number that was given"),
    purpose="numbers that are never given again",
    retention="life of the server",
    kind="operational",
)

mailbox = table(
    "mailbox",
    text("device", "for which device", key=True),
    number("mail", "id of the mail, never used again", key=True),
    number("kind", "1 message, 2 commit, 3 welcome, 4 roster"),
    text("room", "id of the room; empty for a roster", null=True),
    number("room_pos", "position in the room; 0 for a roster"),
    text("about", "for a roster: the account whose devices changed, or the group whose roster did", null=True),
    number("at_ms", "since when it waits"),
    Index("mailbox_by_place", "room", "room_pos", "kind"),
    Index("mailbox_rosters", "at_ms", sqlite_where=literal_column("kind") == _A_ROSTER),
    purpose="what each device has not yet said it has",
    retention="until acknowledged, at most 30 days",
    kind="operational",
    by_key=True,
)

answers = table(
    "answers",
    text("device", "which device submitted", key=True),
    data("submit_key", "its idempotency key", key=True),
    number("turn", "counts its accepted submissions"),
    number("room_pos", "the answer: position"),
    number("at_ms", "accepted time"),
    number("room_seq", "message number", null=True),
    number("hub_key_id", "which key franked it", null=True),
    data("frank", "the server's MAC", null=True),
    data("proof", "the server's signature, or which leaf of which batch it signed", null=True),
    purpose="a repeated submission gets the first answer",
    retention="the last 256 of each device, a few more for a while; none is used after 31 days",
    kind="operational",
    by_key=True,
)

batches = table(
    "batches",
    serial("batch", "counts commit batches that were signed as one"),
    number("at_ms", "when"),
    data("leaves", "SHA-256 of what was signed for each message, 32 bytes each"),
    data("signature", "the server's signature over their Merkle root"),
    purpose="the proof of every message of a batch, made again when it is asked for",
    retention="32 days, longer than any message that refers to it waits",
    kind="operational",
)

envelopes = table(
    "envelopes",
    serial("envelope", "order of acceptance"),
    text("room", "id of the room"),
    number("room_seq", "message number"),
    text("account", "who sent it"),
    number("at_ms", "when"),
    number("size_bucket", "upper bound of its size in bytes: a power of two"),
    purpose="how often people write, for counters of abuse",
    retention="14 days",
    kind="operational",
)

pushes = table(
    "pushes",
    text("device", "which device asked to be woken", key=True),
    text("account", "whose device it is"),
    text("endpoint", "the address that its browser's push service gave it"),
    data("p256dh", "its public key: a wake-up is encrypted to it"),
    data("auth", "the secret that goes with it"),
    text("quiet", "rooms that must not wake it, one id a line"),
    number("renewed_ms", "when it last asked"),
    Index("pushes_by_renewal", "renewed_ms"),
    purpose="to wake a device that is not connected; a wake-up carries nothing",
    retention="until it signs out or says so, its push service forgets it, or 60 days of silence",
    kind="secret",
)

writers = table(
    "writers",
    text("room", "id of the room", key=True),
    text("account", "who has written to it", key=True),
    purpose="a first message is an event, later ones are not",
    retention="life of the room",
    kind="projection",
)

# --- requests -------------------------------------------------------------------------------------

_r = requests.c
_OPEN = and_(_r.outcome.is_(None), _r.cancelled_ms.is_(None))
ASKED = select(_r.request).where(and_(_r.target == bindparam("whom"), _r.requester == bindparam("by"))).limit(1)
REQUEST = select(requests).where(_r.request == bindparam("id"))
REQUESTS_SINCE = select(
    func.count().label("sent"),
    func.min(_r.sent_ms).label("first_ms"),
).where(and_(_r.requester == bindparam("who"), _r.sent_ms > bindparam("since")))
UNANSWERED = (
    select(func.count())
    .select_from(requests)
    .where(
        and_(
            _r.requester == bindparam("who"),
            _r.sent_ms > bindparam("since"),
            _r.cancelled_ms.is_(None),
            func.coalesce(_r.outcome, "") != "accepted",
        )
    )
)
OPEN_BETWEEN = (
    select(requests)
    .where(and_(_r.requester == bindparam("asker"), _r.target == bindparam("asked"), _OPEN))
    .order_by(_r.sent_ms)
)
DECLINED_AT = select(func.max(_r.closed_ms)).where(
    and_(_r.requester == bindparam("asker"), _r.target == bindparam("asked"), _r.outcome == "declined")
)
RECEIVED = (
    select(requests)
    .where(and_(_r.target == bindparam("who"), _OPEN, _r.sent_ms > bindparam("since")))
    .order_by(_r.sent_ms.desc())
    .limit(bindparam("most"))
)
SENT = (
    select(requests, request_words.c.typed)
    .outerjoin(request_words, request_words.c.request == _r.request)
    .where(and_(_r.requester == bindparam("who"), _r.sent_ms > bindparam("since"), _r.cancelled_ms.is_(None)))
    .order_by(_r.sent_ms.desc())
    .limit(bindparam("most"))
)
SAME_WORDS = (
    select(_r.request, _r.target)
    .join(request_words, request_words.c.request == _r.request)
    .where(
        and_(
            _r.requester == bindparam("who"),
            request_words.c.typed == bindparam("words"),
            _r.cancelled_ms.is_(None),
            func.coalesce(_r.outcome, "") != "accepted",
            _r.sent_ms > bindparam("since"),
        )
    )
)
DUE = (
    select(_r.request, _r.requester, _r.target)
    .where(and_(_OPEN, _r.sent_ms <= bindparam("before")))
    .order_by(_r.sent_ms)
    .limit(bindparam("most"))
)
CLOSE = (
    update(requests)
    .where(and_(_r.request == bindparam("id"), _r.outcome.is_(None)))
    .values(outcome=bindparam("what"), closed_ms=bindparam("at"), room=bindparam("in_room"))
)
CANCEL = update(requests).where(_r.request == bindparam("id")).values(cancelled_ms=bindparam("at"))
CLOSE_BETWEEN = (
    update(requests)
    .where(
        and_(
            _r.outcome.is_(None),
            or_(
                and_(_r.requester == bindparam("a"), _r.target == bindparam("b")),
                and_(_r.requester == bindparam("b"), _r.target == bindparam("a")),
            ),
        )
    )
    .values(outcome=bindparam("what"), closed_ms=bindparam("at"))
)
OPEN_WITH = select(requests).where(
    and_(or_(_r.requester == bindparam("who"), _r.target == bindparam("who")), _r.target.is_not(None), _OPEN)
)
# By when it was sent, whatever became of it: its requester must not see a no by what is forgotten sooner.
FORGET_REQUESTS = delete(requests).where(
    and_(_r.sent_ms < bindparam("before"), func.coalesce(_r.closed_ms, _r.cancelled_ms).is_not(None))
)
FORGET_WORDS = delete(request_words).where(
    not_(exists(select(_r.request).where(_r.request == request_words.c.request)))
)

REFUSAL = select(refusals).where(and_(refusals.c.account == bindparam("who"), refusals.c.rule == bindparam("by_rule")))
REFUSAL_FORGET = delete(refusals).where(
    and_(refusals.c.account == bindparam("who"), refusals.c.rule == bindparam("by_rule"))
)
REFUSALS_OLD = delete(refusals).where(refusals.c.at_ms < bindparam("before"))

INVITE = select(invites).where(
    and_(
        invites.c.token_hash == bindparam("hashed"),
        invites.c.used_ms.is_(None),
        invites.c.expires_ms > bindparam("now"),
    )
)
INVITES_OPEN = (
    select(func.count())
    .select_from(invites)
    .where(
        and_(
            invites.c.account == bindparam("who"),
            invites.c.used_ms.is_(None),
            invites.c.expires_ms > bindparam("now"),
        )
    )
)
INVITE_USED = update(invites).where(invites.c.token_hash == bindparam("hashed")).values(used_ms=bindparam("at"))
INVITES_OLD = delete(invites).where(invites.c.expires_ms < bindparam("before"))

# --- rooms ----------------------------------------------------------------------------------------

ROOM = select(rooms).where(rooms.c.room == bindparam("id"))
ROOM_OF = select(rooms).where(and_(rooms.c.one == bindparam("a"), rooms.c.other == bindparam("b")))
ROOMS_WITH = (
    select(rooms)
    .where(or_(rooms.c.one == bindparam("who"), rooms.c.other == bindparam("who")))
    .order_by(rooms.c.created_ms)
)
HEAD = select(heads).where(heads.c.room == bindparam("id"))
HEADS_LEAP = update(heads).values(
    room_pos=heads.c.room_pos + bindparam("by"), room_seq=heads.c.room_seq + bindparam("by")
)
HEAD_NUMBERS = select(heads.c.epoch, heads.c.room_pos, heads.c.room_seq, heads.c.last_ms).where(
    heads.c.room == bindparam("id")
)
HEAD_MOVED = (
    update(heads)
    .where(heads.c.room == bindparam("id"))
    .values(room_pos=bindparam("pos"), room_seq=bindparam("seq"), last_ms=bindparam("at"))
)
HEAD_EPOCH = (
    update(heads)
    .where(heads.c.room == bindparam("id"))
    .values(
        epoch=bindparam("new_epoch"),
        room_pos=bindparam("pos"),
        last_ms=bindparam("at"),
        group_info=bindparam("info"),
    )
)
LEAVES = select(leaves).where(leaves.c.room == bindparam("id")).order_by(leaves.c.device)
LEAF_GONE = delete(leaves).where(and_(leaves.c.room == bindparam("id"), leaves.c.device == bindparam("which")))
LEAVES_DUE = (
    update(leaves).where(and_(leaves.c.room == bindparam("id"), leaves.c.account == bindparam("who"))).values(live=0)
)
LEAF_SIGNED_OUT = update(leaves).where(leaves.c.device == bindparam("which")).values(live=0)
MEMBERSHIPS = (
    select(memberships)
    .where(and_(memberships.c.room == bindparam("id"), memberships.c.account == bindparam("who")))
    .order_by(memberships.c.first_seq)
)
MEMBERSHIP_ENDED = (
    update(memberships)
    .where(
        and_(
            memberships.c.room == bindparam("id"),
            memberships.c.account == bindparam("who"),
            memberships.c.last_seq.is_(None),
        )
    )
    .values(last_seq=bindparam("seq"), ended_ms=bindparam("at"))
)
MEMBERSHIP_EMPTY = delete(memberships).where(
    and_(
        memberships.c.room == bindparam("id"),
        memberships.c.account == bindparam("who"),
        memberships.c.last_seq < memberships.c.first_seq,
    )
)
FORGET_MEMBERSHIPS = delete(memberships).where(memberships.c.ended_ms < bindparam("before"))
MEMBERSHIP_OPEN = select(memberships.c.account).where(
    and_(memberships.c.room == bindparam("id"), memberships.c.last_seq.is_(None))
)
_with = memberships.alias("with_whom")
SHARED_ROOM = (
    select(memberships.c.room)
    .join(_with, _with.c.room == memberships.c.room)
    .where(and_(memberships.c.account == bindparam("me"), _with.c.account == bindparam("whom")))
    .limit(1)
)
WRITER = select(writers.c.room).where(and_(writers.c.room == bindparam("id"), writers.c.account == bindparam("who")))

# --- groups ---------------------------------------------------------------------------------------

_p = participants.c
_i = invitations.c
_INSIDE = _p.role != "joiner"
GROUP = select(groups).where(groups.c.room == bindparam("id"))
GROUP_RULES = (
    update(groups)
    .where(groups.c.room == bindparam("id"))
    .values(posting=bindparam("who_writes"), approval=bindparam("waits"))
)
GROUP_PROFILE = select(group_profiles).where(group_profiles.c.room == bindparam("id"))
GROUP_PROFILE_SET = (
    update(group_profiles)
    .where(group_profiles.c.room == bindparam("id"))
    .values(name=bindparam("new_name"), description=bindparam("new_description"))
)
GROUP_PHOTO = select(group_photos).where(group_photos.c.room == bindparam("id"))
GROUP_PHOTO_VERSION = select(group_photos.c.version).where(
    and_(group_photos.c.room == bindparam("id"), group_photos.c.media_type.is_not(None))
)
GROUP_PHOTO_SET = (
    update(group_photos)
    .where(group_photos.c.room == bindparam("id"))
    .values(version=group_photos.c.version + 1, media_type=bindparam("new_type"), photo=bindparam("new_photo"))
)
GROUP_PHOTO_GONE = delete(group_photos).where(group_photos.c.room == bindparam("id"))
GROUP_ROLE = (
    select(_p.role, groups.c.posting)
    .join(groups, groups.c.room == _p.room)
    .where(and_(_p.room == bindparam("id"), _p.account == bindparam("who")))
)
GROUPS_OF = (
    select(groups, _p.role)
    .join(participants, _p.room == groups.c.room)
    .where(and_(_p.account == bindparam("who"), _INSIDE))
    .order_by(groups.c.created_ms, groups.c.room)
)
GROUPS_COUNT = select(func.count()).select_from(participants).where(_p.account == bindparam("who"))
STANDINGS_OF = select(participants).where(_p.account == bindparam("who"))
PARTICIPANT = select(participants).where(and_(_p.room == bindparam("id"), _p.account == bindparam("who")))
PARTICIPANTS = select(participants).where(_p.room == bindparam("id")).order_by(_p.since_ms, _p.account)
ACCOUNTS_INSIDE = select(_p.account).where(and_(_p.room == bindparam("id"), _INSIDE)).order_by(_p.account)
DEVICES_INSIDE = (
    select(people.device_keys.c.device, people.device_keys.c.account, people.device_keys.c.mls_key)
    .join(participants, _p.account == people.device_keys.c.account)
    .where(and_(_p.room == bindparam("id"), _INSIDE))
    .order_by(people.device_keys.c.device)
)
KNOWN_INSIDE = (
    select(func.count())
    .select_from(participants)
    .where(
        and_(
            _p.room == bindparam("id"),
            _INSIDE,
            exists(
                select(people.connections.c.one).where(
                    and_(
                        people.connections.c.ended_ms.is_(None),
                        or_(
                            and_(people.connections.c.one == _p.account, people.connections.c.other == bindparam("me")),
                            and_(people.connections.c.other == _p.account, people.connections.c.one == bindparam("me")),
                        ),
                    )
                )
            ),
        )
    )
)
_fellow = participants.alias("fellow")
FELLOWS = (
    select(_fellow.c.account)
    .join(participants, _p.room == _fellow.c.room)
    .where(and_(_p.account == bindparam("who"), _INSIDE, _fellow.c.role != "joiner"))
    .distinct()
)
FELLOW = (
    select(_p.room)
    .join(_fellow, _p.room == _fellow.c.room)
    .where(
        and_(
            _p.account == bindparam("who"), _INSIDE, _fellow.c.account == bindparam("whom"), _fellow.c.role != "joiner"
        )
    )
    .limit(1)
)
NEVER_IN = select(_p.account).where(
    and_(
        _p.room == bindparam("id"),
        _p.role == "member",
        not_(exists(select(leaves.c.device).where(and_(leaves.c.room == _p.room, leaves.c.account == _p.account)))),
        not_(
            exists(
                select(memberships.c.room).where(
                    and_(memberships.c.room == _p.room, memberships.c.account == _p.account)
                )
            )
        ),
    )
)
ROLE_SET = (
    update(participants)
    .where(and_(_p.room == bindparam("id"), _p.account == bindparam("who")))
    .values(role=bindparam("new_role"))
)
PARTICIPANT_GONE = delete(participants).where(and_(_p.room == bindparam("id"), _p.account == bindparam("who")))
BAN = select(bans).where(and_(bans.c.room == bindparam("id"), bans.c.account == bindparam("who")))
BANS = select(bans).where(bans.c.room == bindparam("id")).order_by(bans.c.since_ms, bans.c.account)
BAN_GONE = delete(bans).where(and_(bans.c.room == bindparam("id"), bans.c.account == bindparam("who")))

_I_OPEN = and_(_i.outcome.is_(None), _i.cancelled_ms.is_(None))
INVITATION = select(invitations).where(_i.invitation == bindparam("id"))
# As inviters see it: whatever became of an invitation unseen, it holds its place until they take it back.
INVITATIONS_SHOWN_OPEN = (
    select(func.count())
    .select_from(invitations)
    .where(
        and_(
            _i.room == bindparam("id"),
            _i.sent_ms > bindparam("since"),
            _i.cancelled_ms.is_(None),
            func.coalesce(_i.outcome, "") != "accepted",
        )
    )
)
INVITED_SINCE = (
    select(func.count())
    .select_from(invitations)
    .where(and_(_i.inviter == bindparam("who"), _i.sent_ms > bindparam("since")))
)
INVITED_OPEN = select(_i.invitation).where(and_(_i.room == bindparam("id"), _i.target == bindparam("whom"), _I_OPEN))
INVITED_DECLINED = select(func.max(_i.closed_ms)).where(
    and_(_i.room == bindparam("id"), _i.target == bindparam("whom"), _i.outcome == "declined")
)
INVITED_BY = select(_i.invitation).where(and_(_i.target == bindparam("me"), _i.inviter == bindparam("whom"))).limit(1)
INVITATIONS_RECEIVED = (
    select(invitations)
    .where(and_(_i.target == bindparam("who"), _I_OPEN, _i.sent_ms > bindparam("since")))
    .order_by(_i.sent_ms.desc())
    .limit(bindparam("most"))
)
INVITATIONS_SENT = (
    select(invitations, invitation_words.c.typed)
    .outerjoin(invitation_words, invitation_words.c.invitation == _i.invitation)
    .where(
        and_(
            _i.inviter == bindparam("who"),
            _i.sent_ms > bindparam("since"),
            _i.cancelled_ms.is_(None),
        )
    )
    .order_by(_i.sent_ms.desc())
    .limit(bindparam("most"))
)
INVITATIONS_DUE = (
    select(_i.invitation, _i.room)
    .where(and_(_I_OPEN, _i.sent_ms <= bindparam("before")))
    .order_by(_i.sent_ms)
    .limit(bindparam("most"))
)
INVITATION_CLOSE = (
    update(invitations)
    .where(and_(_i.invitation == bindparam("id"), _i.outcome.is_(None)))
    .values(outcome=bindparam("what"), closed_ms=bindparam("at"))
)
INVITATION_CANCEL = update(invitations).where(_i.invitation == bindparam("id")).values(cancelled_ms=bindparam("at"))
# All that their inviter still sees: if what was declined unseen stayed, the rest vanishing would tell.
INVITATIONS_OF_OFFICE = (
    update(invitations)
    .where(
        and_(
            _i.room == bindparam("id"),
            _i.inviter == bindparam("who"),
            _i.cancelled_ms.is_(None),
            func.coalesce(_i.outcome, "") != "accepted",
        )
    )
    .values(cancelled_ms=bindparam("at"))
)
INVITATIONS_BETWEEN = (
    update(invitations)
    .where(
        and_(
            _i.outcome.is_(None),
            or_(
                and_(_i.inviter == bindparam("a"), _i.target == bindparam("b")),
                and_(_i.inviter == bindparam("b"), _i.target == bindparam("a")),
            ),
        )
    )
    .values(outcome=bindparam("what"), closed_ms=bindparam("at"))
)
FORGET_INVITATIONS = delete(invitations).where(
    and_(_i.sent_ms < bindparam("before"), func.coalesce(_i.closed_ms, _i.cancelled_ms).is_not(None))
)
FORGET_INVITATION_WORDS = delete(invitation_words).where(
    not_(exists(select(_i.invitation).where(_i.invitation == invitation_words.c.invitation)))
)

_l = group_links.c
GROUP_LINK = select(group_links).where(and_(_l.token_hash == bindparam("hashed"), _l.expires_ms > bindparam("now")))
GROUP_LINKS = (
    select(group_links)
    .where(and_(_l.room == bindparam("id"), _l.expires_ms > bindparam("now")))
    .order_by(_l.made_ms, _l.link)
)
GROUP_LINK_REVOKED = (
    update(group_links)
    .where(and_(_l.room == bindparam("id"), _l.link == bindparam("which"), _l.expires_ms > bindparam("now")))
    .values(expires_ms=bindparam("now"))
)
GROUP_LINKS_OF_REVOKED = (
    update(group_links)
    .where(and_(_l.room == bindparam("id"), _l.made_by == bindparam("who"), _l.expires_ms > bindparam("now")))
    .values(expires_ms=bindparam("now"))
)
GROUP_LINK_USED = update(group_links).where(_l.token_hash == bindparam("hashed")).values(joined=_l.joined + 1)
GROUP_LINKS_OLD = delete(group_links).where(_l.expires_ms < bindparam("before"))
JOINS_SINCE = (
    select(func.count())
    .select_from(joins)
    .where(
        and_(joins.c.account == bindparam("who"), joins.c.made == bindparam("own"), joins.c.at_ms > bindparam("since"))
    )
)
JOINS_OLD = delete(joins).where(joins.c.at_ms < bindparam("before"))

# --- key packages ---------------------------------------------------------------------------------

_k = key_packages.c
PACKAGE = select(_k.ref, _k.device).where(_k.ref == bindparam("which"))
_USABLE = and_(
    _k.device == bindparam("whose"),
    _k.mls_key == bindparam("certified"),
    _k.issued_ms.is_(None),
    _k.not_after_ms > bindparam("now"),
)
STORED = select(func.count()).select_from(key_packages).where(and_(_USABLE, _k.last_resort == 0))
LAST_RESORT = select(_k.ref, _k.package, _k.not_after_ms).where(and_(_USABLE, _k.last_resort == 1)).limit(1)
NEXT_PACKAGE = (
    select(_k.ref, _k.package, _k.not_after_ms)
    .where(and_(_USABLE, _k.last_resort == 0))
    .order_by(_k.not_after_ms, _k.ref)
    .limit(1)
)
ISSUED = update(key_packages).where(_k.ref == bindparam("which")).values(issued_ms=bindparam("at"), package=None)
UNISSUED_GONE = delete(key_packages).where(and_(_k.package.is_not(None), _k.last_resort == 0))
LAST_RESORT_GONE = delete(key_packages).where(and_(_k.device == bindparam("whose"), _k.last_resort == 1))
PACKAGES_OF_DEVICE_GONE = delete(key_packages).where(_k.device == bindparam("whose"))
PACKAGES_OF_ACCOUNT_GONE = delete(key_packages).where(_k.account == bindparam("whose"))
PACKAGES_EXPIRED = delete(key_packages).where(_k.not_after_ms <= bindparam("now"))

GRANT = select(grants).where(
    and_(
        grants.c.ref == bindparam("which"),
        grants.c.room == bindparam("id"),
        grants.c.requester_device == bindparam("by_device"),
        grants.c.used == 0,
        grants.c.until_ms > bindparam("now"),
    )
)
GRANT_USED = (
    update(grants)
    .where(
        and_(
            grants.c.ref == bindparam("which"),
            grants.c.room == bindparam("id"),
            grants.c.requester_device == bindparam("by_device"),
        )
    )
    .values(used=1)
)
CLAIMED_BY = (
    select(func.count())
    .select_from(grants)
    .where(and_(grants.c.requester == bindparam("who"), grants.c.at_ms > bindparam("since")))
)
CLAIMED_OF = (
    select(func.count())
    .select_from(grants)
    .where(
        and_(
            grants.c.device == bindparam("whose"),
            grants.c.requester == bindparam("who"),
            grants.c.at_ms > bindparam("since"),
        )
    )
)
GRANTS_OLD = delete(grants).where(grants.c.at_ms < bindparam("before"))

# --- delivery -------------------------------------------------------------------------------------

_m = mailbox.c
_b = bodies.c
MAIL = (
    select(
        _m.mail,
        _m.kind,
        _m.room,
        _m.room_pos,
        _m.about,
    )
    .where(and_(_m.device == bindparam("whose"), _m.mail > bindparam("after")))
    .order_by(_m.mail)
    .limit(bindparam("most"))
)
BODY = select(_b.body, _b.at_ms, _b.room_seq, _b.hub_key_id, _b.frank, _b.proof).where(
    and_(_b.room == bindparam("id"), _b.room_pos == bindparam("pos"), _b.kind == bindparam("what"))
)
_PLACES = select(_b.room_pos).where(_b.room == bindparam("id")).distinct()
PLACES_WAITING = select(func.count()).select_from(_PLACES.limit(bindparam("most")).subquery())
PLACE_BACK = _PLACES.order_by(_b.room_pos.desc()).limit(1).offset(bindparam("back"))
LOOKED_AT = 1000
"""Mails of a device that are looked through for those of one room: more than may be under way at a time."""


def _first_of_room(which: ColumnElement[bool]) -> Select[Any, Any]:
    """Of the mails of a device: how many were looked at, and the first position in a room, which is the smallest."""
    near = select(_m.room, _m.room_pos).where(which).order_by(_m.mail).limit(LOOKED_AT).subquery()
    first = func.min(case((near.c.room == bindparam("id"), near.c.room_pos)))
    return select(func.count().label("looked_at"), first.label("first")).select_from(near)


WAITS_BEFORE = select(_m.mail).where(and_(_m.device == bindparam("whose"), _m.mail < bindparam("before"))).limit(1)
FIRST_AFTER = _first_of_room(and_(_m.device == bindparam("whose"), _m.mail > bindparam("after")))
FIRST_BEFORE = _first_of_room(and_(_m.device == bindparam("whose"), _m.mail < bindparam("before")))
MAIL_ROW = select(_m.mail, _m.kind, _m.room, _m.room_pos).where(
    and_(_m.mail == bindparam("which"), _m.device == bindparam("whose"))
)
MAIL_GONE = delete(mailbox).where(and_(_m.device == bindparam("whose"), _m.mail == bindparam("which")))
MAILS_GONE = delete(mailbox).where(
    and_(_m.room == bindparam("id"), _m.room_pos == bindparam("pos"), _m.kind == bindparam("what"))
)
MAILS_NUMBERED = (
    insert_or(counters)
    .values(counter="mails", given=bindparam("count"))
    .on_conflict_do_update(index_elements=["counter"], set_={"given": counters.c.given + bindparam("count")})
    .returning(counters.c.given)
)
_WAITING = (
    select(_m.device, _m.room_pos, _m.kind)
    .where(_m.room == bindparam("id"))
    .order_by(_m.room_pos, _m.kind)
    .limit(bindparam("most"))
    .subquery()
)
KINDS = 8
"""More than there are kinds of mail: position and kind in one number, of which there is a least one."""
FIRST_WAITING = select(
    _WAITING.c.device,
    func.min(_WAITING.c.room_pos * KINDS + _WAITING.c.kind).label("first"),
    func.max(_WAITING.c.room_pos).label("last"),
    func.count().label("mails"),
).group_by(_WAITING.c.device)
WAITING_SINCE = select(_m.device).where(and_(_m.room == bindparam("id"), _m.room_pos <= bindparam("pos"))).distinct()
WAITING_PLACES = select(_m.mail, _m.kind, _m.room, _m.room_pos).where(_m.device == bindparam("whose"))
OLD_ROSTERS = (
    select(_m.device, _m.mail)
    .where(and_(_m.kind == _A_ROSTER, _m.at_ms < bindparam("before")))
    .limit(bindparam("most"))
)
ROSTER_GONE = delete(mailbox).where(
    and_(
        _m.room.is_(None),
        _m.room_pos == 0,
        _m.kind == ROSTER,
        _m.device == bindparam("whose"),
        _m.about == bindparam("whom"),
    )
)
MAILBOX_GONE = delete(mailbox).where(_m.device == bindparam("whose"))
BODY_GONE = delete(bodies).where(
    and_(
        _b.room == bindparam("id"),
        _b.room_pos == bindparam("pos"),
        _b.kind == bindparam("what"),
        not_(
            exists(
                select(_m.mail).where(
                    and_(_m.room == bindparam("id"), _m.room_pos == bindparam("pos"), _m.kind == bindparam("what"))
                )
            )
        ),
    )
)
# A row that comes gets a rowid behind all there are.
OLDEST_BODIES = (
    select(_b.room, _b.room_pos, _b.kind, _b.at_ms).order_by(literal_column("bodies.rowid")).limit(bindparam("most"))
)

ANSWER = select(answers).where(and_(answers.c.device == bindparam("whose"), answers.c.submit_key == bindparam("key_")))
ANSWERED = select(answers.c.turn).where(
    and_(answers.c.device == bindparam("whose"), answers.c.submit_key == bindparam("key_"))
)
ANSWER_GONE = delete(answers).where(
    and_(answers.c.device == bindparam("whose"), answers.c.submit_key == bindparam("key_"))
)
LAST_TURN = select(func.max(answers.c.turn)).where(answers.c.device == bindparam("whose"))
ANSWERS_OLD = delete(answers).where(and_(answers.c.device == bindparam("whose"), answers.c.turn <= bindparam("up_to")))
ANSWERS_GONE = delete(answers).where(answers.c.device == bindparam("whose"))

BATCH = select(batches.c.leaves, batches.c.signature).where(batches.c.batch == bindparam("which"))
OLDEST_BATCHES = select(batches.c.batch, batches.c.at_ms).order_by(batches.c.batch).limit(bindparam("most"))
BATCH_GONE = delete(batches).where(batches.c.batch == bindparam("which"))

ENVELOPES_AFTER = (
    select(envelopes)
    .where(envelopes.c.envelope > bindparam("after"))
    .order_by(envelopes.c.envelope)
    .limit(bindparam("most"))
)
OLDEST_ENVELOPES = (
    select(envelopes.c.envelope, envelopes.c.at_ms).order_by(envelopes.c.envelope).limit(bindparam("most"))
)
ENVELOPE_GONE = delete(envelopes).where(envelopes.c.envelope == bindparam("which"))

# --- blobs ----------------------------------------------------------------------------------------

_l = blobs.c
BLOB = select(blobs).where(_l.blob == bindparam("id"))
BLOBS_OF = select(blobs).where(_l.account == bindparam("who")).order_by(_l.created_ms)
BLOBS_HELD = select(
    func.coalesce(func.sum(_l.size), 0).label("held"),
    func.coalesce(func.sum(case((_l.complete_ms.is_(None), 1), else_=0)), 0).label("unfinished"),
).where(and_(_l.account == bindparam("who"), _l.expires_ms > bindparam("now")))
_h = blob_holds.c
_KEPT = (
    select(_h.blob, _h.size)
    .where(_h.account == bindparam("who"), ~select(_l.blob).where(_l.blob == _h.blob).exists())
    .distinct()
    .subquery()
)
BYTES_KEPT = select(func.coalesce(func.sum(_KEPT.c.size), 0))
"""Held bytes whose rows are gone, each blob once: a row still counts itself."""
BLOB_RECEIVED = (
    update(blobs)
    .where(_l.blob == bindparam("id"))
    .values(
        received=bindparam("length"),
        touched_ms=bindparam("now"),
        complete_ms=bindparam("done"),
        expires_ms=bindparam("until"),
    )
)
BLOB_GONE = delete(blobs).where(_l.blob == bindparam("id"))
BLOBS_EXPIRED = select(_l.blob).where(_l.expires_ms <= bindparam("now")).limit(bindparam("most"))
BLOBS_COMPLETE = select(_l.blob, _l.size).where(_l.complete_ms.is_not(None), _l.expires_ms > bindparam("now"))
BLOBS_KEPT = select(blob_holds.c.blob, blob_holds.c.size).distinct()
BLOBS_TO_REMOVE = select(blob_removals.c.blob).limit(bindparam("most"))
BLOB_REMOVED = delete(blob_removals).where(blob_removals.c.blob == bindparam("id"))

HOLD = select(blob_holds.c.blob).where(blob_holds.c.blob == bindparam("id")).limit(1)
HOLDS_OF = select(blob_holds.c.blob).where(blob_holds.c.holder == bindparam("by"))
HOLDS_GONE = delete(blob_holds).where(blob_holds.c.holder == bindparam("by"))

# --- push -----------------------------------------------------------------------------------------

PUSHES = select(pushes)
PUSH = select(pushes).where(pushes.c.device == bindparam("whose"))
PUSH_GONE = delete(pushes).where(pushes.c.device == bindparam("whose"))
PUSH_QUIET = update(pushes).where(pushes.c.device == bindparam("whose")).values(quiet=bindparam("rooms_"))
PUSH_AT = delete(pushes).where(and_(pushes.c.device == bindparam("whose"), pushes.c.endpoint == bindparam("at_")))
PUSHES_OLD = select(pushes.c.device).where(pushes.c.renewed_ms < bindparam("before")).limit(bindparam("most"))
