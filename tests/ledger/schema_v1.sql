CREATE TABLE accounts (
    account TEXT NOT NULL,
    band TEXT NOT NULL,
    band_ends_ms BIGINT,
    band_confirmed BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    requests TEXT NOT NULL,
    terms_version TEXT NOT NULL,
    has_identity BIGINT NOT NULL,
    PRIMARY KEY (account)
);

CREATE TABLE answers (
    device TEXT NOT NULL,
    turn BIGINT NOT NULL,
    submit_key BLOB NOT NULL,
    room_pos BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    room_seq BIGINT,
    hub_key_id BIGINT,
    frank BLOB,
    proof BLOB,
    PRIMARY KEY (device, turn)
);

CREATE UNIQUE INDEX answers_by_key ON answers (device, submit_key);

CREATE TABLE appeals (
    measure TEXT NOT NULL,
    appeal TEXT NOT NULL,
    account TEXT NOT NULL,
    "case" TEXT NOT NULL,
    filed_ms BIGINT NOT NULL,
    outcome TEXT,
    staff TEXT,
    decided_ms BIGINT,
    PRIMARY KEY (measure)
);

CREATE INDEX appeals_by_account ON appeals (account);

CREATE TABLE audit (
    seq BIGINT NOT NULL,
    ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    "case" TEXT,
    purpose TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request TEXT,
    "before" BLOB,
    "after" BLOB,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (seq)
);

CREATE TABLE blocks (
    "by" TEXT NOT NULL,
    account TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY ("by", account)
);

CREATE TABLE bodies (
    room TEXT NOT NULL,
    room_pos BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    body BLOB NOT NULL,
    at_ms BIGINT NOT NULL,
    room_seq BIGINT,
    hub_key_id BIGINT,
    frank BLOB,
    proof BLOB,
    PRIMARY KEY (room, room_pos, kind)
);

CREATE INDEX bodies_by_time ON bodies (at_ms);

CREATE TABLE buckets (
    bucket TEXT NOT NULL,
    level BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    full_ms BIGINT NOT NULL,
    PRIMARY KEY (bucket)
);

CREATE INDEX buckets_by_full ON buckets (full_ms);

CREATE TABLE case_keys (
    "case" TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY ("case")
);

CREATE TABLE cases (
    "case" TEXT NOT NULL,
    account TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority BIGINT NOT NULL,
    because TEXT NOT NULL,
    opened_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    source TEXT NOT NULL,
    measure TEXT,
    origin TEXT,
    claimed_by TEXT,
    claim_until_ms BIGINT,
    closed_ms BIGINT,
    "into" TEXT,
    decided_by TEXT,
    action TEXT,
    policy TEXT,
    severity TEXT,
    decision TEXT,
    imposed TEXT,
    PRIMARY KEY ("case")
);

CREATE INDEX cases_about ON cases (account, opened_ms);

CREATE INDEX cases_imposed ON cases (imposed);

CREATE INDEX cases_open ON cases (closed_ms, queue, priority);

CREATE TABLE connections (
    one TEXT NOT NULL,
    other TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    room TEXT,
    PRIMARY KEY (one, other)
);

CREATE INDEX connections_by_other ON connections (other);

CREATE TABLE cursors (
    reader TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (reader)
);

CREATE TABLE decisions (
    decision TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    policy TEXT NOT NULL,
    outcome TEXT NOT NULL,
    about TEXT NOT NULL,
    reasons TEXT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (decision)
);

CREATE TABLE device_keys (
    device TEXT NOT NULL,
    account TEXT NOT NULL,
    mls_key BLOB NOT NULL,
    added_ms BIGINT NOT NULL,
    certificate BLOB NOT NULL,
    PRIMARY KEY (device)
);

CREATE INDEX device_keys_by_account ON device_keys (account);

CREATE TABLE device_names (
    device TEXT NOT NULL,
    name TEXT NOT NULL,
    seen_ms BIGINT NOT NULL,
    PRIMARY KEY (device)
);

CREATE TABLE devices (
    device TEXT NOT NULL,
    account TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    registered_ms BIGINT,
    removed_ms BIGINT,
    PRIMARY KEY (device)
);

CREATE INDEX devices_by_account ON devices (account, removed_ms);

CREATE TABLE envelopes (
    envelope INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    room_seq BIGINT NOT NULL,
    account TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    size_bucket BIGINT NOT NULL
);

CREATE TABLE events (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE evidence_views (
    "view" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    staff TEXT NOT NULL,
    "case" TEXT NOT NULL,
    object TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);

CREATE INDEX evidence_views_by_object ON evidence_views (object);

CREATE INDEX evidence_views_by_staff ON evidence_views (staff, at_ms);

CREATE TABLE exhibits (
    exhibit TEXT NOT NULL,
    "case" TEXT NOT NULL,
    report TEXT NOT NULL,
    place BIGINT NOT NULL,
    side TEXT NOT NULL,
    flaw TEXT,
    room_seq BIGINT,
    accepted_ms BIGINT,
    sealed BLOB NOT NULL,
    PRIMARY KEY (exhibit)
);

CREATE INDEX exhibits_by_case ON exhibits ("case", report, place);

CREATE TABLE grants (
    grant INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    ref BLOB NOT NULL,
    room TEXT NOT NULL,
    requester TEXT NOT NULL,
    requester_device TEXT NOT NULL,
    account TEXT NOT NULL,
    device TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    used BIGINT NOT NULL
);

CREATE INDEX grants_by_device ON grants (device, requester, at_ms);

CREATE INDEX grants_by_ref ON grants (ref, room);

CREATE INDEX grants_by_requester ON grants (requester, at_ms);

CREATE TABLE heads (
    room TEXT NOT NULL,
    epoch BIGINT,
    room_pos BIGINT NOT NULL,
    room_seq BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    group_info BLOB,
    PRIMARY KEY (room)
);

CREATE TABLE identities (
    account TEXT NOT NULL,
    aik BLOB NOT NULL,
    list_version BIGINT NOT NULL,
    device_list BLOB,
    signature BLOB,
    PRIMARY KEY (account)
);

CREATE TABLE invites (
    token_hash BLOB NOT NULL,
    account TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT,
    PRIMARY KEY (token_hash)
);

CREATE INDEX invites_by_account ON invites (account);

CREATE TABLE key_packages (
    ref BLOB NOT NULL,
    device TEXT NOT NULL,
    account TEXT NOT NULL,
    mls_key BLOB NOT NULL,
    package BLOB,
    last_resort BIGINT NOT NULL,
    not_after_ms BIGINT NOT NULL,
    issued_ms BIGINT,
    PRIMARY KEY (ref)
);

CREATE INDEX key_packages_by_device ON key_packages (device, issued_ms);

CREATE TABLE leaves (
    room TEXT NOT NULL,
    device TEXT NOT NULL,
    account TEXT NOT NULL,
    live BIGINT NOT NULL,
    PRIMARY KEY (room, device)
);

CREATE INDEX leaves_by_device ON leaves (device);

CREATE TABLE mailbox (
    mail INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL,
    kind BIGINT NOT NULL,
    room TEXT,
    room_pos BIGINT NOT NULL,
    about TEXT,
    at_ms BIGINT NOT NULL
);

CREATE INDEX mailbox_by_device ON mailbox (device, mail);

CREATE INDEX mailbox_by_place ON mailbox (room, room_pos, kind);

CREATE INDEX mailbox_by_room ON mailbox (device, room, room_pos);

CREATE TABLE measures (
    measure TEXT NOT NULL,
    account TEXT NOT NULL,
    what TEXT NOT NULL,
    rule TEXT NOT NULL,
    because TEXT NOT NULL,
    source TEXT NOT NULL,
    decision TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT,
    most BIGINT,
    reversed_ms BIGINT,
    reversed_because TEXT,
    appeal TEXT,
    appeal_state TEXT,
    PRIMARY KEY (measure)
);

CREATE INDEX measures_by_account ON measures (account, since_ms);

CREATE TABLE memberships (
    room TEXT NOT NULL,
    account TEXT NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT,
    ended_ms BIGINT,
    PRIMARY KEY (room, account, first_seq)
);

CREATE TABLE notices (
    notice TEXT NOT NULL,
    shown_to TEXT NOT NULL,
    about TEXT,
    rule TEXT NOT NULL,
    shown_ms BIGINT NOT NULL,
    dismissed_ms BIGINT,
    over_ms BIGINT,
    PRIMARY KEY (notice)
);

CREATE INDEX notices_by_about ON notices (about, rule);

CREATE INDEX notices_by_reader ON notices (shown_to, about);

CREATE TABLE passwords (
    account TEXT NOT NULL,
    hash TEXT NOT NULL,
    changed_ms BIGINT NOT NULL,
    PRIMARY KEY (account)
);

CREATE TABLE preservations (
    preservation TEXT NOT NULL,
    tip TEXT NOT NULL,
    "case" TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    PRIMARY KEY (preservation)
);

CREATE INDEX preservations_by_end ON preservations (ended_ms, until_ms);

CREATE INDEX preservations_by_tip ON preservations (tip);

CREATE TABLE preserved_bundles (
    preservation TEXT NOT NULL,
    sealed BLOB NOT NULL,
    sealed_hash TEXT NOT NULL,
    checked_ms BIGINT NOT NULL,
    damaged_ms BIGINT,
    PRIMARY KEY (preservation)
);

CREATE TABLE profiles (
    account TEXT NOT NULL,
    handle TEXT NOT NULL,
    skeleton TEXT NOT NULL,
    display_name TEXT NOT NULL,
    PRIMARY KEY (account)
);

CREATE UNIQUE INDEX profiles_by_handle ON profiles (handle);

CREATE UNIQUE INDEX profiles_by_skeleton ON profiles (skeleton);

CREATE TABLE recovery (
    account TEXT NOT NULL,
    sealed_aik BLOB NOT NULL,
    auth_hash BLOB NOT NULL,
    PRIMARY KEY (account)
);

CREATE TABLE refusals (
    account TEXT NOT NULL,
    rule TEXT NOT NULL,
    decision TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (account, rule)
);

CREATE TABLE report_coverage (
    report TEXT NOT NULL,
    "case" TEXT NOT NULL,
    gaps TEXT NOT NULL,
    omitted_tail BIGINT,
    equivocations TEXT NOT NULL,
    unkept BIGINT NOT NULL,
    PRIMARY KEY (report)
);

CREATE INDEX report_coverage_by_case ON report_coverage ("case");

CREATE TABLE reports (
    report TEXT NOT NULL,
    "case" TEXT NOT NULL,
    reporter TEXT NOT NULL,
    account TEXT NOT NULL,
    category TEXT NOT NULL,
    minor_involved BIGINT NOT NULL,
    items BIGINT NOT NULL,
    verified BIGINT NOT NULL,
    room TEXT,
    filed_ms BIGINT NOT NULL,
    PRIMARY KEY (report)
);

CREATE INDEX reports_about ON reports (account);

CREATE INDEX reports_by_case ON reports ("case");

CREATE INDEX reports_by_reporter ON reports (reporter, filed_ms);

CREATE TABLE request_words (
    request TEXT NOT NULL,
    typed TEXT NOT NULL,
    PRIMARY KEY (request)
);

CREATE TABLE requests (
    request TEXT NOT NULL,
    requester TEXT NOT NULL,
    target TEXT,
    invited BIGINT NOT NULL,
    sent_ms BIGINT NOT NULL,
    outcome TEXT,
    closed_ms BIGINT,
    cancelled_ms BIGINT,
    room TEXT,
    PRIMARY KEY (request)
);

CREATE INDEX requests_by_requester ON requests (requester, sent_ms);

CREATE INDEX requests_by_target ON requests (target, requester);

CREATE TABLE rooms (
    room TEXT NOT NULL,
    one TEXT NOT NULL,
    other TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (room)
);

CREATE INDEX rooms_by_other ON rooms (other);

CREATE UNIQUE INDEX rooms_by_people ON rooms (one, other);

CREATE TABLE rule_firings (
    rule TEXT NOT NULL,
    account TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    live BIGINT NOT NULL,
    PRIMARY KEY (rule, account)
);

CREATE TABLE safety_rooms (
    room TEXT NOT NULL,
    requester TEXT NOT NULL,
    target TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (room, target)
);

CREATE INDEX safety_rooms_by_time ON safety_rooms (at_ms);

CREATE TABLE safety_states (
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    touched_ms BIGINT NOT NULL,
    look_ms BIGINT,
    PRIMARY KEY (account)
);

CREATE INDEX safety_states_by_look ON safety_states (look_ms);

CREATE INDEX safety_states_by_touch ON safety_states (touched_ms);

CREATE TABLE sealed_notes (
    note TEXT NOT NULL,
    "case" TEXT NOT NULL,
    kind TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (note)
);

CREATE INDEX sealed_notes_by_case ON sealed_notes ("case");

CREATE TABLE server (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE sessions (
    token_hash BLOB NOT NULL,
    device TEXT NOT NULL,
    account TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (token_hash)
);

CREATE UNIQUE INDEX sessions_by_device ON sessions (device);

CREATE TABLE shares (
    device TEXT NOT NULL,
    share BLOB NOT NULL,
    PRIMARY KEY (device)
);

CREATE TABLE sign_ins (
    account TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    way TEXT NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
);

CREATE INDEX sign_ins_by_account ON sign_ins (account, at_ms);

CREATE INDEX sign_ins_by_time ON sign_ins (at_ms);

CREATE TABLE staff (
    staff TEXT NOT NULL,
    roles TEXT NOT NULL,
    added_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    PRIMARY KEY (staff)
);

CREATE TABLE staff_attempts (
    attempt INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name_hash TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);

CREATE INDEX staff_attempts_by_name ON staff_attempts (name_hash, at_ms);

CREATE TABLE staff_logins (
    login TEXT NOT NULL,
    staff TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    PRIMARY KEY (login)
);

CREATE INDEX staff_logins_by_staff ON staff_logins (staff);

CREATE TABLE staff_sessions (
    token_hash TEXT NOT NULL,
    staff TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (token_hash)
);

CREATE INDEX staff_sessions_by_staff ON staff_sessions (staff);

CREATE TABLE tip_calls (
    entry TEXT NOT NULL,
    tip TEXT NOT NULL,
    call TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    intent_ms BIGINT NOT NULL,
    request_hash TEXT NOT NULL,
    test BIGINT NOT NULL,
    answered_ms BIGINT,
    outcome TEXT,
    http_status BIGINT,
    code BIGINT,
    request_id TEXT,
    sealed_words BLOB,
    PRIMARY KEY (entry)
);

CREATE INDEX tip_calls_by_tip ON tip_calls (tip, intent_ms);

CREATE INDEX tip_calls_open ON tip_calls (answered_ms);

CREATE TABLE tip_keys (
    tip TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (tip)
);

CREATE TABLE tip_papers (
    tip TEXT NOT NULL,
    sealed BLOB NOT NULL,
    sealed_xml BLOB,
    PRIMARY KEY (tip)
);

CREATE TABLE tip_waits (
    tip TEXT NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (tip)
);

CREATE TABLE tips (
    tip TEXT NOT NULL,
    "case" TEXT NOT NULL,
    account TEXT NOT NULL,
    wrote TEXT NOT NULL,
    drafted_ms BIGINT NOT NULL,
    approved_by TEXT,
    approved_ms BIGINT,
    paper TEXT,
    state TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    call TEXT,
    code BIGINT,
    report_id TEXT,
    test BIGINT,
    finished_ms BIGINT,
    PRIMARY KEY (tip)
);

CREATE INDEX tips_by_account ON tips (account);

CREATE INDEX tips_by_case ON tips ("case");

CREATE INDEX tips_by_state ON tips (state);

CREATE TABLE verdicts (
    exhibit TEXT NOT NULL,
    "case" TEXT NOT NULL,
    verdict TEXT NOT NULL,
    staff TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (exhibit)
);

CREATE INDEX verdicts_by_case ON verdicts ("case");

CREATE TABLE waits (
    token_hash BLOB NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (token_hash)
);

CREATE TABLE writers (
    room TEXT NOT NULL,
    account TEXT NOT NULL,
    PRIMARY KEY (room, account)
);
