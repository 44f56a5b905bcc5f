"""The tables of this room and the statements on them, and nothing else."""

from __future__ import annotations

from sqlalchemy import Index, and_, bindparam, delete, func, null, select, update

from kith.ledger.schema import number, table, text

states = table(
    "safety_states",
    text("account", "whose behaviour", key=True),
    text("state", "JSON: sign-up time, first contacts of the last days with their answers, refusals by gates"),
    number("touched_ms", "when it changed last"),
    number("look_ms", "when silence settles into a no and the rules look again; empty = nothing open", null=True),
    Index("safety_states_by_touch", "touched_ms"),
    Index("safety_states_by_look", "look_ms"),
    purpose="behavioural features, kept up event by event, so that mass contact is noticed without reading",
    retention="90 days after the last change",
    kind="operational",
)

rooms = table(
    "safety_rooms",
    text("room", "a direct room in which the target has not written yet", key=True),
    text("requester", "who had asked"),
    text("target", "who accepted", key=True),
    number("at_ms", "when"),
    Index("safety_rooms_by_time", "at_ms"),
    purpose="to count whether first contacts are answered; never what is written",
    retention="until the target writes, at most 90 days",
    kind="operational",
)

firings = table(
    "rule_firings",
    text("rule", "which rule", key=True),
    text("account", "about whom", key=True),
    number("at_ms", "when it fired last"),
    number("live", "1 = with effects, 0 = in shadow"),
    purpose="so that a rule speaks once, not at every further act",
    retention="90 days",
    kind="projection",
)

notices = table(
    "notices",
    text("notice", "id of the notice", key=True),
    text("shown_to", "who sees it"),
    text("about", "whom it is about", null=True),
    text("rule", "for which reason"),
    number("shown_ms", "when it was put before the person"),
    number("dismissed_ms", "when the person put it away", null=True),
    number("over_ms", "when it lost its point: withdrawn, declined, blocked", null=True),
    Index("notices_by_reader", "shown_to", "about"),
    Index("notices_by_about", "about", "rule"),
    purpose="facts shown to people at the moment of decision, each at most once in some days",
    retention="90 days",
    kind="projection",
)

STATE = select(states.c.state).where(states.c.account == bindparam("id"))
STATE_SET = (
    update(states)
    .where(states.c.account == bindparam("id"))
    .values(state=bindparam("new_state"), touched_ms=bindparam("now"), look_ms=bindparam("look"))
)
STATES_DUE = (
    select(states.c.account)
    .where(states.c.look_ms <= bindparam("now"))
    .order_by(states.c.look_ms)
    .limit(bindparam("most"))
)
STATE_LOOKED = update(states).where(states.c.account == bindparam("id")).values(look_ms=null())
STATES_OLD = delete(states).where(states.c.touched_ms <= bindparam("before"))

ROOM = select(rooms.c.requester).where(and_(rooms.c.room == bindparam("id"), rooms.c.target == bindparam("writer")))
ROOM_TAKEN = delete(rooms).where(and_(rooms.c.room == bindparam("id"), rooms.c.target == bindparam("writer")))
ROOMS_OLD = delete(rooms).where(rooms.c.at_ms <= bindparam("before"))

FIRING = select(firings.c.at_ms).where(
    and_(firings.c.rule == bindparam("which"), firings.c.account == bindparam("whom"))
)
FIRING_FORGET = delete(firings).where(
    and_(firings.c.rule == bindparam("which"), firings.c.account == bindparam("whom"))
)

NOTICE = select(notices).where(notices.c.notice == bindparam("id"))
_OPEN = and_(notices.c.dismissed_ms.is_(None), notices.c.over_ms.is_(None))
NOTICES_OF = (
    select(notices).where(and_(notices.c.shown_to == bindparam("reader_"), _OPEN)).order_by(notices.c.shown_ms.desc())
)
NOTICE_ABOUT = (
    select(notices)
    .where(and_(notices.c.shown_to == bindparam("reader_"), notices.c.about == bindparam("whom"), _OPEN))
    .order_by(notices.c.shown_ms.desc())
    .limit(1)
)
SHOWN_BEFORE = (
    select(notices.c.shown_ms, notices.c.dismissed_ms)
    .where(
        and_(
            notices.c.shown_to == bindparam("reader_"),
            notices.c.about == bindparam("whom"),
            notices.c.rule == bindparam("which"),
        )
    )
    .order_by(notices.c.shown_ms.desc())
)
OPEN_ABOUT = select(notices).where(
    and_(notices.c.about == bindparam("whom"), notices.c.rule == bindparam("which"), _OPEN)
)
NOTICE_DISMISSED = (
    update(notices)
    .where(and_(notices.c.notice == bindparam("id"), notices.c.dismissed_ms.is_(None)))
    .values(dismissed_ms=bindparam("at"))
)
NOTICE_OVER = (
    update(notices)
    .where(and_(notices.c.notice == bindparam("id"), notices.c.over_ms.is_(None)))
    .values(over_ms=bindparam("at"))
)
NOTICES_OVER = (
    update(notices)
    .where(
        and_(
            notices.c.shown_to == bindparam("reader_"),
            notices.c.about == bindparam("whom"),
            notices.c.over_ms.is_(None),
        )
    )
    .values(over_ms=bindparam("at"))
)
OLDEST_NOTICE = select(func.min(notices.c.shown_ms))
OLDEST_FIRING = select(func.min(firings.c.at_ms))
NOTICES_FORGOTTEN = delete(notices).where(notices.c.shown_ms <= bindparam("before"))
FIRINGS_FORGOTTEN = delete(firings).where(firings.c.at_ms <= bindparam("before"))
