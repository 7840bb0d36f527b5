"""Bodies and queries may hold what they may hold for the real Nova, in every version in which either takes others.

Good bodies of all routes are spoilt in each of their places, and each query parameter is sent with values of all kinds
(``bodies/mutants.py``). Where only the real schemas refuse what comes of it, ours may leave that to what reads it: then
the whole API is asked, and has to refuse it, too.
"""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from nova_lite.api.handlers.server_actions import ACTIONS
from nova_lite.errors import Invalid
from nova_lite.model.states import VmState
from nova_lite.web.endpoint import NO_QUERY, declared_endpoint
from nova_lite.web.validation import Schemas
from nova_lite.web.versions import Version
from tests.functional.compute_api.cloud import Cloud
from tests.functional.compute_api.routes import every_request, table
from tests.integration.answers.cloud import MAXIMUM
from tests.integration.bodies.mutants import mutants, queries
from tests.integration.conftest import started
from tests.integration.stack.real_nova import nova_venv, told_by

#: What only we refuse, on purpose: request and mutant → why.
_STRICTER = {
    r".* (\w+\.)+adminPass: \"x+": "a password is no longer than others keep it: 255 characters",
    r".* createBackup\.backup_type: \"x+": "it is kept as an image's property of 255 characters",
    r"POST /flavors/\{flavor_id\}/action \w+TenantAccess \w+\.tenant: .*": "an id of a project has no such characters",
    r"POST /os-floating-ips .*: (\{\"a\": \"b\"\}|one key more)": "there is nothing else to say",
    r"POST /servers/\{server_id\}/action (add|remove)SecurityGroup all of it: one key more": "one action at a time",
    r"POST /servers/\{server_id\}/action (add|remove)SecurityGroup \w+\.name: .*": "no group has such a name",
    r"POST /os-baremetal-nodes/.*": "an action has one name, which it knows",
    r"PUT /os-aggregates/\{aggregate_id\} aggregate\.(name|availability_zone): \" a\"": "white space at its ends",
    r"PUT /servers/\{server_id\} server\.pinned_availability_zone: .*": "as when a server is made",
    r".*\? marker=(x+)?": "no marker is empty or that long",
    r".*\? (user_id|tenant_id)=.*": "an id of a user or project has no such characters",
    r"GET /flavors(/detail)? \? name=x+": "no flavor has so long a name",
    r"GET /(servers|os-volumes_boot)(/detail)? \? sort_dir.*": "the real one refuses it where it sorts",
    r"GET /os-cells \? .*": "there it is 410",
}
#: The one that is asked for is looked for first.
_NOT_FOUND = re.compile(r"PUT /os-security-groups/\{security_group_id\}")


@dataclass(frozen=True)
class Asked:
    """A request of ours: its good body, or None where its query is meant; from and up to which version 2.N."""

    method: str
    path: str
    body: Any
    schemas: Schemas
    since: int
    until: int

    @property
    def kind(self) -> str:
        """Return what is compared."""
        return "query" if self.body is None else "body"

    def refusal(self, sent: Any, version: int) -> str:
        """Return what our schemas have against a body or query; "" for nothing."""
        try:
            self.schemas.check(sent, Version(2, version))
        except Invalid as exc:
            return exc.message
        return ""


@dataclass(frozen=True)
class Difference:
    """Of two sets of schemas one refuses what was sent, and says why."""

    request: str
    version: int
    mutant: str
    sent: Any
    theirs: str
    ours: str

    @property
    def name(self) -> str:
        """Return the request with what was done to it."""
        return f"{self.request} {self.mutant}"


class _Comparison:
    """Our requests, and both clouds' words on what may be sent with them."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.requests = {**_with_bodies(cloud), **_with_queries(cloud)}
        self._folder = folder
        asked = {name: [each.kind, each.method, each.path, each.body] for name, each in self.requests.items()}
        self._write("requests", asked)
        changes = self._ask_theirs("changes")
        self._asked = {name: self._by_version(name, *changes[name]) for name in self.requests if changes[name][0]}
        self._write("asked", self._asked)
        self.theirs: dict[str, dict[str, list[str]]] = self._ask_theirs("theirs")

    def differences(self) -> Iterator[Difference]:
        """Yield what one of both refuses."""
        for name, versions in self.theirs.items():
            request = self.requests[name]
            vary: Any = mutants if request.kind == "body" else queries
            for version, said in versions.items():
                for (mutant, sent), theirs in zip(vary(self._asked[name][version]), said, strict=True):
                    ours = request.refusal(sent, int(version))
                    if bool(theirs) != bool(ours):
                        yield Difference(name, int(version), mutant, sent, theirs, ours)

    def _by_version(self, name: str, changes: list[int], names: list[str]) -> dict[str, Any]:
        """Return, for each version in which somebody takes something else, a good body or the names of parameters."""
        request = self.requests[name]
        first = {request.since, request.until, *changes, *(each.minor for each, _ in request.schemas.dated)}
        versions = [version for version in sorted(first) if request.since <= version <= request.until]
        if request.kind == "body":
            return {str(version): _known(request, version) for version in versions}
        ours = {each for _, schema in request.schemas.dated for each in schema["properties"]}
        return {str(version): sorted(ours | set(names)) for version in versions}

    def _ask_theirs(self, wanted: str) -> Any:
        return told_by("tests.integration.bodies.theirs", self._folder, name=wanted, timeout_s=1200)

    def _write(self, name: str, content: object) -> None:
        (self._folder / f"{name}.json").write_text(json.dumps(content))


def _with_bodies(cloud: Cloud) -> dict[str, Asked]:
    found = {}
    for each in every_request(cloud):
        action = ACTIONS.get(next(iter(each.body or ()), "")) if each.path == "/servers/{server_id}/action" else None
        schemas = action.schema if action else each.endpoint.body
        if schemas is not None:
            found[each.name] = Asked(each.method, each.path, each.body, schemas, *_span(action or each.endpoint))
    return found


def _with_queries(cloud: Cloud) -> dict[str, Asked]:
    found = {}
    for path, handler in table(cloud).items():
        for name, responder in inspect.getmembers(handler, callable):
            declared = declared_endpoint(responder)
            if name.startswith("on_") and declared is not None and declared.query is not NO_QUERY:
                method = name.removeprefix("on_").upper()
                found[f"{method} {path} ?"] = Asked(method, path, None, declared.query, *_span(declared))
    return found


def _span(declared: Any) -> tuple[int, int]:
    return max(declared.since, Version(2, 1)).minor, (declared.until or Version(2, MAXIMUM)).minor


def _known(request: Asked, version: int) -> Any:
    """Return a request's body without what that version does not know, and without what the real Nova has not."""
    body = json.loads(json.dumps(request.body))
    body.get("server", {}).pop("deletion_protection", None)
    while strange := re.search(r"\((.*) (?:was|were) unexpected\)", request.refusal(body, version)):
        for name in re.findall(r"'([^']+)'", strange[1]):
            for inner in body.values():
                inner.pop(name, None)
    return body


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def compared(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> _Comparison:
    started(nova_venv)
    return _Comparison(cloud, tmp_path_factory.mktemp("bodies"))


@pytest.fixture(scope="module")
def found(compared: _Comparison) -> list[Difference]:
    for kind, least in (("body", 20_000), ("query", 10_000)):
        said = (each for name, each in compared.theirs.items() if compared.requests[name].kind == kind)
        assert sum(len(each) for versions in said for each in versions.values()) > least
    return list(compared.differences())


def test_what_the_real_one_takes_is_taken(found: list[Difference]) -> None:
    strange = [each for each in found if each.ours and not any(re.fullmatch(known, each.name) for known in _STRICTER)]
    assert not strange, "\n".join(f"{each.name}, 2.{each.version}: {each.ours[:200]}" for each in strange[:50])


def test_what_is_stricter_on_purpose_is(found: list[Difference]) -> None:
    names = {each.name for each in found if each.ours}
    assert [known for known in _STRICTER if not any(re.fullmatch(known, name) for name in names)] == []


def test_what_the_real_one_refuses_is_refused(cloud: Cloud, compared: _Comparison, found: list[Difference]) -> None:
    server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid
    made = cloud.client("admin:demo", "2.1").post("/os-aggregates", {"aggregate": {"name": "racks"}})
    ids = {"server_id": server, "aggregate_id": str(made.json["aggregate"]["id"]), "flavor_id": "1"}
    strange = []
    for each in {each.name: each for each in found if each.theirs}.values():
        request = compared.requests[each.request]
        path = re.sub(r"\{(\w+)\}", lambda part: ids.get(part[1], server), request.path)
        client = cloud.client("admin:demo", f"2.{each.version}")
        if request.kind == "body":
            answer = {"POST": client.post, "PUT": client.put}[request.method](path, each.sent)
        else:
            answer = client.request(request.method, path, query_string=urlencode(each.sent, doseq=True))
        if answer.status_code != (404 if _NOT_FOUND.match(each.name) else 400):
            strange.append(f"{each.name}, 2.{each.version}: {answer.status_code}, theirs: {each.theirs}")
    assert not strange, "\n".join(strange[:50])
