"""The tables of this room and the statements on them, and nothing else."""

from __future__ import annotations

from sqlalchemy import Index, and_, bindparam, delete, func, or_, select, update

from kith.authorities.journal import NEXT_CALL
from kith.ledger.schema import data, number, table, text
from kith.messaging import store as messaging

_KEPT = "until 1 year after submission; then the key is destroyed"

tips = table(
    "tips",
    text("tip", "id of the CyberTip", key=True),
    text("case", "the decided case it comes from"),
    text("account", "who is reported"),
    text("wrote", "JSON: staff ids of who decided the case or changed the draft; none of them may approve"),
    number("drafted_ms", "when it was drafted"),
    text("approved_by", "staff id of the second person", null=True),
    number("approved_ms", "when it was approved", null=True),
    text("paper", "SHA-256 of the approved XML", null=True),
    text("state", "where it stands"),
    number("since_ms", "since when"),
    text("call", "the last call", null=True),
    number("code", "the last answer's code", null=True),
    text("report_id", "the receiver's number", null=True),
    number("test", "1 = sent to a test environment, 0 = to the real one; empty = not sent", null=True),
    number("finished_ms", "when it was finished", null=True),
    Index("tips_by_case", "case"),
    Index("tips_by_account", "account"),
    Index("tips_by_state", "state"),
    purpose="reports to the CyberTipline and where each stands; nothing of what they say",
    retention="2 years, as the staff log; without content",
    kind="projection",
)

keys = table(
    "tip_keys",
    text("tip", "id of the CyberTip", key=True),
    data("wrapped", "its data key under the server's evidence key"),
    purpose="opens a sealed CyberTip; destroying it destroys the paper, the answers and the bundle",
    retention=_KEPT,
    kind="secret",
)

papers = table(
    "tip_papers",
    text("tip", "id of the CyberTip", key=True),
    data("sealed", "the draft under the tip's data key"),
    data("sealed_xml", "exactly what was approved for sending, under the same key", null=True),
    purpose="what a CyberTip says, sealed",
    retention=_KEPT,
    kind="personal",
)

calls = table(
    "tip_calls",
    text("entry", "id of the journal entry", key=True),
    text("tip", "id of the CyberTip"),
    text("call", "submit, finish or retract"),
    number("attempt", "which attempt of this call since the approval, from 1"),
    number("intent_ms", "written down before the call"),
    text("request_hash", "SHA-256 of the body"),
    number("test", "1 = a test environment"),
    number("answered_ms", "written down after the answer, or after it was given up", null=True),
    text("outcome", "answered, not sent or lost", null=True),
    number("http_status", "of the answer", null=True),
    number("code", "of the answer", null=True),
    text("request_id", "Request-ID header of the answer", null=True),
    data("sealed_words", "what the answer or the failure said, under the tip's data key", null=True),
    Index("tip_calls_by_tip", "tip", "intent_ms"),
    Index("tip_calls_open", "answered_ms"),
    purpose="the journal of every call to the CyberTipline, before and after",
    retention=_KEPT,
    kind="operational",
)

waits = table(
    "tip_waits",
    text("tip", "id of the CyberTip", key=True),
    number("until_ms", "no further attempt before"),
    purpose="back-off between attempts",
    retention="until the CyberTip moves on",
    kind="operational",
)

preservations = table(
    "preservations",
    text("preservation", "id of what is kept", key=True),
    text("tip", "for which CyberTip"),
    text("case", "of which case"),
    number("since_ms", "since when"),
    number("until_ms", "until when"),
    number("ended_ms", "when the key was destroyed", null=True),
    Index("preservations_by_tip", "tip"),
    Index("preservations_by_end", "ended_ms", "until_ms"),
    purpose="what is held for investigators, why, and until when",
    retention="2 years after its end, without content",
    kind="projection",
)

bundles = table(
    "preserved_bundles",
    text("preservation", "id of what is kept", key=True),
    data("sealed", "report, evidence, account rows and envelopes with a manifest of hashes, under the tip's data key"),
    text("sealed_hash", "SHA-256 of the sealed bytes"),
    number("checked_ms", "when its integrity was last looked at"),
    number("damaged_ms", "when it was found damaged, if the last look found that", null=True),
    purpose="preservation for one year after a CyberTip (18 USC 2258A(h))",
    retention=_KEPT,
    kind="personal",
)

# CyberTips ---------------------------------------------------------------------------------------

TIP = select(tips).where(tips.c.tip == bindparam("id"))
TIPS = select(tips).order_by(tips.c.drafted_ms.desc()).limit(bindparam("most"))
TIP_OF_CASE = select(tips).where(tips.c.case == bindparam("of_case"))
TIP_EDITED = update(tips).where(tips.c.tip == bindparam("id")).values(wrote=bindparam("who"))
TIP_APPROVED = (
    update(tips)
    .where(tips.c.tip == bindparam("id"))
    .values(approved_by=bindparam("by"), approved_ms=bindparam("at"), paper=bindparam("hash_"))
)
TIP_MOVED = (
    update(tips)
    .where(tips.c.tip == bindparam("id"))
    .values(
        state=bindparam("new_state"),
        since_ms=bindparam("at"),
        call=bindparam("last_call"),
        code=bindparam("last_code"),
        report_id=func.coalesce(bindparam("number"), tips.c.report_id),
        test=func.coalesce(bindparam("is_test"), tips.c.test),
    )
)
TIP_FINISHED = update(tips).where(tips.c.tip == bindparam("id")).values(finished_ms=bindparam("at"))
TIP_STARTED_OVER = (
    update(tips).where(tips.c.tip == bindparam("id")).values(report_id=bindparam("none"), approved_by=bindparam("none"))
)
UNFINISHED_OF_CASE = select(tips.c.tip, tips.c.state).where(
    and_(tips.c.case == bindparam("of_case"), tips.c.finished_ms.is_(None))
)
PRIOR = (
    select(tips.c.report_id)
    .where(and_(tips.c.account == bindparam("about"), tips.c.finished_ms.is_not(None), tips.c.test == 0))
    .order_by(tips.c.finished_ms)
)
DUE = (
    select(tips.c.tip)
    .join(waits, waits.c.tip == tips.c.tip, isouter=True)
    .where(
        and_(
            or_(*(tips.c.state == state for state in NEXT_CALL)),
            or_(waits.c.until_ms.is_(None), waits.c.until_ms <= bindparam("now")),
        )
    )
    .order_by(tips.c.since_ms)
)
COUNTS = select(tips.c.state, tips.c.test, func.count().label("many")).group_by(tips.c.state, tips.c.test)

KEY = select(keys.c.wrapped).where(keys.c.tip == bindparam("id"))
KEY_DESTROYED = delete(keys).where(keys.c.tip == bindparam("id"))
PAPER = select(papers).where(papers.c.tip == bindparam("id"))
PAPER_SET = update(papers).where(papers.c.tip == bindparam("id")).values(sealed=bindparam("new_sealed"))
PAPER_XML = update(papers).where(papers.c.tip == bindparam("id")).values(sealed_xml=bindparam("new_xml"))
PAPER_GONE = delete(papers).where(papers.c.tip == bindparam("id"))

# The journal -------------------------------------------------------------------------------------

CALL = select(calls).where(calls.c.entry == bindparam("id"))
CALLS_OF = select(calls).where(calls.c.tip == bindparam("of_tip")).order_by(calls.c.intent_ms, calls.c.attempt)
UNANSWERED = select(calls.c.entry).where(calls.c.answered_ms.is_(None)).order_by(calls.c.intent_ms)
UNANSWERED_OF = select(calls.c.entry).where(and_(calls.c.tip == bindparam("of_tip"), calls.c.answered_ms.is_(None)))
ATTEMPTS = (
    select(func.count())
    .select_from(calls)
    .where(
        and_(
            calls.c.tip == bindparam("of_tip"),
            calls.c.call == bindparam("which"),
            calls.c.intent_ms >= bindparam("since"),
        )
    )
)
ANSWERED = (
    update(calls)
    .where(calls.c.entry == bindparam("id"))
    .values(
        answered_ms=bindparam("at"),
        outcome=bindparam("what"),
        http_status=bindparam("status"),
        code=bindparam("number"),
        request_id=bindparam("their_id"),
        sealed_words=bindparam("words"),
    )
)
CALLS_GONE = delete(calls).where(calls.c.tip == bindparam("of_tip"))
WAIT_OVER = delete(waits).where(waits.c.tip == bindparam("of_tip"))

# Preservation ------------------------------------------------------------------------------------

PRESERVATION = select(preservations).where(preservations.c.preservation == bindparam("id"))
PRESERVATION_OF = select(preservations).where(preservations.c.tip == bindparam("of_tip"))
PRESERVED = (
    select(preservations, bundles.c.sealed_hash, bundles.c.checked_ms, bundles.c.damaged_ms)
    .join(bundles, bundles.c.preservation == preservations.c.preservation, isouter=True)
    .order_by(preservations.c.until_ms)
)
PRESERVATION_DUE = select(preservations).where(
    and_(preservations.c.ended_ms.is_(None), preservations.c.until_ms <= bindparam("now"))
)
PRESERVATION_ENDED = (
    update(preservations).where(preservations.c.preservation == bindparam("id")).values(ended_ms=bindparam("at"))
)
BUNDLE = select(bundles).where(bundles.c.preservation == bindparam("id"))
BUNDLES_TO_CHECK = (
    select(bundles.c.preservation, preservations.c.tip, preservations.c.case)
    .join(preservations, preservations.c.preservation == bundles.c.preservation)
    .where(bundles.c.checked_ms <= bindparam("before"))
)
BUNDLE_CHECKED = (
    update(bundles)
    .where(bundles.c.preservation == bindparam("id"))
    .values(checked_ms=bindparam("at"), damaged_ms=bindparam("damaged"))
)
BUNDLE_GONE = delete(bundles).where(bundles.c.preservation == bindparam("id"))
ENVELOPES = (
    select(messaging.envelopes)
    .where(and_(messaging.envelopes.c.account == bindparam("whose"), messaging.envelopes.c.room == bindparam("where")))
    .order_by(messaging.envelopes.c.envelope)
)
