"""``/os-baremetal-nodes``, up to 2.35. There is no bare metal service here: to look is 501, to change is 400."""

from typing import NoReturn

import falcon

from nova_lite import errors
from nova_lite.api.policies import baremetal_nodes as policies
from nova_lite.api.schemas import baremetal_nodes as schemas
from nova_lite.web.endpoint import ANY_QUERY, endpoint

_UNTIL = "2.35"


class BaremetalNodes:
    """``/os-baremetal-nodes``"""

    @endpoint(policy=policies.LIST, query=ANY_QUERY, enforce=True, until=_UNTIL)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _look()

    @endpoint(policy=policies.LIST, query=ANY_QUERY, body=schemas.NODE, enforce=True, until=_UNTIL)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        _change()


class BaremetalNode:
    """``/os-baremetal-nodes/{node_id}``"""

    @endpoint(policy=policies.SHOW, query=ANY_QUERY, enforce=True, until=_UNTIL)
    def on_get(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        _look()

    @endpoint(policy=policies.SHOW, query=ANY_QUERY, enforce=True, until=_UNTIL)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        _change()


class BaremetalNodeActions:
    """``/os-baremetal-nodes/{node_id}/action``"""

    @endpoint(policy=policies.SHOW, query=ANY_QUERY, body=schemas.ACTION, enforce=True, until=_UNTIL)
    def on_post(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        _change()


def routes() -> list[tuple[str, object]]:
    """Return the URLs of bare metal nodes."""
    return [
        ("/os-baremetal-nodes", BaremetalNodes()),
        ("/os-baremetal-nodes/{node_id}", BaremetalNode()),
        ("/os-baremetal-nodes/{node_id}/action", BaremetalNodeActions()),
    ]


def _look() -> NoReturn:
    raise errors.Unsupported("There is no bare metal service here.")


def _change() -> NoReturn:
    raise errors.Invalid("Bare metal nodes are changed through the bare metal service; there is none here.")
