"""Every microversion the Compute API speaks. What each changed is told at the change: schemas, views, routes."""

from nova_lite.web.versions import Negotiation, Version

MINIMUM = Version(2, 1)
MAXIMUM = Version(2, 104)

NEGOTIATION = Negotiation(
    service="compute",
    minimum=MINIMUM,
    maximum=MAXIMUM,
    legacy_header="X-OpenStack-Nova-API-Version",
)
