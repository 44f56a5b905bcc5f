"""What the demo says: few lines, calm, and one table at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from kith.app.demo import residents
from kith.app.settings import Settings


class Say:
    """Lines for a terminal; progress rewrites its own line there, and elsewhere only says that it began."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._open = ""

    def line(self, text: str) -> None:
        """A line."""
        self.over()
        self._write(f"{text}\n")

    def step(self, text: str) -> None:
        """One of the slow things begins."""
        self.line(f"· {text}")

    def progress(self, text: str) -> None:
        """How far a slow thing is; `what: 3 of 15`."""
        what = text.partition(":")[0]
        if self._live:
            fresh = "" if self._open in {"", what} else "\n"
            self._write(f"{fresh}\r\x1b[K· {text}")
        elif self._open != what:
            self._write(f"· {what}\n")
        self._open = what

    def over(self) -> None:
        """Progress is over."""
        if self._live and self._open:
            self._write("\n")
        self._open = ""

    def interrupt(self, text: str) -> None:
        """Something unexpected, said once."""
        self.step(text)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def table(settings: Settings, data: Path, why: str | None) -> str:
    """Where to go, who can sign in, what to try, and how it ends."""
    people = [(p.handle, p.password, f"{p.age} years; {p.hint}") for p in residents.PEOPLE]
    staff = [(s.login, s.password, f"{', '.join(s.roles)}; {s.hint}") for s in residents.STAFF]
    example = f"make why ID={why}" if why else "make why ID=<a decision, account, report, case …>"
    return "\n".join(
        [
            "",
            "Kith's demo is open. Its people are made up; everything else is real.",
            "",
            f"  Write       {settings.origin}",
            *_rows(people),
            "    or make an account of your own and ask tomas, ines, emil, luca …",
            f"  Staff       {settings.staff_origin}",
            *_rows(staff),
            f"  CyberTips   go to a practice server, {settings.tipline.endpoint}",
            f"  Why         {example}",
            "              explains why a rule limited the seller Bruno",
            f"  Data        {data} (forget it: make demo-reset)",
            "",
            "Ctrl-C stops it.",
        ]
    )


def _rows(rows: list[tuple[str, str, str]]) -> list[str]:
    return [f"    {name:<10}{password:<22}{hint}" for name, password, hint in rows]
