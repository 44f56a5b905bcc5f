"""The static client: compressed as the browser takes it, cached as long as it may be."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from kith.app.http import client_files

SCRIPT = b"export const words = 'the same words again and again';\n" * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built client of two files, one with both compressed forms."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(b"<!doctype html><title>Kith</title>")
    (tmp_path / "assets" / "a.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "a.js.br").write_bytes(b"in brotli")
    (tmp_path / "assets" / "a.js.gz").write_bytes(gzip.compress(SCRIPT))
    return tmp_path


@pytest.fixture
def http(folder: Path) -> Iterator[TestClient[Litestar]]:
    """The files alone, without the rest of the server."""
    with TestClient(Litestar(client_files(folder))) as client:
        yield client


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0", "gzip"),
        ("deflate, gzip;q=0.5", "gzip"),
        ("identity", None),
        ("", None),
        ("brotli, x-gzip, *", None),
    ],
)
def test_a_file_goes_out_in_the_smallest_form_that_the_browser_takes(
    http: TestClient[Litestar], accepted: str, coding: str | None
) -> None:
    """And caches between are told that the form depends on what was asked."""
    with http.stream("GET", "/assets/a.js", headers={"Accept-Encoding": accepted}) as answer:
        assert answer.headers.get("content-encoding") == coding
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        length = int(answer.headers["content-length"])
    assert (length == len(SCRIPT)) is (coding is None)


def test_compressed_bytes_are_the_file(http: TestClient[Litestar]) -> None:
    """What gzip's form holds is what the browser would have got plain."""
    assert http.get("/assets/a.js", headers={"Accept-Encoding": "gzip"}).content == SCRIPT


def test_a_compressed_form_older_than_its_file_is_not_served(http: TestClient[Litestar], folder: Path) -> None:
    """It is of another build, whose code nobody wants any more."""
    script = folder / "assets" / "a.js"
    script.write_bytes(b"newer")
    for ending in (".br", ".gz"):
        os.utime(folder / "assets" / f"a.js{ending}", ns=(0, script.stat().st_mtime_ns - 1))
    assert http.get("/assets/a.js", headers={"Accept-Encoding": "br, gzip"}).content == b"newer"


def test_compressed_forms_have_no_addresses(http: TestClient[Litestar]) -> None:
    """As files of their own they would be scripts that are not text."""
    assert http.get("/assets/a.js.br").status_code == 404
    assert http.get("/assets/a.js.gz").status_code == 404


def test_the_page_is_served_for_every_other_address_and_is_never_kept_unasked(http: TestClient[Litestar]) -> None:
    """A file without compressed forms goes out plain."""
    answer = http.get("/c/anything", headers={"Accept-Encoding": "br, gzip"})
    assert answer.text.startswith("<!doctype html>")
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in answer.headers
