"""The filter for images that are kept to hosts of their own: pure."""

from collections.abc import Collection

from nova_lite.model.host import HostState
from nova_lite.scheduler.filters import Filter, Sought


def keeps_isolated(hosts: Collection[str], images: Collection[str], *, for_these_only: bool) -> Filter:
    """Return the filter that keeps isolated ``images`` to ``hosts`` and, ``for_these_only``, other images off them."""
    isolated_hosts, isolated_images = frozenset(hosts), frozenset(images)

    def refusal(host: HostState, sought: Sought) -> str | None:
        is_isolated = sought.spec.image_id in isolated_images
        if is_isolated and host.host not in isolated_hosts:
            return "not for isolated images"
        if for_these_only and not is_isolated and host.host in isolated_hosts:
            return "for isolated images only"
        return None

    return refusal
