"""``/os-cells``: ours alone, in every microversion alike."""

import falcon

from nova_lite.api.policies import cells as policies
from nova_lite.api.schemas import cells as schemas
from nova_lite.api.services.cells import CellService
from nova_lite.api.views import cells as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class Cells:
    """``/os-cells``"""

    def __init__(self, cells: CellService) -> None:
        self._cells = cells

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.many(req, self._cells.all()))
