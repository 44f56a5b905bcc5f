"""Every official MLS case of suite 1 or of no suite holds, and there are exactly as many as there should be."""

from collections.abc import Callable

import pytest

from vectors import official_mls
from vectors.official_mls import Case
from vectors.shared import mls


@pytest.mark.parametrize(("name", "check"), official_mls.FILES, ids=[name for name, _ in official_mls.FILES])
def test_the_official_cases_hold(name: str, check: Callable[[Case], bool]) -> None:
    """One file; each case in full."""
    cases = official_mls.counted(mls(name))
    assert cases
    assert [number for number, case in enumerate(cases) if not check(case)] == []


def test_no_case_is_left_out() -> None:
    """71 cases of suite 1 and 324 of no suite."""
    assert sum(len(official_mls.counted(mls(name))) for name, _ in official_mls.FILES) == official_mls.EXPECTED
