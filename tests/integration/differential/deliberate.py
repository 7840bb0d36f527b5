"""Where nova_lite means to answer otherwise than the real Placement, each with its reason. Pure.

Nothing else may differ. What is added here is added to the documentation of the API as well.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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


def _malformed_and_absent(case: Case) -> bool:
    return case.statuses == (400, 404) and case.request.body is not NOTHING and case.path.count("/") >= 2


def _stale_and_wrong(case: Case) -> bool:
    told_here = b"generation" in case.ours.body
    return case.statuses == (400, 409) and b"generation" in case.real.body and not told_here


def _another_mistake_first(case: Case) -> bool:
    value = any(words in case.ours.body for words in (b"no such trait", b"is not of type", b"does not match"))
    return case.statuses == (400, 400) and case.problem.what == "code" and value


def _negative_consumer_generation(case: Case) -> bool:
    return case.statuses == (400, 409) and b"consumer_generation: -1 is not" in case.ours.body.replace(b"\\", b"")


def _rename_dated(case: Case) -> bool:
    return case.request.method == "PUT" and case.problem.what == "last-modified" and case.path.count("/") == 2


def _long_limit(case: Case) -> bool:
    return case.statuses == (400, 200) and b"limit[0]:" in case.ours.body


def _control_characters(case: Case) -> bool:
    return case.ours.status == 400 and b"u001f" in case.ours.body


def _overcommitted_reserve(case: Case) -> bool:
    return case.path == "/reshaper" and case.statuses == (400, 204) and b"reserved" in case.ours.body


def _empty_consumer_there(case: Case) -> bool:
    asked_of_it = case.ours.status == 409 and b"expected null but got 0" in case.ours.body
    return asked_of_it or (case.real.status == 409 and b"expected 0 but got None" in case.real.body)


def _loose_versions_there(case: Case) -> bool:
    return (case.ours.status == 400 and b"is not a version" in case.ours.body) or case.request.version == "LATEST"


def _other_media_there(case: Case) -> bool:
    return case.real.status >= 400 and "json" not in case.real.headers.get("content-type", "json")


def _media_type_in_capitals(case: Case) -> bool:
    return case.real.status == 415 and case.request.headers.get("Content-Type") == "APPLICATION/JSON"


def _query_before_policy(case: Case) -> bool:
    return case.statuses == (400, 403) and case.path == "/usages"


def _small_letters(case: Case) -> bool:
    here, there = str(case.problem.here), str(case.problem.there)
    return case.problem.what.startswith(("body", "/resource_providers")) and _plain(here) == _plain(there)


def _plain(uuid: str) -> str:
    return uuid.lower().replace("-", "")


def _allow_missing_there(case: Case) -> bool:
    return case.real.status == 405 and case.problem.what == "allow" and not case.problem.there


def _empty_name(case: Case) -> bool:
    return case.ours.status == 400 and b'name: \\"\\" is shorter than 1 character' in case.ours.body


def _strict_tokens(case: Case) -> bool:
    return case.statuses in ((401, 403), (401, 401))


def _huge_number(case: Case) -> bool:
    refused = any(words in case.ours.body for words in (b"maximum of", b"is not valid under any", b"not of type"))
    return case.statuses == (400, 409) and refused and _has_huge_number(case.request.body)


def _has_huge_number(document: Any) -> bool:
    if isinstance(document, dict | list):
        return any(map(_has_huge_number, document.values() if isinstance(document, dict) else document))
    return isinstance(document, int) and abs(document) >= 1 << 31


def _nul(case: Case) -> bool:
    return case.ours.status == 400 and b"NUL character" in case.ours.body


def _whole_float(case: Case) -> bool:
    return (
        case.ours.status == 400
        and b'is not of type \\"integer\\"' in case.ours.body
        and case.real.status in (200, 201, 409)
    )


def _uuid_without_dashes(case: Case) -> bool:
    return case.ours.status == 400 and b"0-9a-fA-F]{12}" in case.ours.body and case.real.status in (200, 201, 409)


def _unknown_trait_of_nothing(case: Case) -> bool:
    """Return whether a query names an unknown trait or class, and the real one found before that nothing matches."""
    nothing = b'"allocation_requests": []' in case.real.body or b'"resource_providers": []' in case.real.body
    return case.statuses == (400, 200) and nothing and b"no such" in case.ours.body


def _odd_trait_filter(case: Case) -> bool:
    return case.statuses == (400, 200) and b"is neither in:A,B nor startswith:A" in case.ours.body


def _wrong_sums_there(case: Case) -> bool:
    """Return whether the real service added up twice, and ours gives what was asked for, to who has room for it.

    What it added up twice is then seen in its candidates, or misses there because so much would not fit.
    """
    if case.statuses != (200, 200) or not case.problem.what.startswith("body.allocation_requests"):
        return False
    pairs = parse_qsl(urlsplit(case.request.path).query)
    pieces = [piece for name, value in pairs if name.startswith("resources") for piece in value.split(",")]
    asked, groups = Counter[str](), Counter[str]()
    for piece in pieces:
        asked[piece.partition(":")[0]] += int(piece.partition(":")[2])
        groups[piece.partition(":")[0]] += 1
    ours, real = _candidates(case.ours), _candidates(case.real)
    if any(_given(one) != asked for one in ours):
        return False
    if any(_given(one) != asked for one in real):
        return True
    summaries = case.ours.document()["provider_summaries"]
    more = [one for one in ours if one not in real]
    return max(groups.values()) > 1 and all(one in ours for one in real) and all(_fits(one, summaries) for one in more)


def _fits(allocations: Any, summaries: Any) -> bool:
    """Return whether every provider has room for its part of a candidate."""
    told = allocations.items() if isinstance(allocations, dict) else _by_provider(allocations)
    for uuid, entry in told:
        for name, amount in entry["resources"].items():
            room = summaries[uuid]["resources"][name]
            if amount > room["capacity"] - room["used"]:
                return False
    return True


def _by_provider(allocations: Any) -> list[tuple[str, Any]]:
    return [(entry["resource_provider"]["uuid"], entry) for entry in allocations]


def _candidates(answer: Answer) -> list[Any]:
    return [candidate["allocations"] for candidate in answer.document()["allocation_requests"]]


def _given(allocations: Any) -> Counter[str]:
    given = Counter[str]()
    for entry in allocations if isinstance(allocations, list) else allocations.values():
        given.update(entry["resources"])
    return given


DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate(
        "Odd input that the real service answers with 500 is refused with 4xx: the mistake is the client's.",
        _server_error_there,
    ),
    Deliberate("Every answer carries Vary; the real service leaves it out of many errors.", _vary_on_errors),
    Deliberate(
        "A malformed body for what does not exist is 400: the body is checked before anything is looked up.",
        _malformed_and_absent,
    ),
    Deliberate(
        "What is stale and also wrong is 400: that cannot be mended by sending it again.",
        _stale_and_wrong,
    ),
    Deliberate("Of several mistakes in one request another may be told first.", _another_mistake_first),
    Deliberate("A negative generation of a consumer is 400.", _negative_consumer_generation),
    Deliberate("The answer to a rename always tells when the provider changed.", _rename_dated),
    Deliberate("A limit has at most 18 digits.", _long_limit),
    Deliberate("Names, projects and users hold no control characters.", _control_characters),
    Deliberate("A reshape cannot reserve more than there is, as no other request can.", _overcommitted_reserve),
    Deliberate(
        "A consumer that holds nothing does not exist. The real service keeps an empty one after a claim it refused or "
        "a claim of nothing, and then refuses the first real claim.",
        _empty_consumer_there,
    ),
    Deliberate(
        "A version is written in one way: 01.5, 1.05 and no version are 400; LATEST is latest.", _loose_versions_there
    ),
    Deliberate("Errors are JSON, whatever Accept says.", _other_media_there),
    Deliberate("Without Keystone a token is USER or USER:PROJECT; anything else is 401.", _strict_tokens),
    Deliberate("A number too large to be kept is 400, where the real service says that it conflicts.", _huge_number),
    Deliberate(
        "A candidate gives what was asked for. The real one may add up twice where two groups share a provider.",
        _wrong_sums_there,
    ),
    Deliberate("1.0 is no integer; the real service takes it for one and shows it as it came.", _whole_float),
    Deliberate("UUIDs are written with dashes.", _uuid_without_dashes),
    Deliberate(
        "A query that names an unknown trait is 400, even where nothing could match for another reason.",
        _unknown_trait_of_nothing,
    ),
    Deliberate(
        "GET /traits: a name with another operator than in: and startswith: is 400, not ignored.", _odd_trait_filter
    ),
    Deliberate("Every 405 says which methods there are; the real service forgets one.", _allow_missing_there),
    Deliberate("A media type may be written in capitals.", _media_type_in_capitals),
    Deliberate("A malformed query is 400 before anyone asks whether the caller may send it.", _query_before_policy),
    Deliberate("UUIDs are shown in small letters and with dashes, however they were sent.", _small_letters),
    Deliberate("A provider cannot be given an empty name.", _empty_name),
    Deliberate("A NUL character is 400 wherever it stands; not every database can keep one.", _nul),
)


def why_meant(request: Request, ours: Answer, real: Answer, problem: Problem) -> str | None:
    """Return the reason why two answers differ in this on purpose, None when they must not."""
    case = Case(request, ours, real, problem)
    return next((entry.reason for entry in DELIBERATE if entry.applies(case)), None)
