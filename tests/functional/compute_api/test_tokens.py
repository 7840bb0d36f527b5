"""Nothing behind a version is shown without a token, and a project in the URL must be the token's."""

import falcon.testing

from nova_lite.api import app
from nova_lite.api.policies import registry
from nova_lite.api.services.notices import Notices
from nova_lite.cells.fanout import Fanout
from nova_lite.rpc.notifications import Notifier
from tests.functional.compute_api.cloud import Cloud


def test_every_route_wants_a_token(cloud: Cloud) -> None:
    fanout = Fanout(cloud.conf, cloud.cells)
    notices = Notices(cloud.conf, Notifier(cloud.conf))
    backing = app.Backing(
        cloud.conf, cloud.api_db, cloud.cells, cloud.api_bus, cloud.images, cloud.volumes, fanout, notices
    )
    client = falcon.testing.TestClient(cloud.app)
    for path, _ in app.routes(backing):
        url = f"/v2.1{path}".replace("{", "").replace("}", "")
        assert client.simulate_get(url).status_code == 401, url


def test_a_token_that_is_none_is_refused(cloud: Cloud) -> None:
    client = falcon.testing.TestClient(cloud.app)
    for token in ("", "a:b:c", "white space", ":"):
        assert client.simulate_get("/v2.1/servers", headers={"X-Auth-Token": token}).status_code == 401, token


def test_a_project_in_the_url_must_be_the_tokens(cloud: Cloud) -> None:
    server = cloud.add_server()
    client = cloud.client("alice:demo")
    for root in ("/v2.1", "/v2.1/demo", "/v2", "/v2/demo"):
        answer = cloud.client("alice:demo", root=root).get(f"/servers/{server.uuid}")
        assert answer.status_code == 200, root
        assert answer.json["server"]["links"][0]["href"].endswith(f"{root}/servers/{server.uuid}")
    refused = client.get(f"/elsewhere/servers/{server.uuid}")
    assert refused.status_code == 400
    assert "elsewhere" in refused.json["badRequest"]["message"]
    assert cloud.client("admin:admins").get("/demo/servers").status_code == 400


def test_the_old_version_has_no_microversions(cloud: Cloud) -> None:
    server = cloud.add_server()
    shown = cloud.client(root="/v2", version="2.104").get(f"/servers/{server.uuid}").json["server"]
    assert "description" not in shown
    assert "links" in shown["flavor"]


def test_no_rule_is_registered_twice() -> None:
    names = [rule.name for rule in registry.rules()]
    assert len(names) == len(set(names))
