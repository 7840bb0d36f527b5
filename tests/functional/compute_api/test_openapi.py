"""``/openapi.json``: valid, complete, and saying of requests what becomes of them."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon.testing
import jsonschema_rs
import openapi_spec_validator
import pytest

from nova_lite import errors
from nova_lite.api.handlers import aggregates, server_actions, versions
from nova_lite.api.microversions import MAXIMUM, MINIMUM
from nova_lite.web.json_schema import modern
from nova_lite.web.openapi import declared_methods
from nova_lite.web.validation import Kinds, Query, Schemas
from nova_lite.web.versions import Version
from tests.functional.bodies import containers
from tests.functional.compute_api.cloud import Client, Cloud
from tests.functional.compute_api.routes import Request, every_request, table
from tests.functional.compute_api.test_fuzz import NASTY_TEXTS, NASTY_VALUES

EVERY_VERSION = [Version(2, minor) for minor in range(MINIMUM.minor, MAXIMUM.minor + 1)]

_DROPPED = object()
#: But for 1.0 and its like, which are integers in the document, as it says, and none for the API.
OTHER_VALUES = [value for value in NASTY_VALUES if not isinstance(value, float) or value % 1]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("openapi"))
    yield cloud
    cloud.close()


def get(cloud: Cloud, query: str = "", **headers: str) -> falcon.testing.Result:
    """Ask without a token."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return falcon.testing.TestClient(cloud.app).simulate_get("/openapi.json", query_string=query, headers=sent)


def document(cloud: Cloud, version: Version) -> Any:
    answer = get(cloud, f"microversion={version}")
    assert answer.status_code == 200
    return answer.json


@pytest.mark.parametrize("version", [MINIMUM, Version(2, 53), MAXIMUM], ids=str)
def test_it_is_an_openapi_document(shared: Cloud, version: Version) -> None:
    told = document(shared, version)
    assert told["info"]["version"] == str(version)
    openapi_spec_validator.validate(told, cls=openapi_spec_validator.OpenAPIV31SpecValidator)


def test_every_route_is_in_the_documents_of_its_versions_only(shared: Cloud) -> None:
    routes = {"/": versions.Version("v2.1"), **table(shared)}
    spans = {
        (method, path): (declared.since, declared.until or MAXIMUM)
        for path, handler in routes.items()
        for method, declared in declared_methods(handler)
    }
    assert len(spans) > 100
    for version in EVERY_VERSION:
        told = {
            (method, path)
            for path, item in document(shared, version)["paths"].items()
            for method in item
            if method != "parameters"
        }
        assert told == {route for route, (since, until) in spans.items() if since <= version <= until}, version


def test_who_asks_for_a_version_gets_its_document(shared: Cloud) -> None:
    assert get(shared).json["info"]["version"] == "2.1"
    assert get(shared, OpenStack_API_Version="compute 2.60").json["info"]["version"] == "2.60"
    answer = get(shared, "microversion=latest", OpenStack_API_Version="compute 2.60")
    assert answer.json["info"]["version"] == str(MAXIMUM)
    assert answer.headers["openstack-api-version"] == f"compute {MAXIMUM}"
    assert get(shared, "microversion=2.999").status_code == 406
    for query in ("microversion=two", "microversion=2.1,compute 2.5", "microversion=2.1&microversion=2.2", "other=1"):
        assert get(shared, query).status_code == 400, query


def test_what_a_client_has_is_not_sent_again(shared: Cloud) -> None:
    answer = get(shared, "microversion=2.79")
    etag = answer.headers["etag"]
    assert "max-age" in answer.headers["cache-control"]
    assert "OpenStack-API-Version" in answer.headers["vary"]
    for known in (etag, f'"old", W/{etag}', "*"):
        again = get(shared, "microversion=2.79", If_None_Match=known)
        assert (again.status_code, again.content) == (304, b""), known
    assert get(shared, "microversion=2.80", If_None_Match=etag).status_code == 200


def test_every_process_writes_the_same_documents(tmp_path: Path) -> None:
    """Or what a client has from one worker would be sent to it again by the next one."""
    program = """if True:
        import hashlib, pathlib, sys
        from tests.functional.compute_api import test_openapi as stories
        cloud = stories.Cloud(pathlib.Path(sys.argv[1]))
        every = (stories.get(cloud, f"microversion={version}").content for version in stories.EVERY_VERSION)
        print(*(hashlib.sha256(document).hexdigest() for document in every))
        cloud.close()
    """
    written = set()
    for seed in ("1", "2"):  # of hashes, which the order of a set follows
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", program, str(folder)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        written.add(subprocess.run(command, env=environment, capture_output=True, timeout=480, check=True).stdout)
    assert len(written) == 1


def test_it_says_where_the_paths_begin(shared: Cloud) -> None:
    below = falcon.testing.TestClient(shared.app)
    assert get(shared, "microversion=2.79").json["servers"] == [{"url": "/v2.1"}]
    mounted = below.simulate_get("/openapi.json", root_path="/compute", query_string="microversion=2.79")
    assert mounted.json["servers"] == [{"url": "/compute/v2.1"}]
    assert mounted.headers["etag"] != get(shared, "microversion=2.79").headers["etag"]


def test_it_stands_beside_the_versions_only(client: Client, shared: Cloud) -> None:
    for path in ("/openapi.json", "/demo/openapi.json"):
        assert client.get(path).status_code == 404
    assert shared.client(root="").post("/openapi.json", {}).status_code == 404


def test_a_body_the_document_allows_is_one_the_api_takes(shared: Cloud) -> None:
    """Good bodies and good ones spoiled in one place, in every version that changed what is good."""
    verdicts = set()
    for request in every_request(shared):
        if request.endpoint.body is not None:
            for version, bodies in _tries(request):
                told = _told(request.endpoint.body, version)
                for body in bodies:
                    allows = told.is_valid(body)
                    assert allows == _takes(request, version, body), (request.name, version, str(body)[:500])
                    verdicts.add(allows)
    assert verdicts == {True, False}


def test_a_query_the_document_allows_is_one_the_api_takes(shared: Cloud) -> None:
    told = document(shared, MAXIMUM)["paths"]
    verdicts = set()
    for path, handler in table(shared).items():
        for method, declared in declared_methods(handler):
            if not declared.is_known(MAXIMUM):
                continue
            for parameter in told[path][method]["parameters"]:
                if parameter.get("in") != "query" or parameter["name"] == "others":
                    continue
                is_list = parameter["schema"].get("type") == "array"
                check = jsonschema_rs.Draft202012Validator(parameter["schema"], validate_formats=True)
                for text in [*NASTY_TEXTS, "1", "true", "asc"]:
                    allows = check.is_valid([text, text] if is_list else text)
                    values = [text, text] if is_list else [text]
                    assert allows == _fits(declared.query, Query({parameter["name"]: values}), MAXIMUM), (path, text)
                    verdicts.add(allows)
    assert verdicts == {True, False}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}, id="bound outside"),
        pytest.param({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}, id="bound inside"),
        pytest.param({"items": {"type": ["string", "null"]}}, {"items": {"type": ["string", "null"]}}, id="same"),
    ],
)
def test_schemas_of_draft_4_are_translated(old: Any, new: Any) -> None:
    assert modern(old) == new
    assert modern({"properties": {"a": old}, "anyOf": [old]}) == {"properties": {"a": new}, "anyOf": [new]}


@pytest.mark.parametrize("unknown", [{"dependencies": {"a": ["b"]}}, {"items": [{}]}, {"id": "x"}])
def test_what_has_no_translation_is_not_passed_over(unknown: Any) -> None:
    with pytest.raises(ValueError, match="translation"):
        modern({"properties": {"a": unknown}})


def _told(body: Schemas, version: Version) -> Any:
    """Return what checks as the document of ``version`` says; there a UUID's format is no more than a hint."""
    return jsonschema_rs.Draft202012Validator(
        modern(body.at(version)), validate_formats=True, formats={"uuid": lambda text: True}
    )


def _takes(request: Request, version: Version, body: Any) -> bool:
    """Return whether the API takes a body, as far as schemas say."""
    declared = request.endpoint.body
    assert declared is not None
    if not _fits(declared, body, version):
        return False
    if not isinstance(declared, Kinds):
        return True
    name = next(iter(body))
    if request.path.startswith("/os-aggregates"):
        return name in aggregates.ACTIONS and _fits(aggregates.ACTIONS[name].schema, body, version)
    action = server_actions.ACTIONS.get(name)
    return action is not None and action.is_known(version) and _fits(action.schema, body, version)


def _fits(schemas: Schemas, value: Any, version: Version) -> bool:
    try:
        schemas.check(value, version)
    except errors.Invalid:
        return False
    return True


def _tries(request: Request) -> Iterator[tuple[Version, list[Any]]]:
    """Yield the versions that the schemas of a route tell apart, with bodies for each."""
    declared = request.endpoint.body
    assert declared is not None
    dated = declared.dated
    if "/servers/{server_id}/action" in request.path:
        dated = server_actions.ACTIONS[next(iter(request.body))].schema.dated
    bodies = [request.body, *_spoiled(request.body)]
    for since, _ in dated:
        if request.endpoint.is_known(since):
            yield since, bodies


def _spoiled(body: Any) -> Iterator[Any]:
    """Yield ``body`` with one value of it dropped, or another in its place, or a key too many."""
    for place, holder in enumerate(containers(body)):
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            for value in (_DROPPED, *OTHER_VALUES):
                spoiled = copy.deepcopy(body)
                where = list(containers(spoiled))[place]
                if value is _DROPPED:
                    del where[key]
                else:
                    where[key] = value
                yield spoiled
        if isinstance(holder, dict):
            spoiled = copy.deepcopy(body)
            list(containers(spoiled))[place]["unknown"] = 1
            yield spoiled
