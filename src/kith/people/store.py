"""The tables of this room and the statements on them, and nothing else.

Projections (accounts, devices, connections, blocks, hushes, measures) hold what events say and are rebuilt from
them. Names, keys, addresses and secrets stand in tables of their own, so that they can be erased.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Index, and_, bindparam, case, delete, func, null, or_, select, update

from kith.ledger.schema import data, number, table, text

# --- projections ----------------------------------------------------------------------------------

accounts = table(
    "accounts",
    text("account", "id of the account", key=True),
    text("band", "age band: 13-15, 16-17, 18+ or unknown"),
    number("band_ends_ms", "first day of the month after the next band begins", null=True),
    number("band_confirmed", "1 unless the band was corrected and nobody has reviewed it yet"),
    number("created_ms", "when it was made"),
    text("requests", "who may send requests: everyone or nobody"),
    number("read_receipts", "1 when others may see what was read, and she may see it of them"),
    number("typing", "1 when others may see that she is writing, and she may see it of them"),
    text("terms_version", "the version of terms and standards accepted last"),
    number("has_identity", "1 once an identity key is stored"),
    purpose="the account itself: its age band, controls and age",
    retention="life of the account + 30 days",
    kind="projection",
)

devices = table(
    "devices",
    text("device", "id of the device", key=True),
    text("account", "whose it is"),
    number("created_ms", "when it signed in"),
    number("registered_ms", "when its key was certified and listed", null=True),
    number("removed_ms", "when it was signed out", null=True),
    Index("devices_by_account", "account", "removed_ms"),
    purpose="which devices an account has",
    retention="life of the account + 30 days",
    kind="projection",
)

connections = table(
    "connections",
    text("one", "the smaller account id", key=True),
    text("other", "the larger account id", key=True),
    number("since_ms", "when both had agreed"),
    number("ended_ms", "when it was over", null=True),
    text("room", "their direct room", null=True),
    Index("connections_by_other", "other"),
    purpose="who agreed to be connected with whom, without which nobody can be reached",
    retention="life of both accounts",
    kind="projection",
)

blocks = table(
    "blocks",
    text("by", "who blocked", key=True),
    text("account", "who is blocked", key=True),
    number("since_ms", "since when"),
    purpose="who does not want to be reached by whom",
    retention="until lifted, or life of the blocking account",
    kind="projection",
)

hushes = table(
    "hushes",
    text("by", "who restricted somebody", key=True),
    text("account", "whom", key=True),
    number("since_ms", "since when"),
    purpose="whose messages wait for a person without a word; what screens call restricting, and no measure",
    retention="until lifted, or life of the account that chose it",
    kind="projection",
)

measures = table(
    "measures",
    text("measure", "id of the measure", key=True),
    text("account", "whom it concerns"),
    text("what", "warning, daily_limit, no_new_conversations or suspended"),
    text("rule", "which rule or standard asked for it"),
    text("because", "the reason, as the person reads it"),
    text("source", "rule:<id> or case:<id>"),
    text("decision", "the recorded decision"),
    number("since_ms", "when it began"),
    number("until_ms", "when it ends; empty = until reversed", null=True),
    number("most", "new conversations a day, for daily_limit", null=True),
    number("reversed_ms", "when it was taken back", null=True),
    text("reversed_because", "why it was taken back", null=True),
    text("appeal", "id of the appeal", null=True),
    text("appeal_state", "open, upheld or overturned", null=True),
    Index("measures_by_account", "account", "since_ms"),
    purpose="restrictions: what, why, until when, and what became of an appeal",
    retention="life of the account",
    kind="projection",
)

key_log = table(
    "key_log",
    number("position", "place in the log, from 0", key=True),
    number("at_ms", "when it was appended; never before the entry above it"),
    data("prefix_root", "root of the prefix tree of committed keys after this entry"),
    data("search_key", "hash of account and version that this entry added; empty when it only says that time passed"),
    data("commitment", "what it committed to; empty likewise"),
    purpose="the key log: nobody can be shown other keys than the others without two logs being signed",
    retention="life of the server; without its opening an entry says nothing about anybody",
    kind="projection",
)

key_log_nodes = table(
    "key_log_nodes",
    number("level", "height of a complete subtree of the log", key=True),
    number("place", "its number among those of that height", key=True),
    data("hash", "its value"),
    purpose="proofs that the key log only grew",
    retention="life of the server",
    kind="projection",
)

key_tree = table(
    "key_tree",
    data("hash", "value of a node of the prefix tree, of any time", key=True),
    number("is_leaf", "1 for a committed version, 0 for two subtrees"),
    data("one", "search key, or the left subtree"),
    data("other", "commitment, or the right subtree"),
    purpose="proofs of which keys the log held at each of its entries",
    retention="life of the server",
    kind="projection",
)

key_versions = table(
    "key_versions",
    text("account", "whose keys", key=True),
    number("version", "counts from 0; never replaced", key=True),
    number("position", "the log entry that committed to it"),
    purpose="which versions of an account's keys the log holds",
    retention="life of the account + 30 days",
    kind="projection",
)

# --- personal: erasable ---------------------------------------------------------------------------

key_openings = table(
    "key_openings",
    text("account", "whose keys", key=True),
    number("version", "which version", key=True),
    data("opening", "random bytes; without them its commitment reveals nothing"),
    data("value", "identity key, device list and its signature, as they were"),
    purpose="so that a person and her contacts can check what the key log says about her",
    retention="life of the account + 30 days; deleting it leaves every proof valid",
    kind="personal",
)

profiles = table(
    "profiles",
    text("account", "id of the account", key=True),
    text("handle", "the name others type to reach this person"),
    text("skeleton", "what the handle looks like, so that no other looks the same"),
    text("display_name", "the name others see"),
    Index("profiles_by_handle", "handle", unique=True),
    Index("profiles_by_skeleton", "skeleton", unique=True),
    purpose="the names of an account",
    retention="life of the account + 30 days",
    kind="personal",
)

device_names = table(
    "device_names",
    text("device", "id of the device", key=True),
    text("name", "what its owner calls it"),
    number("seen_ms", "when it was last connected, to the hour"),
    purpose="so that people recognise their devices",
    retention="until the device is removed",
    kind="personal",
)

device_keys = table(
    "device_keys",
    text("device", "id of the device", key=True),
    text("account", "whose it is"),
    data("mls_key", "its public MLS signature key"),
    number("added_ms", "when its owner certified it, as signed"),
    data("certificate", "the account key's signature on it"),
    Index("device_keys_by_account", "account"),
    purpose="public keys by which others verify devices",
    retention="until the device is removed or the identity key is replaced",
    kind="personal",
)

identities = table(
    "identities",
    text("account", "id of the account", key=True),
    data("aik", "the public identity key"),
    number("list_version", "version of the newest device list; only grows"),
    data("device_list", "the newest device list, as signed", null=True),
    data("signature", "the identity key's signature on it", null=True),
    purpose="public keys by which others verify the account and its devices",
    retention="life of the account + 30 days",
    kind="personal",
)

sign_ins = table(
    "sign_ins",
    text("account", "who"),
    number("at_ms", "when"),
    text("way", "sign-up, sign-in or recovery"),
    text("address", "IP address"),
    text("agent", "what the program called itself"),
    Index("sign_ins_by_account", "account", "at_ms"),
    Index("sign_ins_by_time", "at_ms"),
    purpose="takeover defence and basic subscriber information",
    retention="90 days",
    kind="personal",
)

# --- secret ---------------------------------------------------------------------------------------

passwords = table(
    "passwords",
    text("account", "id of the account", key=True),
    text("hash", "Argon2id hash of the password"),
    number("changed_ms", "when it was set"),
    purpose="signing in",
    retention="life of the account",
    kind="secret",
)

recovery = table(
    "recovery",
    text("account", "id of the account", key=True),
    data("sealed_aik", "the identity key's private half, sealed under the recovery code"),
    data("auth_hash", "SHA-256 of the recovery authenticator"),
    purpose="signing in, and getting the identity key back, with the recovery code",
    retention="life of the account",
    kind="secret",
)

sessions = table(
    "sessions",
    data("token_hash", "SHA-256 of the session token", key=True),
    text("device", "which device it signs in"),
    text("account", "whose it is"),
    number("created_ms", "when it began"),
    Index("sessions_by_device", "device", unique=True),
    purpose="staying signed in",
    retention="until the device is removed, or 180 days unseen",
    kind="secret",
)

shares = table(
    "shares",
    text("device", "id of the device", key=True),
    data("share", "the server's half of the key that opens what the device stores"),
    purpose="a device that was signed out can no longer open what it stored",
    retention="until the device is removed",
    kind="secret",
)

# --- operational ----------------------------------------------------------------------------------

links = table(
    "links",
    text("device", "the new device, signed in and not registered", key=True),
    text("account", "whose it is"),
    data("public_key", "its one-time X25519 key"),
    data("tag", "proof, under the code on its screen, that this key is the device's own"),
    number("until_ms", "until when it may be approved"),
    data("sealed", "what another own device sealed to it: the identity key's private half", null=True),
    Index("links_by_account", "account"),
    Index("links_by_end", "until_ms"),
    purpose="adding a device by approval from another one; the server can neither read nor replace what passes",
    retention="until the device took it, at most 10 minutes",
    kind="operational",
)

waits = table(
    "waits",
    data("token_hash", "SHA-256 of a cookie that the device holds", key=True),
    number("until_ms", "when it may try again"),
    purpose="a device that was refused for age cannot try another date at once; nothing else is kept of it",
    retention="24 hours",
    kind="operational",
)

buckets = table(
    "buckets",
    text("bucket", "what is limited, with a keyed hash of whom", key=True),
    number("level", "milliseconds of refill saved up"),
    number("at_ms", "when that was so"),
    number("full_ms", "when it will be full, and the row may go"),
    Index("buckets_by_full", "full_ms"),
    purpose="rate limits that survive a restart",
    retention="until the limit has refilled, at most a day",
    kind="operational",
)

# --- statements -----------------------------------------------------------------------------------


def _off_for_new_minors(seen: ColumnElement[int]) -> ColumnElement[int]:
    """What others see of somebody ends when she comes under the protections of minors; her later choices stay."""
    protected = and_(accounts.c.band == "18+", bindparam("new_band") != "18+")
    return case((protected, 0), else_=seen)


ACCOUNT = select(accounts).where(accounts.c.account == bindparam("id"))
ACCOUNT_BAND = (
    update(accounts)
    .where(accounts.c.account == bindparam("id"))
    .values(
        band=bindparam("new_band"),
        band_ends_ms=bindparam("new_ends"),
        band_confirmed=bindparam("confirmed"),
        **{seen.name: _off_for_new_minors(seen) for seen in (accounts.c.read_receipts, accounts.c.typing)},
    )
)
ACCOUNT_CONTROLS = (
    update(accounts)
    .where(accounts.c.account == bindparam("id"))
    .values(requests=bindparam("who"), read_receipts=bindparam("receipts"), typing=bindparam("writing"))
)
ACCOUNT_TERMS = update(accounts).where(accounts.c.account == bindparam("id")).values(terms_version=bindparam("version"))
ACCOUNT_IDENTITY = update(accounts).where(accounts.c.account == bindparam("id")).values(has_identity=1)
BANDS_DUE = (
    select(accounts)
    .where(accounts.c.band_ends_ms <= bindparam("now"))
    .order_by(accounts.c.account)
    .limit(bindparam("most"))
)

PROFILE = select(profiles).where(profiles.c.account == bindparam("id"))
BY_HANDLE = select(profiles.c.account).where(profiles.c.handle == bindparam("typed"))
HANDLE_TAKEN = select(profiles.c.account).where(
    or_(profiles.c.handle == bindparam("typed"), profiles.c.skeleton == bindparam("looks"))
)
RENAME = update(profiles).where(profiles.c.account == bindparam("id")).values(display_name=bindparam("name"))
CARD = (
    select(profiles.c.handle, profiles.c.display_name, accounts.c.created_ms)
    .join(accounts, accounts.c.account == profiles.c.account)
    .where(profiles.c.account == bindparam("id"))
)
CREDENTIALS = (
    select(profiles.c.account, passwords.c.hash)
    .join(passwords, passwords.c.account == profiles.c.account)
    .where(profiles.c.handle == bindparam("typed"))
)
PASSWORD = select(passwords.c.hash).where(passwords.c.account == bindparam("id"))
PASSWORD_SET = (
    update(passwords)
    .where(passwords.c.account == bindparam("id"))
    .values(hash=bindparam("new"), changed_ms=bindparam("now"))
)
RECOVERY_BY_HANDLE = (
    select(profiles.c.account, recovery.c.auth_hash)
    .join(recovery, recovery.c.account == profiles.c.account)
    .where(profiles.c.handle == bindparam("typed"))
)
RECOVERY = select(recovery).where(recovery.c.account == bindparam("id"))
RECOVERY_FORGET = delete(recovery).where(recovery.c.account == bindparam("id"))

SESSION = (
    select(sessions.c.account, sessions.c.device, device_names.c.seen_ms)
    .join(device_names, device_names.c.device == sessions.c.device)
    .where(sessions.c.token_hash == bindparam("hashed"))
)
SESSION_BEGAN = select(sessions.c.created_ms).where(sessions.c.device == bindparam("id"))
SESSION_END = delete(sessions).where(sessions.c.device == bindparam("id"))
SHARE = select(shares.c.share).where(shares.c.device == bindparam("id"))
SHARE_END = delete(shares).where(shares.c.device == bindparam("id"))
SEEN = update(device_names).where(device_names.c.device == bindparam("id")).values(seen_ms=bindparam("hour"))
DEVICE_NAME_END = delete(device_names).where(device_names.c.device == bindparam("id"))

DEVICE = select(devices).where(devices.c.device == bindparam("id"))
DEVICE_OWNER = select(devices.c.account).where(
    and_(devices.c.device == bindparam("id"), devices.c.removed_ms.is_(None))
)
DEVICE_LIVE_COUNT = (
    select(func.count())
    .select_from(devices)
    .where(and_(devices.c.account == bindparam("whose"), devices.c.removed_ms.is_(None)))
)
DEVICES_OF = (
    select(devices.c.device, devices.c.created_ms, devices.c.registered_ms, device_names.c.name, device_names.c.seen_ms)
    .join(device_names, device_names.c.device == devices.c.device)
    .where(and_(devices.c.account == bindparam("whose"), devices.c.removed_ms.is_(None)))
    .order_by(devices.c.created_ms, devices.c.device)
)
DEVICE_REGISTERED = update(devices).where(devices.c.device == bindparam("id")).values(registered_ms=bindparam("at"))
DEVICES_UNREGISTERED = update(devices).where(devices.c.account == bindparam("whose")).values(registered_ms=null())
DEVICE_REMOVED = update(devices).where(devices.c.device == bindparam("id")).values(removed_ms=bindparam("at"))
IDLE_DEVICES = (
    select(device_names.c.device, sessions.c.account)
    .join(sessions, sessions.c.device == device_names.c.device)
    .where(device_names.c.seen_ms < bindparam("before"))
    .limit(bindparam("most"))
)

KEYS_OF = (
    select(device_keys.c.device, device_keys.c.mls_key, device_keys.c.added_ms, device_keys.c.certificate)
    .where(device_keys.c.account == bindparam("whose"))
    .order_by(device_keys.c.added_ms, device_keys.c.device)
)
KEY_OF = select(device_keys).where(device_keys.c.device == bindparam("id"))
KEY_END = delete(device_keys).where(device_keys.c.device == bindparam("id"))
KEYS_END = delete(device_keys).where(device_keys.c.account == bindparam("whose"))
IDENTITY = select(identities).where(identities.c.account == bindparam("id"))
IDENTITY_REPLACE = (
    update(identities)
    .where(identities.c.account == bindparam("id"))
    .values(aik=bindparam("new_aik"), device_list=null(), signature=null())
)
LIST_REPLACE = (
    update(identities)
    .where(identities.c.account == bindparam("id"))
    .values(list_version=bindparam("version"), device_list=bindparam("encoded"), signature=bindparam("signed"))
)

CONNECTION = select(connections).where(and_(connections.c.one == bindparam("a"), connections.c.other == bindparam("b")))
_MINE = or_(connections.c.one == bindparam("me"), connections.c.other == bindparam("me"))
_PEER = case((connections.c.one == bindparam("me"), connections.c.other), else_=connections.c.one)
CONNECTED_TO = select(_PEER.label("account")).where(and_(_MINE, connections.c.ended_ms.is_(None)))
CONNECTIONS_OF = (
    select(
        _PEER.label("account"),
        connections.c.since_ms,
        connections.c.ended_ms,
        connections.c.room,
        profiles.c.handle,
        profiles.c.display_name,
    )
    .join(profiles, profiles.c.account == _PEER)
    .where(_MINE)
    .order_by(connections.c.since_ms)
)
CONNECTION_AGAIN = (
    update(connections)
    .where(and_(connections.c.one == bindparam("a"), connections.c.other == bindparam("b")))
    .values(since_ms=bindparam("at"), ended_ms=null())
)
CONNECTION_ENDED = (
    update(connections)
    .where(and_(connections.c.one == bindparam("a"), connections.c.other == bindparam("b")))
    .values(ended_ms=bindparam("at"))
)
CONNECTION_ROOM = (
    update(connections)
    .where(and_(connections.c.one == bindparam("a"), connections.c.other == bindparam("b")))
    .values(room=bindparam("new_room"))
)

BLOCK = select(blocks.c.since_ms).where(and_(blocks.c.by == bindparam("who"), blocks.c.account == bindparam("whom")))
BLOCKS_BY = (
    select(blocks.c.account, blocks.c.since_ms, profiles.c.handle, profiles.c.display_name)
    .join(profiles, profiles.c.account == blocks.c.account)
    .where(blocks.c.by == bindparam("who"))
    .order_by(blocks.c.since_ms)
)
UNBLOCK = delete(blocks).where(and_(blocks.c.by == bindparam("who"), blocks.c.account == bindparam("whom")))

HUSH = select(hushes.c.since_ms).where(and_(hushes.c.by == bindparam("who"), hushes.c.account == bindparam("whom")))
HUSHES_BY = (
    select(hushes.c.account, hushes.c.since_ms, profiles.c.handle, profiles.c.display_name)
    .join(profiles, profiles.c.account == hushes.c.account)
    .where(hushes.c.by == bindparam("who"))
    .order_by(hushes.c.since_ms, hushes.c.account)
)
HUSHES = select(hushes.c.by, hushes.c.account)
UNHUSH = delete(hushes).where(and_(hushes.c.by == bindparam("who"), hushes.c.account == bindparam("whom")))

MEASURES_OF = (
    select(measures).where(measures.c.account == bindparam("whose")).order_by(measures.c.since_ms, measures.c.measure)
)
MEASURE = select(measures).where(measures.c.measure == bindparam("id"))
MEASURE_REVERSED = (
    update(measures)
    .where(and_(measures.c.measure == bindparam("id"), measures.c.reversed_ms.is_(None)))
    .values(reversed_ms=bindparam("at"), reversed_because=bindparam("why"))
)
MEASURE_APPEAL = (
    update(measures)
    .where(measures.c.measure == bindparam("id"))
    .values(appeal=bindparam("new_appeal"), appeal_state=bindparam("state"))
)

WAIT = select(waits.c.until_ms).where(waits.c.token_hash == bindparam("hashed"))
WAITS_OVER = delete(waits).where(waits.c.until_ms <= bindparam("now"))
BUCKET = select(buckets.c.level, buckets.c.at_ms).where(buckets.c.bucket == bindparam("name"))
BUCKET_LEVEL = (
    update(buckets)
    .where(buckets.c.bucket == bindparam("name"))
    .values(level=bindparam("new_level"), at_ms=bindparam("now"), full_ms=bindparam("full"))
)
BUCKETS_FULL = delete(buckets).where(buckets.c.full_ms <= bindparam("now"))
SIGN_INS_OF = select(sign_ins).where(sign_ins.c.account == bindparam("whose")).order_by(sign_ins.c.at_ms)
SIGN_INS_OLD = delete(sign_ins).where(sign_ins.c.at_ms < bindparam("before"))

KEY_LOG_LAST = select(key_log).order_by(key_log.c.position.desc()).limit(1)
KEY_LOG_AT = select(key_log).where(key_log.c.position == bindparam("at"))
KEY_LOG_TIME = select(key_log.c.at_ms).where(key_log.c.position == bindparam("at"))
KEY_LOG_AFTER = (
    select(key_log).where(key_log.c.position > bindparam("after")).order_by(key_log.c.position).limit(bindparam("most"))
)
KEY_LOG_NODE = select(key_log_nodes.c.hash).where(
    and_(key_log_nodes.c.level == bindparam("high"), key_log_nodes.c.place == bindparam("at"))
)
KEY_TREE_NODE = select(key_tree).where(key_tree.c.hash == bindparam("named"))
KEY_VERSIONS_AT = select(func.count()).where(
    and_(key_versions.c.account == bindparam("whose"), key_versions.c.position <= bindparam("upto"))
)
KEY_OPENINGS_FROM = (
    select(key_openings)
    .where(and_(key_openings.c.account == bindparam("whose"), key_openings.c.version >= bindparam("first")))
    .order_by(key_openings.c.version)
    .limit(bindparam("most"))
)
UNLOGGED = (
    select(identities)
    .outerjoin(key_versions, key_versions.c.account == identities.c.account)
    .where(key_versions.c.account.is_(None))
    .order_by(identities.c.account)
)

LINK = select(links).where(and_(links.c.device == bindparam("id"), links.c.until_ms > bindparam("now")))
LINKS_OF = (
    select(links.c.device, links.c.public_key, links.c.tag, links.c.until_ms, device_names.c.name)
    .join(device_names, device_names.c.device == links.c.device)
    .where(and_(links.c.account == bindparam("whose"), links.c.until_ms > bindparam("now"), links.c.sealed.is_(None)))
    .order_by(links.c.until_ms, links.c.device)
)
LINK_SEAL = update(links).where(links.c.device == bindparam("id")).values(sealed=bindparam("box"))
LINK_END = delete(links).where(links.c.device == bindparam("id"))
LINKS_OVER = delete(links).where(links.c.until_ms <= bindparam("now"))
