"""Tables and statements of reports; SQL and nothing else."""

from __future__ import annotations

from sqlalchemy import Index, and_, bindparam, delete, desc, func, or_, select, update

from kith.ledger.schema import data, number, serial, table, text

_CASE_LIFE = "life of the accounts concerned: outcomes and appeals stay explainable"
_EVIDENCE_LIFE = "180 days after the case is closed, appeal included; then the case's key is destroyed"

cases = table(
    "cases",
    text("case", "id of the case", key=True),
    text("account", "whom it is about"),
    text("queue", "child-safety, general or appeals"),
    number("priority", "higher is looked at sooner"),
    text("because", "why it stands where it stands, in closed words"),
    number("opened_ms", "when it was opened"),
    number("due_ms", "when somebody should have looked"),
    text("source", "report, appeal or rule:<rule id>"),
    text("measure", "the measure under appeal", null=True),
    text("origin", "the case that imposed the measure under appeal", null=True),
    text("claimed_by", "staff id of who works on it", null=True),
    number("claim_until_ms", "when that claim lapses", null=True),
    number("closed_ms", "when it was decided", null=True),
    text("into", "the case that took its evidence over", null=True),
    text("decided_by", "staff id of who decided", null=True),
    text("action", "what was decided", null=True),
    text("policy", "under which policy of the standards", null=True),
    text("severity", "how grave, as the reviewer saw it", null=True),
    text("decision", "id of the recorded decision", null=True),
    text("imposed", "the measure that followed", null=True),
    Index("cases_open", "closed_ms", "queue", "priority"),
    Index("cases_about", "account", "opened_ms"),
    Index("cases_imposed", "imposed"),
    purpose="what reviewers work through: one open case per person and queue",
    retention=_CASE_LIFE,
    kind="projection",
)

reports = table(
    "reports",
    text("report", "id of the report", key=True),
    text("case", "the case it belongs to"),
    text("reporter", "who reported"),
    text("account", "who was reported"),
    text("category", "what the reporter said is wrong"),
    number("minor_involved", "1 when the reporter ticked that somebody under 18 is involved"),
    number("items", "messages handed in"),
    number("verified", "of these, how many proved genuine"),
    text("room", "where they were said", null=True),
    number("filed_ms", "when it came in"),
    Index("reports_by_case", "case"),
    Index("reports_by_reporter", "reporter", "filed_ms"),
    Index("reports_about", "account"),
    purpose="who reported whom for what; shown to the reporter as `your reports`",
    retention=_CASE_LIFE,
    kind="projection",
)

verdicts = table(
    "verdicts",
    text("exhibit", "id of the exhibit", key=True),
    text("case", "id of the case"),
    text("verdict", "breaks-standards, allowed or unclear"),
    text("staff", "who said so"),
    number("at_ms", "when"),
    Index("verdicts_by_case", "case"),
    purpose="a reviewer's judgement of each exhibit",
    retention=_CASE_LIFE,
    kind="projection",
)

appeals = table(
    "appeals",
    text("measure", "the measure under appeal; one appeal each", key=True),
    text("appeal", "id of the appeal"),
    text("account", "who asks"),
    text("case", "the case in the appeals queue"),
    number("filed_ms", "when it was asked for"),
    text("outcome", "upheld or overturned", null=True),
    text("staff", "who decided it", null=True),
    number("decided_ms", "when it was decided", null=True),
    Index("appeals_by_account", "account"),
    purpose="requests to look at a measure again, and their outcome",
    retention=_CASE_LIFE,
    kind="projection",
)

case_keys = table(
    "case_keys",
    text("case", "id of the case", key=True),
    data("wrapped", "nonce and AES-256-GCM of the case's data key under the server's evidence key"),
    purpose="opens the sealed evidence of one case; destroying it destroys the evidence",
    retention=_EVIDENCE_LIFE,
    kind="secret",
)

exhibits = table(
    "exhibits",
    text("exhibit", "id of the exhibit", key=True),
    text("case", "id of the case"),
    text("report", "the report it came with"),
    number("place", "its place in the report, by room_seq"),
    text("side", "who sent it: reported, reporter or other"),
    text("flaw", "why it proves nothing; empty when it is verified", null=True),
    number("room_seq", "which message of the room; as claimed when unverified", null=True),
    number("accepted_ms", "when the server accepted it; as claimed when unverified", null=True),
    data("sealed", "nonce and AES-256-GCM of the ReportItem under the case's data key"),
    Index("exhibits_by_case", "case", "report", "place"),
    purpose="what a reporter chose to disclose, sealed; the columns in clear never hold a word of it",
    retention=_EVIDENCE_LIFE,
    kind="personal",
)

attachments = table(
    "report_attachments",
    text("exhibit", "the message that it belongs to", key=True),
    number("part", "which part of that message", key=True),
    text("case", "id of the case"),
    text("report", "the report it came with"),
    data("message", "the message's id; with the part it is the identity of this evidence"),
    text("blob", "where its ciphertext is held; empty while it is missing", null=True),
    number("size", "bytes of ciphertext that the message commits to"),
    data("content_hash", "SHA-256 of the ciphertext that the message commits to"),
    data("pieces", "SHA-256 of each MiB of it, as far as the message commits to them", null=True),
    number("lost_ms", "when its held bytes were found gone or broken; empty while they are not", null=True),
    Index("report_attachments_by_case", "case"),
    Index("report_attachments_by_report", "report"),
    purpose="which attachments of reported messages are here; their keys, names and types are sealed with the message",
    retention=_EVIDENCE_LIFE,
    kind="personal",
)

notes = table(
    "sealed_notes",
    text("note", "id of the report, appeal or decision it belongs to", key=True),
    text("case", "id of the case"),
    text("kind", "report, appeal or decision"),
    data("sealed", "nonce and AES-256-GCM of the text under the case's data key"),
    Index("sealed_notes_by_case", "case"),
    purpose="what reporters, appellants and reviewers wrote in their own words, sealed",
    retention=_EVIDENCE_LIFE,
    kind="personal",
)

coverage = table(
    "report_coverage",
    text("report", "id of the report", key=True),
    text("case", "id of the case"),
    text("gaps", "JSON: first and last number of each run of messages left out"),
    number("omitted_tail", "messages after the last verified one; NULL when none is verified", null=True),
    text("equivocations", "JSON: numbers under which the server vouched for two messages"),
    number("unkept", "unproven messages that were counted but not kept"),
    Index("report_coverage_by_case", "case"),
    purpose="what a report leaves out, so that cropping shows",
    retention=_EVIDENCE_LIFE,
    kind="personal",
)

views = table(
    "evidence_views",
    serial("view", "counts up"),
    text("staff", "who read"),
    text("case", "for which case"),
    text("object", "exhibit or note"),
    number("at_ms", "when"),
    Index("evidence_views_by_staff", "staff", "at_ms"),
    Index("evidence_views_by_object", "object"),
    purpose="how much severe material somebody has read this shift, and which exhibit was really looked at",
    retention=_EVIDENCE_LIFE,
    kind="operational",
)

staff = table(
    "staff",
    text("staff", "id of a member of staff", key=True),
    text("roles", "JSON: reviewer, child-safety, admin"),
    number("added_ms", "when the account was made"),
    number("ended_ms", "when it was closed", null=True),
    purpose="who may open which queue",
    retention="2 years after leaving: as long as the staff log",
    kind="projection",
)

staff_logins = table(
    "staff_logins",
    text("login", "the name typed at sign-in", key=True),
    text("staff", "id of the member of staff"),
    text("password_hash", "Argon2id"),
    Index("staff_logins_by_staff", "staff"),
    purpose="signing in to the console",
    retention="until the staff account is closed",
    kind="secret",
)

staff_sessions = table(
    "staff_sessions",
    text("token_hash", "SHA-256 of the token in the cookie", key=True),
    text("staff", "whose session"),
    number("started_ms", "when they signed in"),
    number("until_ms", "when it ends whatever happens"),
    Index("staff_sessions_by_staff", "staff"),
    purpose="who is signed in to the console",
    retention="12 hours",
    kind="secret",
)

staff_attempts = table(
    "staff_attempts",
    serial("attempt", "counts up"),
    text("name_hash", "SHA-256 of the name that was typed, once alone and once with that of the network address"),
    number("at_ms", "when"),
    Index("staff_attempts_by_name", "name_hash", "at_ms"),
    purpose="slows the guessing of staff passwords",
    retention="15 minutes",
    kind="operational",
)

# Cases -------------------------------------------------------------------------------------------

CASE = select(cases).where(cases.c.case == bindparam("id"))
OPEN_CASE = (
    select(cases)
    .where(
        cases.c.account == bindparam("about"),
        cases.c.queue == bindparam("in_queue"),
        cases.c.closed_ms.is_(None),
        cases.c.measure.is_(None),
    )
    .order_by(cases.c.opened_ms.desc(), cases.c.case)
)
QUEUE = (
    select(cases)
    .where(
        cases.c.closed_ms.is_(None),
        or_(cases.c.queue == bindparam("one"), cases.c.queue == bindparam("two"), cases.c.queue == bindparam("three")),
    )
    .order_by(desc(cases.c.priority), cases.c.due_ms, cases.c.opened_ms)
    .limit(bindparam("most"))
)
CASES_ABOUT = select(cases).where(cases.c.account == bindparam("about")).order_by(desc(cases.c.opened_ms))
CASE_THAT_IMPOSED = select(cases).where(cases.c.imposed == bindparam("measure_"))
DECIDED = (
    select(cases)
    .where(cases.c.closed_ms.is_not(None), cases.c.decided_by == bindparam("by"))
    .order_by(desc(cases.c.closed_ms))
    .limit(bindparam("most"))
)
EXPIRED_CASES = (
    select(cases.c.case, cases.c.account)
    .join(case_keys, case_keys.c.case == cases.c.case)
    .where(cases.c.closed_ms < bindparam("before_ms"))
    .order_by(cases.c.closed_ms)
)
LATE_APPEAL_OF = select(cases.c.case).where(
    cases.c.origin == bindparam("of_case"),
    or_(cases.c.closed_ms.is_(None), cases.c.closed_ms >= bindparam("before_ms")),
)
SET_CLAIM = (
    update(cases)
    .where(cases.c.case == bindparam("id"))
    .values(claimed_by=bindparam("by"), claim_until_ms=bindparam("until"))
)
SET_PLACE = (
    update(cases)
    .where(cases.c.case == bindparam("id"))
    .values(priority=bindparam("new_priority"), because=bindparam("new_because"), due_ms=bindparam("new_due"))
)
SET_QUEUE = (
    update(cases)
    .where(cases.c.case == bindparam("id"))
    .values(queue=bindparam("new_queue"), claimed_by=bindparam("none"), claim_until_ms=bindparam("none"))
)
SET_MERGED = (
    update(cases)
    .where(cases.c.case == bindparam("id"))
    .values(
        into=bindparam("other"),
        closed_ms=bindparam("at"),
        claimed_by=bindparam("none"),
        claim_until_ms=bindparam("none"),
    )
)
SET_DECIDED = (
    update(cases)
    .where(cases.c.case == bindparam("id"))
    .values(
        closed_ms=bindparam("at"),
        decided_by=bindparam("by"),
        action=bindparam("new_action"),
        policy=bindparam("new_policy"),
        severity=bindparam("new_severity"),
        decision=bindparam("new_decision"),
        imposed=bindparam("new_measure"),
        claimed_by=bindparam("none"),
        claim_until_ms=bindparam("none"),
    )
)

# Reports -----------------------------------------------------------------------------------------

REPORT = select(reports).where(reports.c.report == bindparam("which"))
REPORTS_OF_CASE = select(reports).where(reports.c.case == bindparam("of_case")).order_by(reports.c.filed_ms)
REPORTS_BY = (
    select(
        reports,
        cases.c.closed_ms,
        cases.c.claimed_by,
        cases.c.claim_until_ms,
        cases.c.action,
        cases.c.into.label("into_case"),
    )
    .join(cases, cases.c.case == reports.c.case)
    .where(reports.c.reporter == bindparam("by"))
    .order_by(desc(reports.c.filed_ms))
    .limit(bindparam("most"))
)
REPORTERS_OF_CASE = select(reports.c.reporter).where(reports.c.case == bindparam("of_case")).distinct()
REPORTS_SINCE = (
    select(func.count())
    .select_from(reports)
    .where(reports.c.reporter == bindparam("by"), reports.c.filed_ms > bindparam("since"))
)
MOVE_REPORTS = update(reports).where(reports.c.case == bindparam("of_case")).values(case=bindparam("to_case"))

# Evidence ----------------------------------------------------------------------------------------

WRAPPED_KEY = select(case_keys.c.wrapped).where(case_keys.c.case == bindparam("of_case"))
EXHIBITS = (
    select(exhibits, verdicts.c.verdict, reports.c.filed_ms)
    .join(verdicts, verdicts.c.exhibit == exhibits.c.exhibit, isouter=True)
    .join(reports, reports.c.report == exhibits.c.report)
    .where(exhibits.c.case == bindparam("of_case"))
    .order_by(reports.c.filed_ms, exhibits.c.report, exhibits.c.place)
)
NOTE = select(notes).where(notes.c.note == bindparam("id"), notes.c.case == bindparam("of_case"))
NOTES = select(notes.c.note, notes.c.kind).where(notes.c.case == bindparam("of_case"))
SEALED_NOTES = select(notes).where(notes.c.case == bindparam("of_case"))
COVERAGE = select(coverage).where(coverage.c.case == bindparam("of_case"))
SET_EXHIBIT = (
    update(exhibits)
    .where(exhibits.c.exhibit == bindparam("id"))
    .values(case=bindparam("to_case"), sealed=bindparam("new_sealed"))
)
SET_NOTE = (
    update(notes)
    .where(notes.c.note == bindparam("id"))
    .values(case=bindparam("to_case"), sealed=bindparam("new_sealed"))
)
MOVE_COVERAGE = update(coverage).where(coverage.c.case == bindparam("of_case")).values(case=bindparam("to_case"))
_a = attachments.c
ATTACHMENTS_MISSING = (
    select(_a.exhibit, _a.part, _a.message, _a.size, _a.content_hash, _a.pieces)
    .where(_a.report == bindparam("of_report"), or_(_a.blob.is_(None), _a.lost_ms.is_not(None)))
    .order_by(_a.exhibit, _a.part)
)
ATTACHMENT = select(attachments).where(_a.exhibit == bindparam("of_exhibit"), _a.part == bindparam("number"))
ATTACHMENTS_OF = select(_a.exhibit, _a.part, _a.blob).where(_a.case == bindparam("of_case"))
ATTACHMENT_HERE = (
    update(attachments)
    .where(_a.exhibit == bindparam("of_exhibit"), _a.part == bindparam("number"))
    .values(blob=bindparam("there"), lost_ms=bindparam("none"))
)
ATTACHMENTS_HELD = (
    select(_a.exhibit, _a.part, _a.blob, _a.size, _a.content_hash, _a.pieces, _a.lost_ms)
    .where(
        _a.blob.is_not(None),
        or_(_a.exhibit > bindparam("behind"), and_(_a.exhibit == bindparam("behind"), _a.part > bindparam("number"))),
    )
    .order_by(_a.exhibit, _a.part)
    .limit(bindparam("most"))
)
SET_ATTACHMENT_LOST = (
    update(attachments)
    .where(_a.exhibit == bindparam("of_exhibit"), _a.part == bindparam("number"))
    .values(lost_ms=bindparam("since"))
)
EXHIBITS_WITH_ATTACHMENTS = select(_a.exhibit).where(_a.case == bindparam("of_case")).distinct()
MOVE_ATTACHMENTS = update(attachments).where(_a.case == bindparam("of_case")).values(case=bindparam("to_case"))
FORGET_ATTACHMENTS = delete(attachments).where(_a.case == bindparam("of_case"))
FORGET_EXHIBITS = delete(exhibits).where(exhibits.c.case == bindparam("of_case"))
FORGET_NOTES = delete(notes).where(notes.c.case == bindparam("of_case"))
FORGET_COVERAGE = delete(coverage).where(coverage.c.case == bindparam("of_case"))
FORGET_VIEWS = delete(views).where(views.c.case == bindparam("of_case"))
FORGET_KEY = delete(case_keys).where(case_keys.c.case == bindparam("of_case"))
FORGET_VERDICT = delete(verdicts).where(verdicts.c.exhibit == bindparam("id"))
MOVE_VERDICTS = update(verdicts).where(verdicts.c.case == bindparam("of_case")).values(case=bindparam("to_case"))
VIEWS_SINCE = (
    select(func.count()).select_from(views).where(views.c.staff == bindparam("by"), views.c.at_ms > bindparam("since"))
)
# Appeals -----------------------------------------------------------------------------------------

APPEAL = select(appeals).where(appeals.c.measure == bindparam("of_measure"))
APPEALS_OF = select(appeals).where(appeals.c.account == bindparam("about"))
SET_APPEAL = (
    update(appeals)
    .where(appeals.c.measure == bindparam("of_measure"))
    .values(outcome=bindparam("new_outcome"), staff=bindparam("by"), decided_ms=bindparam("at"))
)

# Staff -------------------------------------------------------------------------------------------

STAFF = select(staff).where(staff.c.staff == bindparam("id"))
ALL_STAFF = select(staff).order_by(staff.c.added_ms)
LOGIN = (
    select(staff_logins, staff.c.roles, staff.c.ended_ms)
    .join(staff, staff.c.staff == staff_logins.c.staff)
    .where(staff_logins.c.login == bindparam("name"))
)
SET_ROLES = update(staff).where(staff.c.staff == bindparam("id")).values(roles=bindparam("new_roles"))
SET_ENDED = update(staff).where(staff.c.staff == bindparam("id")).values(ended_ms=bindparam("at"))
SET_PASSWORD = (
    update(staff_logins).where(staff_logins.c.staff == bindparam("id")).values(password_hash=bindparam("new_hash"))
)
FORGET_LOGIN = delete(staff_logins).where(staff_logins.c.staff == bindparam("id"))
SESSION = (
    select(staff_sessions, staff.c.roles)
    .join(staff, staff.c.staff == staff_sessions.c.staff)
    .where(
        staff_sessions.c.token_hash == bindparam("hash_"),
        staff_sessions.c.until_ms > bindparam("now"),
        staff.c.ended_ms.is_(None),
    )
)
END_SESSION = delete(staff_sessions).where(staff_sessions.c.token_hash == bindparam("hash_"))
END_SESSIONS_OF = delete(staff_sessions).where(staff_sessions.c.staff == bindparam("id"))
END_OLD_SESSIONS = delete(staff_sessions).where(staff_sessions.c.until_ms <= bindparam("now"))
ATTEMPTS = (
    select(func.count(), func.min(staff_attempts.c.at_ms).label("first_ms"))
    .select_from(staff_attempts)
    .where(staff_attempts.c.name_hash == bindparam("hash_"), staff_attempts.c.at_ms > bindparam("since"))
)
FORGET_ATTEMPTS = delete(staff_attempts).where(staff_attempts.c.name_hash.startswith(bindparam("name")))
FORGET_OLD_ATTEMPTS = delete(staff_attempts).where(staff_attempts.c.at_ms <= bindparam("before_ms"))
