"""Every URL of the two REST APIs with its rule and versions, as the applications' own URL tables declare them."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from oslo_policy import policy as oslo_policy

from docs._ext import markup
from nova_lite import config
from nova_lite.api import app as compute_api
from nova_lite.api import microversions as compute_versions
from nova_lite.api import urls
from nova_lite.api.handlers import openapi, server_actions, versions
from nova_lite.api.policies import base, registry
from nova_lite.api.services.notices import Notices
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.clients.images import Images
from nova_lite.clients.volumes import Volumes
from nova_lite.placement import app as placement_api
from nova_lite.placement import microversions as placement_versions
from nova_lite.placement import policies as placement_policies
from nova_lite.placement.reader import Reader
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.notifications import Notifier
from nova_lite.storage import Database
from nova_lite.web.endpoint import declared_endpoint
from nova_lite.web.versions import Version

#: The database that is named and never opened.
_NOWHERE = "sqlite:////nowhere/at/all.db"
#: Default of a rule → who that is.
_WHO = {
    base.PROJECT_READER_OR_ADMIN: "readers of the project, admins",
    base.PROJECT_MEMBER_OR_ADMIN: "members of the project, admins",
    base.PROJECT_MANAGER_OR_ADMIN: "managers of the project, admins",
    base.ADMIN: "admins",
    base.SERVICE_OR_ADMIN: "services, admins",
    base.OWNER_OR_ADMIN: "the user, admins",
    base.ANYONE: "anyone with a token",
    base.NOBODY: "nobody",
    placement_policies.ADMIN_OR_SERVICE: "admins, services",
    placement_policies.SERVICE: "services",
    placement_policies.READERS_TOO: "readers of the project, admins, services",
}


@dataclass(frozen=True)
class Route:
    """One method of one URL. No rules: open to all."""

    method: str
    path: str
    rules: tuple[str, ...]
    since: Version
    until: Version


def compute_routes() -> list[Route]:
    """Return every URL of the Compute API, below ``/v2.1``, and its documents about itself."""
    conf = config.load(files=[])
    database = Database(_NOWHERE)
    cells = Cells(conf, database)
    fanout, notices = Fanout(conf, cells), Notices(conf, Notifier(conf))
    backing = compute_api.Backing(conf, database, cells, Bus(conf), Images(conf), Volumes(conf), fanout, notices)
    documents = [(path, handler) for path, handler in versions.routes() if path != urls.CHOICES]
    documents += openapi.routes([])
    span = compute_versions.NEGOTIATION
    return list(_routes([*documents, *compute_api.routes(backing)], span.minimum, span.maximum))


def placement_routes() -> list[Route]:
    """Return every URL of the Placement API."""
    database = Database(_NOWHERE)
    span = placement_versions.NEGOTIATION
    return list(_routes(placement_api.routes(database, Reader(database)).items(), span.minimum, span.maximum))


def lines(api: str) -> list[str]:
    """Return the URL table of ``compute`` or ``placement``."""
    find, rules = {
        "compute": (compute_routes, registry.rules()),
        "placement": (placement_routes, list(placement_policies.RULES)),
    }[api]
    found, who = find(), _who(rules)
    rows = [
        (
            markup.code(f"{route.method} {route.path}"),
            f"{route.since} to {route.until}",
            ", ".join(markup.code(rule) for rule in route.rules),
            markup.text("; ".join(dict.fromkeys(who[rule] for rule in route.rules)) or "anyone, without a token"),
        )
        for route in found
    ]
    return markup.table(("request", "versions", "policy rule", "who, by default"), rows, widths=(38, 12, 30, 20))


def action_lines() -> list[str]:
    """Return what ``POST /servers/{server_id}/action`` does, one action a row."""
    who = _who(registry.rules())
    rows = [
        (markup.code(name), markup.code(action.policy), markup.text(who[action.policy]))
        for name, action in server_actions.ACTIONS.items()
    ]
    return markup.table(("action", "policy rule", "who, by default"), rows, widths=(30, 40, 30))


def version_lines(api: str) -> list[str]:
    """Return which versions an API speaks, in a sentence."""
    span = {"compute": compute_versions, "placement": placement_versions}[api].NEGOTIATION
    header = f"``OpenStack-API-Version: {span.service} VERSION``"
    older = f", or the older ``{span.legacy_header}: VERSION``" if span.legacy_header else ""
    return [
        f"Microversions **{span.minimum}** to **{span.maximum}** are spoken. A client asks with the header {header}"
        f"{older}; ``latest`` means {span.maximum}; with neither it gets {span.minimum}. "
        "What it got is told by the same header of the answer. A version outside is answered 406.",
        "",
    ]


def microversion_lines(api: str) -> list[str]:
    """Return what each version of an API changed, as a table."""
    changes = {"placement": placement_versions.MICROVERSIONS}[api]
    rows = [(markup.code(version), markup.text(what)) for version, what in changes.items()]
    return markup.table(("version", "what it brought"), rows, widths=(10, 90))


def _routes(table: Iterable[tuple[str, Any]], minimum: Version, maximum: Version) -> Iterator[Route]:
    for path, handler in table:
        for name, responder in inspect.getmembers(handler, callable):
            if not name.startswith("on_") or name == "on_head":
                continue  # HEAD is GET without its body.
            declared = declared_endpoint(responder)
            if declared is None:
                yield Route(name[3:].upper(), path, (), minimum, maximum)
            else:
                since, until = max(declared.since, minimum), declared.until or maximum
                yield Route(name[3:].upper(), path, declared.policy, since, until)


def _who(rules: Iterable[oslo_policy.RuleDefault]) -> dict[str, str]:
    return {rule.name: _WHO.get(rule.check_str, rule.check_str) for rule in rules}
