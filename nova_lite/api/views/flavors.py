"""How flavors look."""

from collections.abc import Sequence

import falcon

from nova_lite.api.views import links
from nova_lite.api.views.fields import Field, View
from nova_lite.model.flavor import Flavor
from nova_lite.web import paging

_BRIEF = View[Flavor](
    Field("id", lambda flavor: flavor.flavor_id),
    Field("name", lambda flavor: flavor.name),
    Field("description", lambda flavor: flavor.description, since="2.55"),
)
_FULL = View[Flavor](
    Field("id", lambda flavor: flavor.flavor_id),
    Field("name", lambda flavor: flavor.name),
    Field("ram", lambda flavor: flavor.ram_mib),
    Field("disk", lambda flavor: flavor.root_gib),
    Field("swap", lambda flavor: flavor.swap_mib or "", until="2.74"),
    Field("swap", lambda flavor: flavor.swap_mib, since="2.75"),
    Field("OS-FLV-EXT-DATA:ephemeral", lambda flavor: flavor.ephemeral_gib),
    Field("OS-FLV-DISABLED:disabled", lambda flavor: flavor.is_disabled, until="2.101"),
    Field("vcpus", lambda flavor: flavor.vcpus),
    Field("os-flavor-access:is_public", lambda flavor: flavor.is_public),
    Field("rxtx_factor", lambda flavor: flavor.rxtx_factor, until="2.101"),
    Field("description", lambda flavor: flavor.description, since="2.55"),
    Field("extra_specs", lambda flavor: flavor.extra_specs, since="2.61"),
)


def one(req: falcon.Request, flavor: Flavor, *, with_extra_specs: bool) -> dict[str, object]:
    """Return the document of one flavor; who may not list extra specs does not see them here either."""
    return {"flavor": _full(req, flavor, with_extra_specs=with_extra_specs)}


def many(
    req: falcon.Request, flavors: Sequence[Flavor], *, is_detailed: bool, with_extra_specs: bool, has_more: bool
) -> dict[str, object]:
    """Return one page of flavors."""
    shown = [
        _full(req, flavor, with_extra_specs=with_extra_specs) if is_detailed else _brief(req, flavor)
        for flavor in flavors
    ]
    document: dict[str, object] = {"flavors": shown}
    if has_more:
        href = paging.next_url(links.collection_url(req), req.context.query, flavors[-1].flavor_id)
        document["flavors_links"] = [{"rel": "next", "href": href}]
    return document


def _brief(req: falcon.Request, flavor: Flavor) -> dict[str, object]:
    return {**_BRIEF.render(flavor, req.context.version), "links": links.of(req, "flavors", flavor.flavor_id)}


def _full(req: falcon.Request, flavor: Flavor, *, with_extra_specs: bool) -> dict[str, object]:
    shown = {**_FULL.render(flavor, req.context.version), "links": links.of(req, "flavors", flavor.flavor_id)}
    if not with_extra_specs:
        shown.pop("extra_specs", None)
    return shown
