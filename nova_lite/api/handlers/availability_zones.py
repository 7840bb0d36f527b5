"""``/os-availability-zone`` and ``/os-availability-zone/detail``."""

import falcon

from nova_lite.api.policies import availability_zones as policies
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.availability_zones import AvailabilityZoneService
from nova_lite.api.views import availability_zones as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class AvailabilityZones:
    """``/os-availability-zone``"""

    def __init__(self, zones: AvailabilityZoneService) -> None:
        self._zones = zones

    @endpoint(policy=policies.INDEX, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.many(self._zones.zones(), with_hosts=False))


class AvailabilityZonesDetail:
    """``/os-availability-zone/detail``"""

    def __init__(self, zones: AvailabilityZoneService) -> None:
        self._zones = zones

    @endpoint(policy=policies.DETAIL, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.many(self._zones.zones_and_internal(), with_hosts=True))
