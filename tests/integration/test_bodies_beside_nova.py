"""What a body may hold is what it may hold for the real Nova, in every version in which either takes something else.

Good bodies of all routes are spoilt in each of their places (``bodies/mutants.py``). Where only the real schemas refuse
what comes of it, ours may leave that to what reads the body: then the whole API is asked, and has to refuse it, too.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nova_lite.api.handlers.server_actions import ACTIONS
from nova_lite.errors import Invalid
from nova_lite.model.states import VmState
from nova_lite.web.validation import Schemas
from nova_lite.web.versions import Version
from tests.functional.compute_api.cloud import Cloud
from tests.functional.compute_api.routes import Request, every_request
from tests.integration.answers.cloud import MAXIMUM
from tests.integration.bodies.mutants import mutants
from tests.integration.conftest import started
from tests.integration.stack.real_nova import nova_venv
from tests.integration.stack.site import environment, run

_REPOSITORY = Path(__file__).resolve().parents[2]
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
}
#: What is asked although its route is gone or a stub: the group is looked for first.
_NOT_FOUND = re.compile(r"PUT /os-security-groups/\{security_group_id\}")


@dataclass(frozen=True)
class Difference:
    """Of two sets of schemas one refuses a body, and says why."""

    request: str
    version: int
    mutant: str
    body: Any
    theirs: str
    ours: str

    @property
    def name(self) -> str:
        """Return the request with what was done to its body."""
        return f"{self.request} {self.mutant}"


class _Bodies:
    """Our requests with bodies, and both clouds' words on their mutants."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.requests = {each.name: each for each in every_request(cloud) if each.body is not None}
        self._folder = folder
        self._write("requests", {name: [each.method, each.path, each.body] for name, each in self.requests.items()})
        changes = self._ask_theirs("changes")
        bodies = {name: self._bodies(name, set(changes[name])) for name in self.requests if changes[name]}
        self._write("bodies", bodies)
        self.bodies: dict[str, dict[str, Any]] = bodies
        self.theirs: dict[str, dict[str, list[str]]] = self._ask_theirs("theirs")

    def differences(self) -> Iterator[Difference]:
        """Yield what one of both refuses."""
        for name, versions in self.theirs.items():
            schemas, _, _ = self._declared(name)
            for version, said in versions.items():
                for (mutant, body), theirs in zip(mutants(self.bodies[name][version]), said, strict=True):
                    ours = _refusal(schemas, body, int(version))
                    if bool(theirs) != bool(ours):
                        yield Difference(name, int(version), mutant, body, theirs, ours)

    def _declared(self, name: str) -> tuple[Schemas, int, int]:
        """Return the schemas of a request, and its first and last version 2.N."""
        request = self.requests[name]
        action = ACTIONS.get(next(iter(request.body))) if request.path == "/servers/{server_id}/action" else None
        declared = action or request.endpoint
        schemas = action.schema if action else request.endpoint.body
        assert schemas is not None
        until = declared.until or Version(2, MAXIMUM)
        return schemas, max(declared.since, Version(2, 1)).minor, until.minor

    def _bodies(self, name: str, changes: set[int]) -> dict[str, Any]:
        """Return the good body of each version in which somebody takes something else."""
        schemas, since, until = self._declared(name)
        first = {since, until} | {each.minor for each, _ in schemas.dated} | changes
        return {
            str(version): _known(schemas, self.requests[name], version)
            for version in sorted(first)
            if since <= version <= until
        }

    def _ask_theirs(self, wanted: str) -> Any:
        argv = [str(nova_venv() / "bin" / "python"), "-m", "tests.integration.bodies.theirs", str(self._folder)]
        run(argv, log=self._folder / "theirs.log", env=environment(PYTHONPATH=str(_REPOSITORY)), timeout_s=1200)
        return json.loads((self._folder / f"{wanted}.json").read_text())

    def _write(self, name: str, content: object) -> None:
        (self._folder / f"{name}.json").write_text(json.dumps(content))


def _known(schemas: Schemas, request: Request, version: int) -> Any:
    """Return a request's body without what that version does not know, and without what the real Nova has not."""
    body = json.loads(json.dumps(request.body))
    body.get("server", {}).pop("deletion_protection", None)
    while strange := re.search(r"\((.*) (?:was|were) unexpected\)", _refusal(schemas, body, version)):
        for name in re.findall(r"'([^']+)'", strange[1]):
            for inner in body.values():
                inner.pop(name, None)
    return body


def _refusal(schemas: Schemas, body: Any, version: int) -> str:
    try:
        schemas.check(body, Version(2, version))
    except Invalid as exc:
        return exc.message
    return ""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def bodies(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> _Bodies:
    started(nova_venv)
    return _Bodies(cloud, tmp_path_factory.mktemp("bodies"))


@pytest.fixture(scope="module")
def found(bodies: _Bodies) -> list[Difference]:
    assert sum(len(said) for versions in bodies.theirs.values() for said in versions.values()) > 20_000
    return list(bodies.differences())


def test_what_the_real_one_takes_is_taken(found: list[Difference]) -> None:
    strange = [each for each in found if each.ours and not any(re.fullmatch(known, each.name) for known in _STRICTER)]
    assert not strange, "\n".join(f"{each.name}, 2.{each.version}: {each.ours[:200]}" for each in strange[:50])


def test_what_is_stricter_on_purpose_is(found: list[Difference]) -> None:
    names = {each.name for each in found if each.ours}
    assert [known for known in _STRICTER if not any(re.fullmatch(known, name) for name in names)] == []


def test_what_the_real_one_refuses_is_refused(cloud: Cloud, bodies: _Bodies, found: list[Difference]) -> None:
    server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid
    made = cloud.client("admin:demo", "2.1").post("/os-aggregates", {"aggregate": {"name": "racks"}})
    ids = {"server_id": server, "aggregate_id": str(made.json["aggregate"]["id"]), "flavor_id": "1"}
    strange = []
    for each in {each.name: each for each in found if each.theirs}.values():
        request = bodies.requests[each.request]
        path = re.sub(r"\{(\w+)\}", lambda part: ids.get(part[1], server), request.path)
        client = cloud.client("admin:demo", f"2.{each.version}")
        answer = {"POST": client.post, "PUT": client.put}[request.method](path, each.body)
        if answer.status_code != (404 if _NOT_FOUND.match(each.name) else 400):
            strange.append(f"{each.name}, 2.{each.version}: {answer.status_code}, theirs: {each.theirs}")
    assert not strange, "\n".join(strange[:50])
