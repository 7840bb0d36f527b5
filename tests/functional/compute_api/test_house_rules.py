"""Rules every route of the Compute API keeps, whoever adds it."""

from collections.abc import Iterator
from typing import Any

import falcon.testing
import pytest

from nova_lite import config
from nova_lite.api import app
from nova_lite.api.policies import registry
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database
from nova_lite.web.endpoint import Endpoint, declared_endpoint
from tests.functional.compute_api.cloud import Cloud, FakeImages

METHODS = ("get", "post", "put", "patch", "delete")


def _routes() -> list[tuple[str, object]]:
    """Return the URL table; building it opens nothing."""
    conf = config.load(files=[])
    api_db = Database("sqlite://")
    cells = Cells(conf, api_db)
    bus = Bus(conf, "kombu+memory:///house-rules")
    return app.routes(app.Backing(conf, api_db, cells, bus, FakeImages(), Fanout(conf, cells)))


def _responders() -> Iterator[Any]:
    for path, handler in _routes():
        for method in METHODS:
            responder = getattr(handler, f"on_{method}", None)
            if responder is not None:
                yield pytest.param(method, responder, id=f"{method.upper()} {path}")


@pytest.mark.parametrize(("method", "responder"), list(_responders()))
def test_every_route_declares_its_policy_and_schemas(method: str, responder: object) -> None:
    declared = declared_endpoint(responder)
    assert isinstance(declared, Endpoint)
    assert declared.policy
    assert set(declared.policy) <= {rule.name for rule in registry.rules()}
    if method in ("post", "put", "patch"):
        assert declared.body is not None


def test_no_rule_is_registered_twice() -> None:
    names = [rule.name for rule in registry.rules()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", [path for path, _ in _routes()])
def test_every_route_wants_a_token(cloud: Cloud, path: str) -> None:
    url = f"/v2.1{path}".replace("{", "").replace("}", "")
    assert falcon.testing.TestClient(cloud.app).simulate_get(url).status_code == 401
