"""Where nova_lite means to answer otherwise than the real Placement, each with its reason. Pure.

Nothing else may differ. What is added here is added to the documentation of the API as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.integration.differential.answers import Answer
from tests.integration.differential.comparing import Problem
from tests.integration.differential.requests import NOTHING, Request


@dataclass(frozen=True)
class Case:
    """One problem with what was sent and what came."""

    request: Request
    ours: Answer
    real: Answer
    problem: Problem

    @property
    def path(self) -> str:
        """Return the path without its query."""
        return urlsplit(self.request.path).path

    @property
    def statuses(self) -> tuple[int, int]:
        """Return our status and the real one."""
        return self.ours.status, self.real.status


@dataclass(frozen=True)
class Deliberate:
    """One difference we want: ``applies`` tells whether a problem is a case of it."""

    reason: str
    applies: Callable[[Case], bool]


def _server_error_there(case: Case) -> bool:
    return case.real.status >= 500 and 400 <= case.ours.status < 500


def _vary_on_errors(case: Case) -> bool:
    return case.problem.what == "vary" and case.real.status >= 400 and not case.problem.there


def _unknown_parameter(case: Case) -> bool:
    return case.ours.status == 400 and b"query string: Additional properties" in case.ours.body


def _wrong_twice(case: Case) -> bool:
    return case.statuses == (400, 404) and case.request.body is not NOTHING and case.path.count("/") >= 2


DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate(
        "Odd input that the real service answers with 500 is refused with 4xx: the mistake is the client's.",
        _server_error_there,
    ),
    Deliberate("Every answer carries Vary; the real service leaves it out of many errors.", _vary_on_errors),
    Deliberate(
        "An unknown query parameter is 400 at every URL; the real service ignores it where it knows none at all.",
        _unknown_parameter,
    ),
    Deliberate(
        "A malformed body for what does not exist is 400: the body is checked before anything is looked up.",
        _wrong_twice,
    ),
)


def is_deliberate(request: Request, ours: Answer, real: Answer, problem: Problem) -> bool:
    """Return whether two answers differ in this on purpose."""
    case = Case(request, ours, real, problem)
    return any(entry.applies(case) for entry in DELIBERATE)
