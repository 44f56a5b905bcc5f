"""The numbers of this room."""

from __future__ import annotations

from dataclasses import dataclass

from kith.ledger.limits import DAY, MINUTE, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Numbers that a deployment may tune; every one has a safe default."""

    requests_per_day: int = limit(20, "requests in 24 hours", "a person meets few new people a day; a harvester many")
    requests_open: int = limit(50, "unanswered requests", "more than fifty unanswered people is a mailing list")
    request_life_ms: int = limit(30 * DAY, "ms", "who did not answer in a month does not want to, now")
    decline_holds_ms: int = limit(90 * DAY, "ms", "a no is not asked about again soon")
    requests_kept_ms: int = limit(90 * DAY, "ms", "a request past its 30 days still explains decisions; a no holds")
    invite_life_ms: int = limit(7 * DAY, "ms", "a link that wanders further should have died by then")
    invites_open: int = limit(20, "unused invites", "enough for a class or a party, too few for a billboard")

    key_packages_stored: int = limit(100, "one-time key packages per device", "a month of new chats while away")
    key_packages_per_claim: int = limit(64, "devices in one claim", "all devices of two accounts, twice")
    claims_per_requester: int = limit(300, "key packages in 24 hours", "ten chats with ten devices, three times over")
    claims_per_target: int = limit(60, "key packages of one device to one account in 24 hours", "a drain stands out")
    grant_life_ms: int = limit(DAY, "ms", "a claim is for a commit that follows at once")

    message_bytes: int = limit(72 * 1024, "bytes of an MLSMessage", "64 KiB of content, padding and MLS around it")
    ephemeral_bytes: int = limit(4 * 1024, "bytes of an MLSMessage", "typing and receipts are small")
    answers_kept: int = limit(256, "answers per device", "a device has far fewer submissions without an answer")
    backlog: int = limit(5_000, "mails of one room for one device", "thirty busy days; nobody fills a disk through it")
    mail_life_ms: int = limit(30 * DAY, "ms", "a device away for longer joins again")
    envelope_life_ms: int = limit(14 * DAY, "ms", "who wrote when is for counters, then forgotten")
    membership_kept_ms: int = limit(180 * DAY, "ms", "the window in which a message can be reported")

    room_lists_at_once: int = limit(1_000, "pieces of ten rooms", "five people's worth of chats on five devices")
    room_list_again_ms: int = limit(100, "ms", "and one more; a second of lists an account costs a hundredth of one")

    group_leaves: int = limit(256, "devices in a group", "the web engine derives a secret for each in every epoch")

    group_accounts: int = limit(120, "accounts in a group, open invitations counted", "two devices each make 240")
    groups_per_day: int = limit(20, "groups made in 24 hours", "nobody founds more clubs than that")
    groups_of_account: int = limit(300, "groups of one account", "every one is fetched and followed by each device")
    group_invitations_per_day: int = limit(60, "invitations in 24 hours", "a school class twice; a spammer many more")
    group_name_characters: int = limit(60, "characters", "it stands in one line of a list")
    group_description_characters: int = limit(500, "characters", "a paragraph")
    group_photos_at_once: int = limit(10, "photos set in a row", "somebody who tries which one looks best")
    group_photo_again_ms: int = limit(10 * MINUTE, "ms", "and one more; a photo is not a stream of pictures")
    group_link_life_ms: int = limit(7 * DAY, "ms", "a link that wanders further should have died by then")
    group_link_longest_ms: int = limit(30 * DAY, "ms", "no link lives for ever")
    group_links_open: int = limit(5, "live links of a group", "one for each notice board; more is a leak")
    group_joins_per_day: int = limit(20, "joins by link in 24 hours", "who opens more collects groups")

    blob_bytes: int = limit(64 * 1024 * 1024, "bytes of one attachment's ciphertext", "a short video; more is a film")
    blob_piece: int = limit(4 * 1024 * 1024, "bytes of one PATCH", "what a cut connection may cost, and what waits")
    blob_bytes_per_day: int = limit(1024 * 1024 * 1024, "bytes in 24 hours", "a day's photos of a wedding guest")
    blob_bytes_held: int = limit(4 * 1024 * 1024 * 1024, "bytes of one account", "a busy month; nobody fills a disk")
    blob_bytes_kept: int = limit(1024 * 1024 * 1024, "bytes of one account", "evidence beyond it fills her allowance")
    blob_uploads_open: int = limit(20, "unfinished uploads of one account", "an album of ten, on two devices")
    blob_reads_open: int = limit(32, "downloads of one account at a time", "a screen full of photos; each holds a file")
    blob_reads_at_once: int = limit(2_000, "reads in a row", "scrolling through a month of albums")
    blob_read_again_ms: int = limit(20, "ms", "and one more; a video is read in many ranges")
    blob_life_ms: int = limit(30 * DAY, "ms", "as long as mail waits; who was away longer asks for it again")
    blob_unfinished_ms: int = limit(DAY, "ms", "an upload that nobody went on with for a day was given up")
    push_silence_ms: int = limit(60 * DAY, "ms", "a device that did not come back for so long is not woken any more")
    push_quiet_rooms: int = limit(500, "muted rooms of a device", "a list with the longest of memberships")
    push_wake_after_ms: int = limit(1_000, "ms", "a device that just lost its connection comes back by itself")
    push_spread_ms: int = limit(3_000, "ms", "added by chance, so that a push service cannot match two people in time")
    push_tries: int = limit(3, "attempts", "the next message rings again anyway")
    push_at_once: int = limit(8, "calls", "push services answer quickly; more would only queue there")
    push_timeout_ms: int = limit(10_000, "ms", "and no longer")

    frames_per_second: int = limit(50, "frames", "a person types, acks and scrolls; a flood is neither")
    frames_burst: int = limit(400, "frames", "catching up sends many acks at once")
    submits_per_second: int = limit(20, "submissions", "pasting and forwarding come in bursts, not in streams")
    submits_burst: int = limit(120, "submissions", "an outbox emptied after a day off line")
    commits_per_minute: int = limit(12, "commits", "groups change when devices do, a few times a year")
    commits_burst: int = limit(60, "commits", "a new device is added to every room at once")
    ephemerals_per_second: int = limit(5, "frames", "typing is told every few seconds")
    ephemerals_burst: int = limit(20, "frames", "reading a long thread sends receipts in a row")
    submits_in_flight: int = limit(32, "submissions", "enough to fill a commit batch, bounded per connection")
    mail_in_flight: int = limit(256, "unacked mails", "the device says it has them before more are sent")
    mail_in_flight_bytes: int = limit(4 * 1024 * 1024, "bytes", "memory that one slow reader may hold")
    send_timeout_ms: int = limit(20_000, "ms", "a reader that takes nothing for so long resumes later")
    ack_timeout_ms: int = limit(2 * MINUTE, "ms", "a full window without an ack means nobody is reading")
    idle_timeout_ms: int = limit(5 * MINUTE, "ms", "a device that says nothing, not even PING, is gone")
    ephemeral_wait_ms: int = limit(10_000, "ms", "typing is no news after that")
    ephemerals_waiting: int = limit(64, "frames", "held for one device until earlier messages went out")


DEFAULTS = Limits()
