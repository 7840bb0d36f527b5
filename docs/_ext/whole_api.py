"""The whole Compute API, as clients know it from elsewhere, and what of it is served here.

What there is elsewhere stands in two lists beside this module; what is here is asked of the application.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from docs._ext import markup, routes
from nova_lite.api.handlers import aggregates, gone, server_actions
from nova_lite.api.microversions import NEGOTIATION
from nova_lite.api.schemas import baremetal_nodes, flavor_access, server_migrations
from nova_lite.web.versions import Version

_HERE = Path(__file__).parent
_PART = re.compile(r"\{[^}]*\}")
#: Where a list of servers' actions is.
SERVER_ACTION = "/servers/{}/action"
#: The same under a former name, where fewer of them are known.
FORMER_ACTION = "/os-volumes_boot/{}/action"
#: Where actions are → which there are.
_ACTIONS: Mapping[str, Collection[str]] = {
    SERVER_ACTION: server_actions.ACTIONS,
    "/flavors/{}/action": flavor_access.ACTION.dated[-1][1]["properties"],
    "/os-aggregates/{}/action": aggregates.ACTIONS,
    "/os-baremetal-nodes/{}/action": baremetal_nodes.ACTION.dated[-1][1]["properties"],
    "/servers/{}/migrations/{}/action": server_migrations.FORCE_COMPLETE.dated[-1][1]["properties"],
}
#: What is not here yet: how path and action begin, as a pattern, perhaps after a method → why.
WHY_NOT: Mapping[str, str] = {}
#: What is gone elsewhere and is a URL of ours.
OURS = frozenset({"GET /os-cells", "POST /os-cells"})


@dataclass(frozen=True)
class Known:
    """One request of the API elsewhere; ``path`` has ``{}`` for what may stand there, ``action`` is in the body."""

    method: str
    path: str
    action: str
    since: Version
    until: Version
    is_gone: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}" + (f" {self.action}" if self.action else "")


@dataclass(frozen=True)
class Change:
    """One microversion: ``state`` is works, always, nothing or missing."""

    version: Version
    state: str
    about: str


def known() -> list[Known]:
    """Return every request there is elsewhere."""
    return [_known(*line.split()) for line in _lines("whole_api.txt")]


def changes() -> list[Change]:
    """Return every microversion there is elsewhere."""
    split = (line.split(maxsplit=2) for line in _lines("whole_versions.txt"))
    return [Change(Version.parse(version), state, about) for version, state, about in split]


def served() -> dict[str, tuple[Version, Version]]:
    """Return what is served here, by its name as of ``Known`` → first and last version."""
    found: dict[str, tuple[Version, Version]] = {}
    for route in routes.compute_routes():
        path = _PART.sub("{}", route.path)
        for action in _actions(path) if path.endswith("/action") else [""]:
            since, until = route.since, route.until
            if path in (SERVER_ACTION, FORMER_ACTION):
                acting = server_actions.ACTIONS[action]
                since, until = max(since, acting.since), min(until, acting.until or until)
            found[f"{route.method} {path} {action}".strip()] = (since, until)
    return found


def refused_as_gone() -> set[str]:
    """Return what is answered with 410 here, by its name as of ``Known``; of ``/action`` whatever is asked."""
    names = {f"{method} {_PART.sub('{}', path)}" for path, methods in gone.GONE.items() for method in methods}
    return names | {f"POST {SERVER_ACTION} {action}" for action in server_actions.GONE}


def reason(each: Known) -> str | None:
    """Return the entry of ``WHY_NOT`` that is about a request, the longest there is."""
    names = (each.name, each.name.removeprefix(f"{each.method} "))
    found = (beginning for beginning in WHY_NOT if any(re.match(beginning, name) for name in names))
    return max(found, key=len, default=None)


def route_lines() -> list[str]:
    """Return every request there is elsewhere, with whether it works here."""
    here = served()
    rows = [(markup.code(each.name), f"{each.since} to {each.until}", markup.text(_state(each, here)))
            for each in known()]  # fmt: skip
    return markup.table(("request", "versions", "here"), rows, widths=(46, 14, 40))


def version_lines() -> list[str]:
    """Return every microversion, with whether what it brought is here."""
    words = {
        "works": "works",
        "always": "in every version",
        "nothing": "no subject: no longer in the API",
        "missing": "not yet",
    }
    rows = [(markup.code(str(each.version)), markup.text(each.about), words[each.state]) for each in changes()]
    return markup.table(("version", "what it brought", "here"), rows, widths=(10, 65, 25))


def _state(each: Known, here: dict[str, tuple[Version, Version]]) -> str:
    if each.is_gone:
        return "gone (410)" if each.name not in OURS else "gone elsewhere; here it is ours alone, see below"
    if each.name in here:
        ends = f"works; proxied away, 404 from {_after(each.until)}" if _is_over(each) else "works"
        return ends if here[each.name] == (each.since, each.until) else "works, in other versions"
    beginning = reason(each)
    why = f"not yet: {WHY_NOT[beginning]}" if beginning else "not yet"
    return f"{why}; 404 from {_after(each.until)}" if _is_over(each) else why


def _is_over(each: Known) -> bool:
    return each.until < NEGOTIATION.maximum


def _after(version: Version) -> Version:
    return Version(version.major, version.minor + 1)


def _actions(path: str) -> Collection[str]:
    if path == FORMER_ACTION:
        return server_actions.ACTIONS.keys() & {each.action for each in known() if each.path == path}
    return _ACTIONS[path]


def _known(method: str, path: str, since: str, until: str, gone_or_not: str = "") -> Known:
    path, _, action = path.partition("#")
    return Known(method, path, action, Version.parse(since), Version.parse(until), gone_or_not == "gone")


def _lines(name: str) -> list[str]:
    lines = (_HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
