"""What Tempest is expected to skip and to fail here, and how a run differs from that.

Lines of the table: ``skip NAME  # reason``, ``fail NAME  # reason``, and ``left NAME  # reason`` for what is not run. A
name is a test's, or that of a class which as a whole is skipped, does not begin, or is not run.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LINE = re.compile(r"(?P<status>skip|fail|left) (?P<name>\S+)  # (?P<reason>\S.*)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a test: ``pass``, ``skip`` or ``fail``, and why as Tempest says."""

    status: str
    reason: str = ""


def read(text: str) -> dict[str, str]:
    """Return name → ``skip``, ``fail`` or ``left``; raises ValueError for a line that does not say why."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or match["name"] in found:
            raise ValueError(f"not a line of the table, or there twice: {line}")
        found[match["name"]] = match["status"]
    return found


def differences(expected: Mapping[str, str], outcomes: Mapping[str, Outcome], *, is_whole: bool) -> list[str]:
    """Return what is not as expected, a line each; after a run that was not whole, what never came is not missed."""
    found = [
        f"{name}: {outcome.status}, expected {expected.get(name, 'pass')}. {outcome.reason}".rstrip()
        for name, outcome in sorted(outcomes.items())
        if outcome.status != expected.get(name, "pass")
    ]
    if is_whole:
        missing = sorted(name for name in expected.keys() - outcomes.keys() if expected[name] != "left")
        found += [f"{name}: never came, expected {expected[name]}" for name in missing]
    if not any(outcome.status == "pass" for outcome in outcomes.values()):
        found.append("no test passed")
    return found


def counted(outcomes: Iterable[Outcome]) -> str:
    """Return how many passed, failed and were skipped."""
    statuses = [outcome.status for outcome in outcomes]
    return f"{statuses.count('pass')} passed, {statuses.count('fail')} failed, {statuses.count('skip')} skipped"
