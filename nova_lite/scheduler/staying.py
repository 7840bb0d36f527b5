"""Whether a server can stay on its host with another image. Pure.

Nothing is chosen and nothing claimed: the server holds its place already, and another image must not change what that
is. Of the rules of the cloud only those count that are about images: a host that is disabled or full by now keeps its
servers.
"""

from collections.abc import Collection, Mapping

from nova_lite.errors import Invalid
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import prefilters, request
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.pipeline import Entry, sift
from nova_lite.scheduler.prefilters import Asked

#: The filters that look at images, of those that run where they are configured.
_FILTERS = ("AggregateImagePropertiesIsolation", "ImageProperties", "IsolatedHosts")
#: The pre-filters that look at where a server goes, not at what its image is like.
_OF_PLACES = frozenset({"WantedHost", "AvailabilityZone", "Enabled", "TenantAggregates", "IsolatedAggregates"})


def refusal(
    spec: RequestSpec,
    host: HostState,
    traits: Mapping[str, Collection[str]],
    held: Mapping[str, Mapping[str, int]],
    *,
    filters: Mapping[str, Entry],
    prefilters_on: Collection[str],
) -> str | None:
    """Return, for users, why a server that ``spec`` describes, with its new image, cannot stay on ``host``.

    ``held`` is what it holds: provider UUID → class → amount; ``traits`` are those of these providers and of the
    host's root. ``filters`` and ``prefilters_on`` are those that run.
    """
    try:
        needs = request.needs(spec.claimed_flavor, spec.image_properties)
        running = [name for name in prefilters_on if name not in _OF_PLACES]
        restrictions = prefilters.restrictions(Asked(spec, needs), running)
    except Invalid as exc:
        return exc.message
    if needs.totals != _totals(held):
        return "With this image the server would need other resources than it has."
    here = {trait for found in traits.values() for trait in found}
    missing = sorted(needs.required - here)
    if missing:
        return f"Its host does not have {', '.join(missing)}."
    for each in restrictions.values():
        if not each.required <= here or each.forbidden & here:
            return f"Its host {each.one}."
    suiting = {name: filters[name] for name in _FILTERS if name in filters}
    _, stages = sift([host], Sought(spec), suiting)
    return next((f"Its host is {stage.words}." for stage in stages if stage.refused), None)


def _totals(held: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for amounts in held.values():
        for name, amount in amounts.items():
            found[name] = found.get(name, 0) + amount
    return found
