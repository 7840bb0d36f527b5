"""The router finds what falcon's own finds, for every kind of neighbour that templates can have."""

from typing import Any

import falcon
import falcon.testing
import pytest
from falcon.routing import CompiledRouter
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.web.routing import Router

TEMPLATES = (
    "/",
    "/servers",
    "/servers/detail",
    "/servers/{server_id}",
    "/servers/{server_id}/tags",
    "/servers/{server_id}/tags/{tag}",
    "/servers/{server_id}/action",
    "/hosts/{host}/up",
    "/hosts/{host}/down",
    "/hosts/all/down/{since}",
    "/deep/down/below",
)
#: Parts of paths: those of templates, others, and none at all.
PARTS = sorted(
    {part for template in TEMPLATES for part in template.split("/") if "{" not in part} | {"x", "{tag}", "é"}
)


class Thing:
    """Answers two methods."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, **parts: str) -> None: ...

    def on_put(self, req: falcon.Request, resp: falcon.Response, **parts: str) -> None: ...


def filled(router: Any) -> Any:
    for template in TEMPLATES:
        router.add_route(template, Thing())
    return router


OURS, FALCONS = filled(Router()), filled(CompiledRouter())


@given(st.lists(st.sampled_from(PARTS), max_size=6))
def test_it_finds_what_falcons_own_finds(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    ours, falcons = OURS.find(path), FALCONS.find(path)
    assert (ours is None) == (falcons is None)
    if ours is not None:
        assert ours[2:] == falcons[2:]
        assert ours[1].keys() == falcons[1].keys()


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_found(template: str) -> None:
    assert OURS.find(template)[3] == template


def test_a_method_that_is_not_there_is_told_with_those_that_are() -> None:
    app: Any = falcon.App(router=filled(Router()))
    client = falcon.testing.TestClient(app)
    assert client.simulate_get("/servers/1/tags").status_code == 200
    refused = client.simulate_delete("/servers/1/tags")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, PUT, OPTIONS")
    assert client.simulate_options("/servers/1/tags").headers["Allow"] == "GET, PUT"
    assert client.simulate_get("/servers/1/nothing").status_code == 404


def test_the_same_template_is_answered_by_who_came_last() -> None:
    router, last = Router(), Thing()
    router.add_route("/servers/{server_id}", Thing())
    assert router.find("/servers/1") is not None
    router.add_route("/servers/{server_id}", last)
    found = router.find("/servers/1")
    assert found is not None
    assert found[0] is last
    assert found[1]["GET"] == last.on_get


@pytest.mark.parametrize(
    "template", ["/servers/{other}", "/servers/{server_id}.json", "/x{y}z", "/{}", "/{a:int}", "/a}"]
)
def test_a_template_that_cannot_be_told_apart_is_refused(template: str) -> None:
    router = Router()
    router.add_route("/servers/{server_id}", Thing())
    with pytest.raises(ValueError, match="is no field"):
        router.add_route(template, Thing())
