"""A group's photo: set by admins, seen by whoever sees the name, gone with the group, and nothing but pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from kith.ledger.events import GroupPhotoChanged
from kith.messaging import store
from kith.messaging.flows import photos, roster
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import Refusal
from kith.messaging.pictures import MAX_BYTES, Picture
from kith.people import blocks
from kith.people.connections import grant
from kith.protocol.frames import ROSTER
from messaging.conftest import Call
from messaging.mls import Phone
from messaging.pictures import GPS, JPEG, WEBP, png, with_segment
from messaging.test_group_routes import NO_ROOM, people
from messaging.test_groups import Club, impose
from messaging.town import Town

Calls = Callable[[Phone], Call]


class Gallery:
    """Ana's group over HTTP, and Ben, whom she knows."""

    def __init__(self, town: Town, calls: Calls) -> None:
        self.town = town
        self.ana, self.ben = people(town)
        self.as_ana, self.as_ben = calls(self.ana), calls(self.ben)
        self.room = self.as_ana("POST", "/groups", {"name": "Hikers"}).json()["room"]
        self.path = f"/groups/{self.room}/photo"

    def set(self, data: bytes = WEBP, kind: str = "image/webp", by: Call | None = None) -> Any:
        """Set the photo."""
        return (by or self.as_ana)("PUT", self.path, content=data, kind=kind)

    def version(self) -> int | None:
        """As a member sees it."""
        found: int | None = self.as_ana("GET", f"/rooms/{self.room}").json()["group"]["photo"]
        return found


@pytest.fixture
def gallery(town: Town, calls: Calls) -> Gallery:
    """A group without a photo."""
    return Gallery(town, calls)


def test_a_photo_is_set_replaced_and_removed(gallery: Gallery) -> None:
    """The version counts every change and never comes back, also over a removal."""
    assert (gallery.version(), gallery.as_ana("GET", gallery.path).status_code) == (None, 404)
    assert gallery.set().status_code == 204
    seen = gallery.as_ana("GET", f"{gallery.path}?v=1")
    assert (gallery.version(), seen.status_code, seen.content) == (1, 200, WEBP)
    assert gallery.set(JPEG, "image/jpeg").status_code == 204
    assert (gallery.version(), gallery.as_ana("GET", gallery.path).content) == (2, JPEG)
    assert gallery.as_ana("DELETE", gallery.path).status_code == 204
    assert (gallery.version(), gallery.as_ana("GET", gallery.path).status_code) == (None, 404)
    assert gallery.as_ana("DELETE", gallery.path).status_code == 204
    assert gallery.set(png(), "image/png").status_code == 204
    assert gallery.version() == 4


def test_a_browser_does_nothing_with_a_photo_but_draw_it(gallery: Gallery) -> None:
    """The type that was checked, no sniffing, no script even when it is opened; kept only under its own version."""
    gallery.set()
    by_version = gallery.as_ana("GET", f"{gallery.path}?v=1").headers
    assert by_version["content-type"] == "image/webp"
    assert by_version["x-content-type-options"] == "nosniff"
    assert by_version["content-disposition"] == "inline"
    assert by_version["content-security-policy"] == "default-src 'none'; sandbox"
    assert by_version["cross-origin-resource-policy"] == "same-origin"
    assert by_version["cache-control"] == "private, max-age=86400, immutable"
    for other in ("", "?v=0", "?v=2"):
        assert gallery.as_ana("GET", gallery.path + other).headers["cache-control"] == "private, no-cache"


def test_who_may_name_the_group_may_set_its_photo(gallery: Gallery) -> None:
    """A member sees it and is told why she may not change it; made admin, she may."""
    gallery.as_ana("POST", f"/groups/{gallery.room}/invitations", {"account": gallery.ben.account})
    [waiting] = gallery.as_ben("GET", "/group-invitations").json()["received"]
    gallery.as_ben("POST", f"/group-invitations/{waiting['invitation']}/accept")
    gallery.set()
    refused = gallery.set(by=gallery.as_ben)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert gallery.as_ben("DELETE", gallery.path).status_code == 403
    assert gallery.as_ben("GET", gallery.path).content == WEBP
    gallery.as_ana("PUT", f"/groups/{gallery.room}/members/{gallery.ben.account}", {"role": "admin"})
    assert gallery.set(png(), "image/png", by=gallery.as_ben).status_code == 204


def test_strangers_see_no_photo_and_cannot_tell_a_group_from_none(gallery: Gallery) -> None:
    """Byte for byte the answer of a group that does not exist, with or without a photo; the control is a member."""
    answers = []
    for has_photo in (False, True):
        if has_photo:
            gallery.set()
        for room in (gallery.room, NO_ROOM):
            path = f"/groups/{room}/photo"
            answers += [
                gallery.as_ben("GET", path),
                gallery.as_ben("DELETE", path),
                gallery.as_ben("PUT", path, content=WEBP, kind="image/webp"),
            ]
    answers.append(gallery.as_ben("POST", "/group-links/photo", {"token": "never"}))
    shapes = {(a.status_code, a.content, tuple(sorted(set(a.headers.items())))) for a in answers}
    assert len(shapes) == 1
    assert answers[0].status_code == 404
    assert gallery.as_ana("GET", gallery.path).status_code == 200


def test_an_invitation_shows_the_photo_as_long_as_it_shows_the_name(gallery: Gallery) -> None:
    """Not before, not after it was declined, taken back or a block came between."""
    gallery.set()

    def invited() -> str:
        gallery.as_ana("POST", f"/groups/{gallery.room}/invitations", {"account": gallery.ben.account})
        [waiting] = gallery.as_ben("GET", "/group-invitations").json()["received"]
        assert (waiting["name"], waiting["photo"]) == ("Hikers", 1)
        assert gallery.as_ben("GET", gallery.path).content == WEBP
        return str(waiting["invitation"])

    assert gallery.as_ben("GET", gallery.path).status_code == 404
    gallery.as_ana("DELETE", f"/group-invitations/{invited()}")
    assert gallery.as_ben("GET", gallery.path).status_code == 404
    invited()
    gallery.town.do(blocks.block, gallery.ben.account, gallery.ana.account)
    assert gallery.as_ben("GET", gallery.path).status_code == 404
    gallery.town.do(blocks.unblock, gallery.ben.account, gallery.ana.account)
    gallery.town.do(grant, gallery.ben.account, gallery.ana.account)
    gallery.as_ben("POST", f"/group-invitations/{invited()}/decline")
    assert gallery.as_ben("GET", gallery.path).status_code == 404


def test_an_invitation_that_reached_nobody_shows_nothing(town: Town, calls: Calls) -> None:
    """A minor whom the inviter does not know is not led to the photo either; the control is a connected one."""
    gallery = Gallery(town, calls)
    gallery.set()
    stranger, friend = (town.phone(town.person(name, "13-15")) for name in ("kim", "lou"))
    town.do(grant, friend.account, gallery.ana.account)
    for handle in ("kim", "lou"):
        gallery.as_ana("POST", f"/groups/{gallery.room}/invitations", {"handle": handle})
    assert calls(stranger)("GET", gallery.path).status_code == 404
    assert calls(friend)("GET", gallery.path).status_code == 200


def test_a_live_link_shows_the_photo_with_the_name(gallery: Gallery) -> None:
    """By its token, in the body; a dead one nothing."""
    gallery.set()
    link = gallery.as_ana("POST", f"/groups/{gallery.room}/links", {}).json()
    token = {"token": link["token"]}
    assert gallery.as_ben("POST", "/group-links/look", token).json()["photo"] == 1
    shown = gallery.as_ben("POST", "/group-links/photo", token)
    assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, WEBP, "image/webp")
    assert shown.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert gallery.as_ben("GET", gallery.path).status_code == 404
    gallery.as_ana("DELETE", f"/groups/{gallery.room}/links/{link['link']}")
    assert gallery.as_ben("POST", "/group-links/photo", token).status_code == 404


def test_what_is_no_bare_picture_gets_a_sentence_and_changes_nothing(gallery: Gallery) -> None:
    """Polyglots, places, wrong types; too many bytes are not even read."""
    for data, kind, status in (
        (JPEG + b"PK\3\4", "image/jpeg", 400),
        (with_segment(0xE1, GPS), "image/jpeg", 400),
        (png(513, 8), "image/png", 400),
        (WEBP, "image/png", 400),
        (b"", "image/png", 400),
        (bytes(MAX_BYTES + 1), "image/png", 413),
        (b"<svg/>", "image/svg+xml", 400),
        (WEBP, "application/json", 400),
    ):
        answer = gallery.set(data, kind)
        assert answer.status_code == status, (kind, answer.text)
        assert answer.json()["error"]["message"].endswith(".")
    assert gallery.version() is None


def test_only_where_a_picture_is_set_may_a_body_be_one(gallery: Gallery) -> None:
    """Everywhere else a body is JSON and says so."""
    for method, path in (("POST", "/groups"), ("PUT", f"/groups/{gallery.room}")):
        answer = gallery.as_ana(method, path, content=b'{"name": "x"}', kind="image/png")
        assert "application/json" in answer.json()["error"]["message"], (method, path)


def test_the_ledger_says_who_and_when_and_holds_no_pixel(town: Town) -> None:
    """One event for each change, none for a removal of nothing; everybody inside is told to look again."""
    club = Club(town)
    ben = club.member("ben")
    picture = Picture("image/webp", WEBP)
    town.react()
    town.ack(club.phones[ben], *[mail.mail for mail in town.mail(club.phones[ben])])
    assert town.do(photos.change, club.ana, club.room, None, key=b"k") is None
    assert town.events(GroupPhotoChanged) == []
    assert town.do(photos.change, club.ana, club.room, picture, key=b"k") is None
    [event] = town.events(GroupPhotoChanged)
    assert event == GroupPhotoChanged(room=club.room, by=club.ana)
    assert town.mail(club.phones[ben]) == []
    town.react()
    assert [mail.kind for mail in town.mail(club.phones[ben])] == [ROSTER]


def test_a_photo_goes_when_it_is_replaced_and_when_the_last_one_leaves(town: Town) -> None:
    """The bytes are in the database file while it has them (the control), and nowhere in it afterwards."""
    club = Club(town)
    first, second = b"a first picture of hills" * 9, b"a second one of the sea" * 9

    def held(data: bytes) -> bool:
        town.database._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        return data in Path(town.database.path).read_bytes()

    town.do(photos.change, club.ana, club.room, Picture("image/png", first), key=b"k")
    assert held(first)
    town.do(photos.change, club.ana, club.room, Picture("image/png", second), key=b"k")
    assert (held(first), held(second)) == (False, True)
    town.do(roster.leave, club.ana, club.room)
    assert not held(second)
    assert town.ask(lambda reader: reader.one(store.GROUP_PHOTO, id=club.room)) is None


def test_photos_are_changed_at_a_person_s_pace(town: Town) -> None:
    """Ten in a row, then one in ten minutes; removing is always possible."""
    club, limits = Club(town), Limits(group_photos_at_once=2)

    def change(what: Picture | None) -> Any:
        return town.do(photos.change, club.ana, club.room, what, key=b"k", limits=limits)

    picture = Picture("image/webp", WEBP)
    assert [change(picture), change(picture)] == [None, None]
    refused = change(picture)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.retry_after_ms) == ("limited", DEFAULTS.group_photo_again_ms)
    assert change(None) is None
    town.clock.now += DEFAULTS.group_photo_again_ms
    assert change(picture) is None


def test_a_suspended_admin_says_nothing_by_a_photo(town: Town) -> None:
    """A measure has no door in pictures; the control is the same admin before."""
    club, picture = Club(town), Picture("image/webp", WEBP)
    assert town.do(photos.change, club.ana, club.room, picture, key=b"k") is None
    impose(town, club.ana, "suspended")
    refused = town.do(photos.change, club.ana, club.room, picture, key=b"k")
    assert isinstance(refused, Refusal)
    assert refused.code == "restricted"
