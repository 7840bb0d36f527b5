"""GET /: the versions spoken here, shown to anyone."""

import falcon

from nova_lite.placement.microversions import NEGOTIATION
from nova_lite.placement.views import dates
from nova_lite.web.app import send_json


class Root:
    """The version document. It takes no policy and no schema: there is nothing in it to protect or to ask."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the version document."""
        document = {
            "id": "v1.0",
            "min_version": str(NEGOTIATION.minimum),
            "max_version": str(NEGOTIATION.maximum),
            "status": "CURRENT",
            "links": [{"rel": "self", "href": ""}],
        }
        dates.stamp(req, resp)
        send_json(resp, {"versions": [document]})
