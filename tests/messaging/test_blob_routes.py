"""Attachments over HTTP: brought in pieces, read by ranges, refused in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from kith.messaging import blobs as policy
from kith.messaging import store
from kith.messaging.blob_format import BLOCK, CHECK, DamagedError, spoken
from kith.messaging.blobs import Span, Uploader, may_upload, read_offset, read_range
from kith.messaging.flows import blobs as flows
from kith.messaging.limits import DEFAULTS, Limits
from messaging.attachments import Depot, ciphertext, depot
from messaging.test_groups import impose
from messaging.town import Town

SIZE = 3 * BLOCK + 8192


@pytest.fixture
def blobs(town: Town, tmp_path: Path) -> Iterator[Depot]:
    """A server without attachments."""
    with depot(town, tmp_path) as made:
        yield made


def test_what_was_brought_in_pieces_is_read_whole_and_by_ranges(blobs: Depot) -> None:
    """By somebody else, who knows the id; every range is what the bytes say."""
    ana, ben = blobs.person("ana"), blobs.person("ben")
    data = ciphertext(SIZE)
    blob = blobs.put(ana, data, 50_000)
    whole = blobs(ben, "GET", f"/{blob}")
    assert (whole.status_code, whole.content) == (200, data)
    for start, stop in ((0, 1), (BLOCK - 1, BLOCK + 1), (SIZE - 1, SIZE), (5, 3 * BLOCK + 7), (BLOCK, 2 * BLOCK)):
        part = blobs(ben, "GET", f"/{blob}", headers={"Range": f"bytes={start}-{stop - 1}"})
        assert (part.status_code, part.content) == (206, data[start:stop]), (start, stop)
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert part.headers["content-length"] == str(stop - start)


def test_a_browser_does_nothing_with_an_attachment_but_hand_it_over(blobs: Depot) -> None:
    """No type, no sniffing, no script, no frame; kept privately."""
    ana = blobs.person("ana")
    headers = blobs(ana, "GET", f"/{blobs.put(ana, ciphertext(SIZE))}").headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"] == "attachment"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "private, max-age=86400, immutable"
    assert headers["accept-ranges"] == "bytes"


def test_head_says_how_far_an_upload_came(blobs: Depot) -> None:
    """To its uploader; to others once it is complete."""
    ana, ben = blobs.person("ana"), blobs.person("ben")
    data = ciphertext(SIZE)
    blob = blobs.begin(ana, SIZE)
    assert blobs.bring(ana, blob, 0, data[:70_000]).headers["upload-offset"] == "70000"
    seen = blobs(ana, "HEAD", f"/{blob}")
    assert (seen.status_code, seen.headers["upload-offset"], seen.headers["upload-length"]) == (200, "70000", str(SIZE))
    assert blobs(ben, "HEAD", f"/{blob}").status_code == 404
    assert blobs(ana, "GET", f"/{blob}").status_code == 404
    blobs.bring(ana, blob, 70_000, data[70_000:])
    for who in (ana, ben):
        seen = blobs(who, "HEAD", f"/{blob}")
        assert (seen.status_code, seen.content) == (200, b"")
        assert (seen.headers["upload-offset"], seen.headers["content-length"]) == (str(SIZE), str(SIZE))


def test_absent_foreign_and_expired_blobs_answer_alike(blobs: Depot) -> None:
    """One body and the same headers, whatever is asked; the control is the owner's."""
    ana, ben = blobs.person("ana"), blobs.person("ben")
    unfinished = blobs.begin(ana, SIZE)
    expired = blobs.put(ana, ciphertext(SIZE))
    blobs.town.clock.now += DEFAULTS.blob_life_ms
    fresh = blobs.begin(ana, SIZE)
    ids = (unfinished, expired, fresh, "A" * 22, "A" * 21 + "B", "x", "%2e%2e%2fkith.db", "é" * 22)
    asks: list[Callable[[str], Any]] = [
        lambda blob: blobs(ben, "GET", f"/{blob}"),
        lambda blob: blobs.bring(ben, blob, 0, b"x"),
        lambda blob: blobs(ben, "DELETE", f"/{blob}"),
        lambda blob: blobs(ben, "HEAD", f"/{blob}"),
    ]
    for ask in asks:
        answers = [ask(blob) for blob in ids]
        shapes = {
            (a.status_code, a.content, tuple(sorted(set(a.headers.items()) - {("connection", "close")})))
            for a in answers
        }
        assert len({shape for shape in shapes if "cache-control" in dict(shape[2])}) == 1, shapes
        assert {a.status_code for a in answers} == {404}
    assert blobs(ana, "HEAD", f"/{fresh}").status_code == 200


def test_only_the_uploader_takes_a_blob_back_and_its_bytes_go(blobs: Depot) -> None:
    """At once, complete or not; somebody else gets the answer for nothing."""
    ana, ben = blobs.person("ana"), blobs.person("ben")
    complete, partial = blobs.put(ana, ciphertext(SIZE)), blobs.begin(ana, SIZE)
    blobs.bring(ana, partial, 0, b"z" * 1000)
    assert blobs.files() == {complete, f"{partial}.part"}
    assert blobs(ben, "DELETE", f"/{complete}").status_code == 404
    assert blobs(ben, "GET", f"/{complete}").status_code == 200
    assert blobs(ana, "DELETE", f"/{complete}").status_code == 204
    assert blobs(ana, "DELETE", f"/{partial}").status_code == 204
    blobs.sweep()
    assert blobs.files() == set()
    assert blobs(ben, "GET", f"/{complete}").status_code == 404


def test_deleting_waits_for_no_storage(blobs: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone for everybody at once, also while nothing can be removed; the control is that the bytes are there."""
    ana = blobs.person("ana")
    blob = blobs.put(ana, ciphertext(SIZE))
    asked = list[str]()
    monkeypatch.setattr(blobs.storage, "remove", asked.append)
    assert blobs(ana, "DELETE", f"/{blob}").status_code == 204
    assert blobs(ana, "GET", f"/{blob}").status_code == 404
    assert (asked, blobs.files()) == ([], {blob})
    blobs.sweep()
    assert asked == [blob]


@pytest.mark.parametrize("size", [0, -1, 15, 17, SIZE + 1, 64 * 1024 * 1024 + 1, 2**63, 80 * 1024 * 1024])
def test_a_size_that_is_no_bucket_is_refused(blobs: Depot, size: int) -> None:
    """The control: the largest bucket is taken."""
    ana = blobs.person("ana")
    answer = blobs(ana, "POST", json={"size": size})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
    assert blobs(ana, "POST", json={"size": 64 * 1024 * 1024}).status_code == 201


@pytest.mark.parametrize(
    "body", [{}, {"size": "sixteen"}, {"size": 1.5}, {"size": None}, {"size": 16, "name": "x"}, []]
)
def test_a_beginning_that_says_something_else_is_refused(blobs: Depot, body: Any) -> None:
    """No name, no type: there is no field for it."""
    assert blobs(blobs.person("ana"), "POST", json=body).status_code == 400


def test_octets_at_a_wrong_offset_change_nothing_and_the_right_one_is_told(blobs: Depot) -> None:
    """Ahead, behind, at the end; a complete blob takes nothing."""
    ana = blobs.person("ana")
    data = ciphertext(SIZE)
    blob = blobs.begin(ana, SIZE)
    blobs.bring(ana, blob, 0, data[:1000])
    for offset in (0, 999, 1001, SIZE, 10**11):
        answer = blobs.bring(ana, blob, offset, b"wrong")
        assert (answer.status_code, answer.headers["upload-offset"]) == (409, "1000"), offset
    assert blobs.bring(ana, blob, 1000, data[1000:]).status_code == 204
    assert blobs.bring(ana, blob, SIZE, b"").status_code == 409
    assert blobs(ana, "GET", f"/{blob}").content == data


@pytest.mark.parametrize("offset", ["-1", "+1", "0x10", "1.0", "1e3", "", "٣", "00", "9" * 40, "0, 0", "NaN"])
def test_an_offset_that_is_no_plain_number_is_refused(blobs: Depot, offset: str) -> None:
    """With the sentence that says how to write it."""
    ana = blobs.person("ana")
    blob = blobs.begin(ana, SIZE)
    headers: Any = [(b"content-type", b"application/octet-stream"), (b"upload-offset", offset.encode())]
    token = f"Bearer {blobs.tokens[ana]}".encode()
    answer = blobs.client.request(
        "PATCH", f"/api/v1/blobs/{blob}", content=b"x", headers=[*headers, (b"authorization", token)]
    )
    assert answer.status_code == 400
    assert "Upload-Offset" in answer.json()["error"]["message"]


def test_headers_that_are_missing_doubled_or_wrong_are_refused(blobs: Depot) -> None:
    """No offset, two offsets, another type, an encoding; and no other route takes raw octets."""
    ana = blobs.person("ana")
    blob = blobs.begin(ana, SIZE)
    token, typed = ("authorization", f"Bearer {blobs.tokens[ana]}"), ("content-type", "application/octet-stream")
    at = ("upload-offset", "0")
    for headers in (
        [token, typed],
        [token, typed, at, at],
        [token, at],
        [token, at, ("content-type", "application/json")],
        [token, at, ("content-type", "multipart/form-data; boundary=x")],
        [token, typed, at, ("content-encoding", "gzip")],
    ):
        answer = blobs.client.request("PATCH", f"/api/v1/blobs/{blob}", content=b"abc", headers=headers)
        assert answer.status_code == 400, headers
    answer = blobs.client.request("POST", "/api/v1/blobs", content=b'{"size": 16}', headers=[token, typed])
    assert answer.status_code == 400
    assert blobs(ana, "HEAD", f"/{blob}").headers["upload-offset"] == "0"


def test_more_octets_than_a_piece_or_than_are_missing_are_cut_off_and_forgotten(town: Town, tmp_path: Path) -> None:
    """Announced or not; the file does not grow and the upload goes on where it was."""
    with depot(town, tmp_path, limits=Limits(blob_piece=BLOCK)) as blobs:
        ana = blobs.person("ana")
        data = ciphertext(SIZE)
        blob = blobs.begin(ana, SIZE)
        assert blobs.bring(ana, blob, 0, data[:1000]).status_code == 204
        for body in (b"z" * (BLOCK + 1), iter([b"z" * BLOCK, b"z"])):
            answer = blobs.bring(ana, blob, 1000, body)
            assert (answer.status_code, answer.headers["upload-offset"]) == (413, "1000")
        for at in range(1000, SIZE - 10, BLOCK):
            blobs.bring(ana, blob, at, data[at : min(at + BLOCK, SIZE - 10)])
        assert blobs.bring(ana, blob, SIZE - 10, b"z" * 11).status_code == 413
        assert blobs.bring(ana, blob, SIZE - 10, data[-10:]).status_code == 204
        assert blobs(ana, "GET", f"/{blob}").content == data


def test_a_range_behind_the_end_is_416_and_one_that_is_none_is_everything(blobs: Depot) -> None:
    """As RFC 9110 section 14 has it."""
    ana = blobs.person("ana")
    data = ciphertext(SIZE)
    blob = blobs.put(ana, data)
    for header in (f"bytes={SIZE}-", f"bytes={10**17}-", "bytes=-0"):
        answer = blobs(ana, "GET", f"/{blob}", headers={"Range": header})
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{SIZE}"), header
        assert answer.json()["error"]["message"].endswith(".")
    for header in ("bytes=5-1", "bytes=0-1,3-4", "octets=0-1", "bytes=-", "bytes=a-b", "bytes=0--1", "9" * 300):
        answer = blobs(ana, "GET", f"/{blob}", headers={"Range": header})
        assert (answer.status_code, len(answer.content)) == (200, SIZE), header
    tail = blobs(ana, "GET", f"/{blob}", headers={"Range": "bytes=-10"})
    assert (tail.status_code, tail.content) == (206, data[-10:])
    other = {"Range": "bytes=0-1", "If-Range": '"another"'}
    assert blobs(ana, "GET", f"/{blob}", headers=other).status_code == 200
    same = {"Range": "bytes=0-1", "If-Range": f'"{blob}"'}
    assert blobs(ana, "GET", f"/{blob}", headers=same).content == data[:2]


@given(size=st.integers(1, 10**6), first=st.integers(0, 10**7), last=st.integers(0, 10**7))
def test_a_range_is_cut_to_what_is_there(size: int, first: int, last: int) -> None:
    """Never outside, never empty, and what begins behind the end is refused."""
    span = read_range(f"bytes={first}-{last}", size)
    if last < first:
        assert span == Span(0, size)
    elif first >= size:
        assert span is None
    else:
        assert span == Span(first, min(last + 1, size))


@given(st.text(max_size=30))
def test_any_text_is_an_offset_a_range_and_an_id_or_is_not(text: str) -> None:
    """No text breaks a reader of headers, and an id never leaves its folder."""
    offset = read_offset(text)
    assert offset is None or str(offset) == text
    span = read_range(text, 100)
    assert span is None or 0 <= span.start < span.stop <= 100
    assert not policy.is_id(text) or (len(text) == 22 and "/" not in text and "." not in text)


def test_what_rotted_on_the_disk_is_never_served(blobs: Depot) -> None:
    """At the start: an error; later: the connection ends early. One bit in any block, a cut file, a swapped one."""
    ana = blobs.person("ana")
    data = ciphertext(SIZE)
    blob = blobs.put(ana, data)
    file = blobs.folder / blob[:2] / blob
    good = file.read_bytes()
    for at in (0, BLOCK - 1, BLOCK, BLOCK + CHECK + 9, len(good) - 1):
        file.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        answer = blobs(ana, "GET", f"/{blob}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "damaged"), at
    for wrong in (good[:-1], good + b"\0", b""):
        file.write_bytes(wrong)
        assert blobs(ana, "GET", f"/{blob}").json()["error"]["code"] == "damaged"
    file.write_bytes(good)
    assert blobs(ana, "GET", f"/{blob}").content == data
    other = blobs.put(ana, ciphertext(SIZE, 2))
    file.write_bytes((blobs.folder / other[:2] / other).read_bytes())
    assert blobs(ana, "GET", f"/{blob}").json()["error"]["code"] == "damaged"


def test_a_log_names_no_blob_by_what_opens_it(blobs: Depot) -> None:
    """Whoever knows an id may read it: the log has a fingerprint, by which a file can be found."""
    ana = blobs.person("ana")
    rotten, lost, half = (blobs.put(ana, ciphertext(1024, number)) for number in (1, 2, 3))
    begun = blobs.begin(ana, SIZE)
    blobs.bring(ana, begun, 0, bytes(70_000))
    for blob, cut in ((rotten, 5), (half, 0)):
        os.truncate(blobs.folder / blob[:2] / blob, cut)
    (blobs.folder / lost[:2] / lost).unlink()
    os.truncate(blobs.folder / begun[:2] / f"{begun}.part", 3)
    with capture_logs() as logged:
        for blob in (rotten, lost, half):
            assert blobs(ana, "GET", f"/{blob}").json()["error"]["code"] == "damaged"
        assert blobs.bring(ana, begun, 70_000, bytes(9)).status_code == 404
    ids = (rotten, lost, half, begun)
    assert [entry["blob"] for entry in logged] == [spoken(blob) for blob in ids]
    assert not [blob for blob in ids if blob in str(logged) or blob in str(DamagedError(blob))]


def test_an_account_has_so_many_uploads_bytes_and_bytes_a_day(town: Town, tmp_path: Path) -> None:
    """Each refusal says what to do; deleting frees what is held, not the day."""
    unit = policy.UNIT
    limits = Limits(blob_uploads_open=3, blob_bytes_held=10 * unit, blob_bytes_per_day=16 * unit)
    with depot(town, tmp_path, limits=limits) as blobs:
        ana, ben = blobs.person("ana"), blobs.person("ben")
        opened = [blobs.begin(ana, unit) for _ in range(3)]
        fourth = blobs(ana, "POST", json={"size": unit})
        assert (fourth.status_code, fourth.json()["error"]["code"]) == (429, "limited")
        assert "3 uploads" in fourth.json()["error"]["message"]
        assert fourth.json()["error"]["decision"]
        assert blobs(ben, "POST", json={"size": unit}).status_code == 201
        for blob in opened:
            assert blobs(ana, "DELETE", f"/{blob}").status_code == 204
        held = blobs.put(ana, ciphertext(8 * unit))
        full = blobs(ana, "POST", json={"size": 4 * unit})
        assert (full.status_code, "30 days" in full.json()["error"]["message"]) == (429, True)
        blobs(ana, "DELETE", f"/{held}")
        day = blobs(ana, "POST", json={"size": 8 * unit})
        assert (day.status_code, "today" in day.json()["error"]["message"]) == (429, True)
        assert day.json()["error"]["retry_after_ms"] > 0
        town.clock.now += day.json()["error"]["retry_after_ms"]
        assert blobs(ana, "POST", json={"size": 8 * unit}).status_code == 201


def test_who_is_suspended_brings_nothing_and_reads_on(blobs: Depot) -> None:
    """With the decision; the control is the same person before."""
    ana = blobs.person("ana")
    blob = blobs.put(ana, ciphertext(SIZE))
    half = blobs.begin(ana, SIZE)
    impose(blobs.town, ana, "suspended")
    refused = blobs(ana, "POST", json={"size": SIZE})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert refused.json()["error"]["decision"]
    assert blobs.bring(ana, half, 0, b"x").status_code == 403
    assert blobs(ana, "GET", f"/{blob}").status_code == 200


def test_uploading_is_judged_by_facts_alone() -> None:
    """Each rule has its sentence: `standing`, `blob-uploads-open`, `blob-bytes-held`."""
    size, limits = 1024, DEFAULTS
    table = {
        "standing": Uploader(suspended=True, open_uploads=0, held_bytes=0, kept_bytes=0),
        "blob-uploads-open": Uploader(
            suspended=False, open_uploads=limits.blob_uploads_open, held_bytes=0, kept_bytes=0
        ),
        "blob-bytes-held": Uploader(
            suspended=False, open_uploads=0, held_bytes=limits.blob_bytes_held - size + 1, kept_bytes=0
        ),
    }
    for rule, facts in table.items():
        assert may_upload(facts, size, limits).reasons[0].rule == rule
    edge = Uploader(False, limits.blob_uploads_open - 1, limits.blob_bytes_held - size, limits.blob_bytes_kept)
    assert may_upload(edge, size, limits).allowed


def test_what_stays_as_evidence_is_her_own_beyond_an_allowance_and_is_never_refused(town: Town, tmp_path: Path) -> None:
    """Deleting what is held frees nothing beyond the allowance; up to it nobody can tell that it is held."""
    unit = policy.UNIT
    limits = Limits(blob_bytes_held=4 * unit, blob_bytes_kept=2 * unit, blob_bytes_per_day=1000 * unit)
    with depot(town, tmp_path, limits=limits) as blobs:
        ana, ben = blobs.person("ana"), blobs.person("ben")

        def room(person: str) -> int:
            """How many units she could upload now."""
            held = town.ask(lambda reader: reader.one(store.BLOBS_HELD, who=person, now=reader.now)).held
            kept = int(town.ask(lambda reader: reader.value(store.BYTES_KEPT, who=person)))
            return (limits.blob_bytes_held - policy.Uploader(False, 0, held, kept).counted(limits)) // unit

        for number in range(6):
            blob = blobs.put(ana, ciphertext(unit, number))
            assert town.do(flows.hold, blob, unit, f"exhibit {number}"), "evidence is held whatever it fills"
            assert town.do(flows.hold, blob, unit, f"another report's {number}")  # and counts once
            assert blobs(ana, "DELETE", f"/{blob}").status_code == 204
            assert room(ana) == 4 - max(0, number + 1 - 2)
        assert room(ben) == 4
        refused = blobs(ana, "POST", json={"size": unit})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limited")
        town.do(flows.release, "exhibit 0")
        assert room(ana) == 0, "the other report still holds it"
        town.do(flows.release, "another report's 0")
        assert blobs(ana, "POST", json={"size": unit}).status_code == 201


def test_a_stranger_brings_and_reads_nothing(blobs: Depot) -> None:
    """401 for everybody without a session, also with the id; a browser's cookie needs the right Origin."""
    ana = blobs.person("ana")
    blob = blobs.put(ana, ciphertext(SIZE))
    for method, path in (
        ("POST", ""),
        ("PATCH", f"/{blob}"),
        ("HEAD", f"/{blob}"),
        ("GET", f"/{blob}"),
        ("DELETE", f"/{blob}"),
    ):
        kind = "application/octet-stream" if method == "PATCH" else "application/json"
        body = None if method in ("GET", "HEAD", "DELETE") else b"{}"
        answer = blobs.client.request(method, f"/api/v1/blobs{path}", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 401, method
    foreign = blobs(ana, "DELETE", f"/{blob}", headers={"Origin": "https://elsewhere.example"})
    assert foreign.status_code == 403


def test_reading_has_a_pace(town: Town, tmp_path: Path) -> None:
    """Far above what a person does; nothing of it is in the database."""
    with depot(town, tmp_path, limits=Limits(blob_reads_at_once=2, blob_read_again_ms=1000)) as blobs:
        ana = blobs.person("ana")
        blob = blobs.put(ana, ciphertext(1024))
        codes = [blobs(ana, "GET", f"/{blob}").status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert blobs(ana, "GET", f"/{blob}").json()["error"]["retry_after_ms"] == 1000
