"""Who gets how far with every request: asked of the real application and written down in ``policy_matrix.txt``.

``python -m tests.functional.compute_api.policy_matrix`` in the source tree writes the table anew; read the difference
before you commit it. A row is a good request, a column a kind of caller. What is asked for belongs to alice of project
demo, so the callers of another project look at what is not theirs.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import falcon
import pytest

from nova_lite import errors
from nova_lite.api import app
from nova_lite.db.api_tables import AggregateHostRow, AggregateRow, FlavorRow, KeypairRow, ServerGroupRow
from nova_lite.db.repositories import actions
from nova_lite.model.caller import Caller, Policy
from nova_lite.model.states import VmState
from nova_lite.rpc.bus import Bus
from nova_lite.web.caller import Authenticator, unauthorized
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud, FakeImages
from tests.functional.compute_api.machines import add_machines
from tests.functional.compute_api.routes import ASK_A_HOST, NEWEST, Request, every_request

TABLE = Path(__file__).with_suffix(".txt")
GROUP_ID = "98765432-1234-4234-8234-123456789abc"
NO_SERVER = "00000000-0000-4000-8000-000000000000"
#: Kind of caller → the token that says so: user, project, roles, and a scope other than the project's.
CALLERS = {
    "anonymous": "",
    "no role": "alice:demo:",
    "reader": "alice:demo:reader",
    "member": "alice:demo:reader,member",
    "manager": "alice:demo:reader,member,manager",
    "admin": "alice:demo:reader,member,manager,admin",
    "service": "nova:demo:service",
    "colleague": "bob:demo:reader,member",
    "other reader": "mallory:elsewhere:reader",
    "other member": "mallory:elsewhere:reader,member",
    "other manager": "mallory:elsewhere:reader,member,manager",
    "other admin": "root:elsewhere:reader,member,manager,admin",
    "other service": "cinder:elsewhere:service",
    "system reader": "carol::reader:system",
    "system admin": "root::reader,member,manager,admin:system",
    "domain admin": "root::reader,member,manager,admin:domain",
}
#: Who sees the fields of the last part: alice, whose things they are, with more and more roles.
_INSIDERS = ("no role", "reader", "member", "manager", "admin")
_ACTION = "/servers/{server_id}/action"
_SERVER = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none"}
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY0H+Lq7kMIY/gfuyvmQbIEG16qI4jJ/qNBdDXVTCC/ me@here"
#: What asks for more than its URL says: method, path with query, body.
_MORE: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/servers?all_tenants=1", None),
    ("GET", "/servers/detail?all_tenants=1", None),
    ("POST", "/servers", {"server": {**_SERVER, "availability_zone": "nova:h1"}}),
    ("POST", "/servers", {"server": {**_SERVER, "host": "h1"}}),
    ("POST", "/servers", {"server": {**_SERVER, "hypervisor_hostname": "h1.lan"}}),
    ("POST", "/servers", {"server": {**_SERVER, "flavorRef": "0"}}),
    ("POST", _ACTION, {"migrate": {"host": "h2"}}),
    ("POST", _ACTION, {"os-migrateLive": {"host": "h2", "block_migration": "auto"}}),
    ("POST", "/servers/{shelved_id}/action", {"unshelve": {"host": "h2"}}),
    ("GET", "/os-migrations?project_id=demo", None),
    ("GET", "/os-migrations?project_id=elsewhere", None),
    ("GET", "/limits?tenant_id=demo", None),
    ("GET", "/limits?tenant_id=elsewhere", None),
    ("GET", "/os-keypairs?user_id=alice", None),
    ("GET", "/os-keypairs/{name}?user_id=alice", None),
    ("DELETE", "/os-keypairs/{name}?user_id=alice", None),
    ("POST", "/os-keypairs", {"keypair": {"name": "k", "type": "ssh", "public_key": _KEY, "user_id": "alice"}}),
    ("GET", "/os-quota-sets/{project_id}?user_id=alice", None),
)
#: How a field is that one caller does not find, that is null, that says something.
_CELLS = {None: "-", False: "null", True: "yes"}
#: Fields whose names below are users' own.
_MAPS = ("extra_specs", "metadata")
_HEAD = """\
# Who gets how far, with the rules as they are by default. Written by
# `python -m tests.functional.compute_api.policy_matrix`, checked by test_access.py.
# yes: let in, whatever is found then; 401, 403; 404: hears that there is no such thing, though there is.
# What is asked for is alice's and belongs to project demo: so does everybody up to `colleague`, who is bob.
# `other …` are of another project, `system …` and `domain …` have tokens of no project.
"""


class Badges(Authenticator):
    """Believes tokens of the form user:project:role,role, perhaps with ``:system`` or ``:domain`` behind."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def caller(self, req: falcon.Request, request_id: str, global_request_id: str | None) -> Caller:
        token = req.get_header("X-Auth-Token")
        if not token:
            raise unauthorized()
        user_id, project_id, roles, scope = (token + ":").split(":")[:4]
        return Caller(
            user_id,
            project_id,
            frozenset(roles.split(",")),
            request_id,
            self._policy,
            token=token,
            system_scope="all" if scope == "system" else None,
            domain_id="default" if scope == "domain" else None,
        )


def _no_answer(bus: Bus, topic: str, method: str, **rest: object) -> object:
    """Answer as hosts do that are not there, only at once."""
    raise errors.Timeout(f"No answer from {topic} in time.", method=method)


def open_cloud(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Return a cloud that believes badges, with hosts that do not answer and no quota in the way."""
    monkeypatch.setattr(app, "authenticator", lambda conf, policy: Badges(policy))
    monkeypatch.setattr(Bus, "call", _no_answer)
    made = Cloud(directory)
    add_machines(made)
    for resource in ("instances", "cores", "ram", "key_pairs", "server_groups"):
        made.conf.set_override(resource, -1, group="quota")
    return made


def everything_there(cloud: Cloud) -> dict[str, str]:
    """Make what requests name and return their parts."""
    cloud.images.images.update(FakeImages().images)
    server = cloud.add_server(CELL1, host="h1", metadata={"key": "v"})
    shelved = cloud.add_server(CELL1, vm_state=VmState.SHELVED_OFFLOADED)
    migration = cloud.add_migration(server)
    with cloud.cells.get(CELL1).db.writer() as session:
        about = {"instance_uuid": server.uuid, "request_id": "req-1"}
        actions.begin(
            session, action="stop", user_id="alice", project_id="demo", event="compute_stop_instance", **about
        )
        actions.finish(session, error="no", host="h1", **about)
    with cloud.api_db.writer() as session:
        if session.get(FlavorRow, 77) is None:
            row = FlavorRow(id=77, flavorid="77", name="flavor", vcpus=1, memory_mb=64, root_gb=1)
            row.extra_specs = {"hw:cpu_policy": "shared"}
            session.add(row)
        if session.query(ServerGroupRow).filter_by(uuid=GROUP_ID).first() is None:
            session.add(ServerGroupRow(uuid=GROUP_ID, project_id="demo", user_id="alice", name="g", policy="affinity"))
        if session.get(AggregateRow, 1) is None:
            session.add(AggregateRow(id=1, uuid=CELL1, name="racks"))
            session.flush()
        session.merge(AggregateHostRow(aggregate_id=1, host="h2"))
        if session.query(KeypairRow).filter_by(user_id="alice", name="mine").first() is None:
            session.add(KeypairRow(user_id="alice", name="mine", type="ssh", fingerprint="aa", public_key="k"))
    return {
        "server_id": server.uuid,
        "shelved_id": shelved.uuid,
        "request_id": "req-1",
        "key": "key",
        "tag": "red",
        "network": "private",
        "port_id": IMAGE_ID,
        "before": "2026-01-01 00:00:00",
        "alias": "os-services",
        "image_id": IMAGE_ID,
        "flavor_id": "77",
        "name": "mine",
        "service_id": "12345678-1234-4234-8234-123456789abc",
        "hypervisor_id": "h1",
        "host": "h1",
        "network_id": IMAGE_ID,
        "node_id": IMAGE_ID,
        "floating_ip_id": IMAGE_ID,
        "security_group_id": IMAGE_ID,
        "rule_id": IMAGE_ID,
        "share_id": IMAGE_ID,
        "migration_id": str(migration.number),
        "operation_id": "12345678-1234-4234-8234-123456789abc",
        "volume_id": IMAGE_ID,
        "snapshot_id": IMAGE_ID,
        "token": "unknown",
        "aggregate_id": "1",
        "project_id": "demo",
        "class_name": "default",
        "group_id": GROUP_ID,
    }


def answer(cloud: Cloud, method: str, path: str, body: Any, version: str, token: str) -> Any:
    """Return the answer to one request; ``path`` may have a query behind it."""
    given = {} if body is None else {"json": body}
    return cloud.client(token, version).request(method, path, **given)


def ask(cloud: Cloud, request: Request, token: str, parts: Mapping[str, str]) -> int:
    """Return the status of the answer to one of the routes' good requests."""
    path = request.path.format(**parts)
    status: int = answer(cloud, request.method, path, request.body, request.version, token).status_code
    return status


def written(cloud: Cloud) -> str:
    """Return the whole table."""
    found = list(every_request(cloud))
    routes = [(_name(each, found), each.method, each.path, each.body, each.version) for each in found]
    more = [(_more_name(*each), *each, NEWEST) for each in _MORE]
    fields = list(
        _field_rows(cloud, [each for each in found if each.method == "GET" and "volumes_boot" not in each.path])
    )
    parts = [
        _part("Every request", CALLERS, _rows(cloud, routes)),
        _part("What asks for more than its URL says", CALLERS, _rows(cloud, more)),
        _part("Fields that not everybody sees who is let in", _INSIDERS, fields),
    ]
    return "\n".join([_HEAD, *parts])


def kept() -> dict[str, dict[str, str]]:
    """Return of the table kept here: request → caller → how far that one gets."""
    [_, every, *_] = TABLE.read_text().split("\n== ")
    rows = [[cell.strip() for cell in line.split("|")] for line in every.splitlines()[1:] if line.strip()]
    return {name: dict(zip(rows[0][1:], cells, strict=True)) for name, *cells in rows[1:]}


def _name(request: Request, found: list[Request]) -> str:
    alike = [each for each in found if each.name == request.name]
    return request.name if len(alike) == 1 else f"{request.name} ({request.rule.rpartition(':')[2]})"


def _more_name(method: str, path: str, body: Any) -> str:
    if body is None:
        return f"{method} {path}"
    [(noun, given)] = body.items()
    told = [f"{name}={value}" for name, value in given.items() if _SERVER.get(name) != value and name != "public_key"]
    return f"{method} {path} {noun} {', '.join(each for each in told if 'block_migration' not in each)}".rstrip()


def _rows(cloud: Cloud, asked: list[tuple[str, str, str, Any, str]]) -> Iterator[tuple[str, list[str]]]:
    """Yield each request with how far everybody gets, each finding all there that others may have changed."""
    parts = everything_there(cloud)
    for name, method, path, body, version in asked:
        heard = {}
        for caller, token in CALLERS.items():
            found = answer(cloud, method, path.format(**parts), body, version, token)
            is_fine = found.status_code < 500 or found.status_code == 501 or name.endswith(ASK_A_HOST)
            assert is_fine, f"{name}: {found.status_code} for {caller}"
            heard[caller] = (found.status_code, _without_ids(found.text, parts))
            if method != "GET" and not 400 <= found.status_code < 500:
                parts = everything_there(cloud)
        yield name, [_verdict(each, heard["admin"]) for each in heard.values()]


def _verdict(heard: tuple[int, str], admins: tuple[int, str]) -> str:
    status, _ = heard
    is_hidden = status == 404 and heard != admins
    return str(status) if status in (401, 403) or is_hidden else "yes"


def _without_ids(text: str, parts: Mapping[str, str]) -> str:
    for name in ("server_id", "shelved_id"):
        text = text.replace(parts[name], name)
    return text


def _field_rows(cloud: Cloud, requests: list[Request]) -> Iterator[tuple[str, list[str]]]:
    """Yield each field with who sees it; ``null`` is one that is there and never says anything."""
    parts = everything_there(cloud)
    for request in requests:
        path = request.path.format(**parts)
        answers = [answer(cloud, "GET", path, None, request.version, CALLERS[each]) for each in _INSIDERS]
        seen = [_fields(each.json) if each.status_code == 200 else None for each in answers]
        for name in sorted({name for each in seen for name in each or {}}):
            cells = ["" if each is None else _CELLS[each.get(name)] for each in seen]
            if len(set(cells) - {""}) > 1:
                yield f"{request.path}: {name}", cells


def _fields(document: object, name: str = "") -> dict[str, bool]:
    """Return the names of all fields, one in another after a dot → whether any is not null; names of maps are none."""
    found: dict[str, bool] = {}
    if isinstance(document, list):
        for each in document:
            _join(found, _fields(each, name))
    elif isinstance(document, Mapping) and name.rpartition(".")[2] not in _MAPS:
        for key, value in document.items():
            inner = f"{name}.{key}".lstrip(".")
            _join(found, {inner: value is not None, **_fields(value, inner)})
    return found


def _join(found: dict[str, bool], more: Mapping[str, bool]) -> None:
    for name, is_filled in more.items():
        found[name] = found.get(name, False) or is_filled


def _part(title: str, columns: Mapping[str, str] | tuple[str, ...], rows: Any) -> str:
    rows = [("", list(columns)), *rows]
    wide = max(len(name) for name, _ in rows)
    lines = [f"{name:{wide}}" + "".join(f" | {cell:{len(head)}}" for cell, head in zip(cells, columns, strict=True))
             for name, cells in rows]  # fmt: skip
    return "\n".join([f"== {title}", *(line.rstrip() for line in lines), ""])


def _main(write: Callable[[str], object]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as directory:
        cloud = open_cloud(Path(directory), monkeypatch)
        try:
            write(written(cloud))
        finally:
            cloud.close()


if __name__ == "__main__":
    _main(TABLE.write_text)
