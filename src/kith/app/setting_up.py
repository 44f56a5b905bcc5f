"""Making a new server: its folder, settings, keys, database, and first staff."""

from __future__ import annotations

from pathlib import Path

from kith.app import keys
from kith.app.settings import SAMPLE, Operator, Settings, SettingsError
from kith.ledger.database import Database, wall_clock
from kith.reports import staffing
from kith.safety.rules import RULE_IDS


def create(
    data: Path,
    *,
    name: str,
    origin: str,
    staff_origin: str,
    port: int = 8000,
    staff_port: int = 8001,
    rules: dict[str, str] | None = None,
    operator: Operator | None = None,
    tipline: tuple[str, str, str] = ("", "", ""),
) -> None:
    """Make everything once; refuses a folder that already holds a server."""
    from kith.app.wiring import projectors  # noqa: PLC0415  the settings below must exist before the wiring reads them

    if (data / "kith.toml").exists():
        raise SettingsError(f"{data} already holds a server. Choose another folder, or remove this one yourself.")
    if ":" in name or "/" in name or not name:
        raise SettingsError(f"{name!r} is no server name: give a host without scheme and port, such as kith.example.")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    endpoint, user, password_file = tipline
    operator = operator or Operator()
    modes = rules or dict.fromkeys(sorted(RULE_IDS), "shadow")
    sample = SAMPLE.format(
        server_name=name,
        origin=origin.rstrip("/"),
        staff_origin=staff_origin.rstrip("/"),
        port=port,
        staff_port=staff_port,
        rules="\n".join(f'"{rule}" = "{mode}"' for rule, mode in modes.items()),
        operator=operator.name,
        first_name=operator.first_name,
        last_name=operator.last_name,
        email=operator.email,
        tipline=endpoint,
        tipline_user=user,
        tipline_password_file=password_file,
    )
    keys.create(data / "keys", wall_clock())
    database = Database(data / "kith.db", projectors())
    database.create_tables()
    database.close_now()
    # Written last: a folder with settings is a finished server.
    fresh = data / "kith.toml.new"
    fresh.write_text(sample)
    Settings.load(fresh)
    fresh.replace(data / "kith.toml")


def add_staff(data: Path, login: str, roles: tuple[str, ...], password: str) -> None:
    """A staff account; refuses in words."""
    from kith.app.wiring import projectors  # noqa: PLC0415  as above

    if not (data / "kith.db").is_file():
        raise SettingsError(f"{data} holds no server. Make one with `kith init`, or name its folder with --data.")
    fit = staffing.password_will_do(password)
    if fit.refused:
        raise SettingsError(fit.reasons[0].because)
    database = Database(data / "kith.db", projectors())
    try:
        decision = database.write_now(staffing.add_staff, login, staffing.hash_password(password), roles)
    finally:
        database.close_now()
    if decision.refused:
        raise SettingsError(decision.reasons[0].because)
