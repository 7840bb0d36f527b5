"""Tells in what two answers to one request differ. Pure."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.integration.differential.answers import Answer, headers, normal
from tests.integration.differential.requests import Request

_CANDIDATES = "/allocation_candidates"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is otherwise here than there: the status, the body, a header by its name, an error's code."""

    what: str
    here: Any
    there: Any

    def __str__(self) -> str:
        return f"{self.what}: {str(self.here)[:500]} here, {str(self.there)[:500]} there"


def differences(ours: Answer, real: Answer, *, full: Answer | None = None) -> list[Problem]:
    """Return what differs, an empty list when both mean the same.

    ``full`` is the real answer without the limit, where there is one: which candidates come then is nobody's promise.
    """
    if ours.status != real.status:
        return [Problem("status", ours.status, real.status)]
    mine, theirs = headers(ours), headers(real)
    found = [
        Problem(name, mine.get(name), theirs.get(name))
        for name in sorted(set(mine) | set(theirs))
        if mine.get(name) != theirs.get(name)
    ]
    if full is not None and ours.status == 200:
        found += _limited(ours.document(), real.document(), full.document())
    elif ours.status >= 400 and (codes(ours), codes(real)) != ([], []) and codes(ours) != codes(real):
        found.append(Problem("code", codes(ours), codes(real)))
    elif (here := normal(ours.document())) != (there := normal(real.document())):
        found.append(first_difference("body", here, there))
    return found


def codes(answer: Answer) -> list[str]:
    """Return the codes of the errors that an answer tells."""
    document = answer.document()
    told = document.get("errors") if isinstance(document, dict) else None
    return [str(entry["code"]) for entry in told if "code" in entry] if isinstance(told, list) else []


def without_limit(request: Request) -> Request | None:
    """Return a query of candidates without its limit, None when it has none or is something else."""
    parts = urlsplit(request.path)
    if parts.path != _CANDIDATES or request.method != "GET":
        return None
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [pair for pair in pairs if pair[0] != "limit"]
    if len(kept) == len(pairs):
        return None
    path = f"{_CANDIDATES}?{urlencode(kept, safe=':,!')}"
    return Request("GET", path, request.version, token=request.token, headers=request.headers)


def _limited(ours: Any, real: Any, full: Any) -> list[Problem]:
    """Return what is wrong with a limited answer: too many or few, some that cannot be, wrong summaries."""
    mine, theirs = ours["allocation_requests"], real["allocation_requests"]
    possible = [normal(candidate) for candidate in full["allocation_requests"]]
    found = []
    if len(mine) != len(theirs):
        found.append(Problem("limited candidates", len(mine), len(theirs)))
    for candidate in map(normal, mine):
        if candidate not in possible:
            found.append(Problem("limited candidates", candidate, "not among all"))
            break
        possible.remove(candidate)
    wanted = _summaries(ours, full["provider_summaries"])
    if normal(ours["provider_summaries"]) != normal(wanted):
        found.append(first_difference("summaries of limited candidates", ours["provider_summaries"], wanted))
    return found


def _summaries(ours: Any, summaries: dict[str, Any]) -> dict[str, Any]:
    """Return those of ``summaries`` that belong to our candidates: who gives something and all of its tree."""
    givers: set[str] = set()
    for candidate in ours["allocation_requests"]:
        told = candidate["allocations"]
        givers |= {entry["resource_provider"]["uuid"] for entry in told} if isinstance(told, list) else set(told)
    roots = {summaries[uuid].get("root_provider_uuid", uuid) for uuid in givers if uuid in summaries}
    return {
        uuid: summary
        for uuid, summary in summaries.items()
        if uuid in givers or summary.get("root_provider_uuid") in roots
    }


def first_difference(where: str, here: Any, there: Any) -> Problem:
    """Return the first place in which two documents differ."""
    if isinstance(here, dict) and isinstance(there, dict):
        for name in sorted(set(here) | set(there)):
            if name not in here or name not in there:
                return Problem(f"{where}.{name}", here.get(name, "absent"), there.get(name, "absent"))
            if here[name] != there[name]:
                return first_difference(f"{where}.{name}", here[name], there[name])
    if isinstance(here, list) and isinstance(there, list):
        more = [entry for entry in here if entry not in there]
        less = [entry for entry in there if entry not in here]
        if len(more) == len(less) == 1:
            return first_difference(f"{where}[]", more[0], less[0])
        return Problem(where, f"{len(here)}, alone {more[:2]}", f"{len(there)}, alone {less[:2]}")
    return Problem(where, here, there)
