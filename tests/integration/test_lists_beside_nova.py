"""Lists of the same servers, asked of the real Nova and of ours: the same servers in the same order, the same refusals.

What is meant to differ is in ``DELIBERATE``, with why.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from benchmarks.listing import peers
from benchmarks.listing.cloud import OTHERS, PROJECT, USER, servers, shown
from benchmarks.placement.peers import Stage
from tests.integration.conftest import started
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.neighbours import Neighbours

COUNT, CELLS = 120, 2
AT_ONCE = 4
SEEN = shown(COUNT, CELLS)
ONE, OTHER = SEEN[5], SEEN[9]
DEAD = next(server for server in servers(COUNT, CELLS) if server.is_deleted)
FOREIGN = next(server for server in servers(COUNT, CELLS) if server.project_id != PROJECT and not server.is_deleted)
#: Who asks in which version: the last before something about lists changed, and the newest.
ASKERS = [
    *((USER, version) for version in ("2.1", "2.65", "2.72", "2.74", "2.104")),
    *(("bob", version) for version in ("2.74", "2.104")),
]

LIMITS = ["0", "-1", "x", "", "1&limit=2", "2&limit=1", "99999999999", "%201", "1.5", "1e2", "%2B1", "%D9%A3", "7"]
MARKERS = ["", "x", ONE.uuid, DEAD.uuid, f"{ONE.uuid}&marker={OTHER.uuid}", f"{ONE.uuid}&limit=3"]
MOMENTS = [
    "yesterday", "", "2025-01-01T00:01:00Z", "2025-01-01T00:01:00%2B00:00", "2025-01-01", "2025-01-01T00:01", "2025",
    "2025-01", "20250101T000100Z", "2025-01-01T00:01:00&changes-since=2025-01-01T00:01:30", "1.5", "2025-W01-1",
    "2025-01-01T00:01:00.5Z", "2025-01-01T24:00:00Z", "2025-01-01T00:00:60Z", "2025-01-01%2000:01:00",
]  # fmt: skip
ORDERS = [
    "sort_key=uuid", "sort_key=uuid&sort_dir=asc", "sort_key=uuid&sort_dir=up", "sort_dir=asc", "sort_dir=ASC",
    "sort_dir=asc&sort_dir=desc", "sort_key=uuid&sort_dir=asc&sort_dir=desc", "sort_key=", "sort_key=%20uuid",
    "sort_key=display_name&sort_key=created_at&sort_dir=asc", "sort_key=vm_state", "sort_key=vm_state&sort_dir=asc",
    "sort_key=vm_state&sort_key=display_name&sort_dir=asc&sort_dir=desc", "sort_key=secret", "sort_key=metadata",
    "sort_key=vm_state&sort_key=uuid&sort_dir=desc&sort_dir=asc", "sort_key=uuid&sort_key=uuid", "sort_key=host",
    "sort_key=uuid&sort_key=uuid&sort_dir=asc&sort_dir=desc", "sort_key=id", "sort_key=memory_mb", "sort_key=locked",
    "sort_key=memory_mb&sort_dir=asc", "sort_key=memory_mb&sort_key=uuid&sort_dir=asc&sort_dir=asc", "sort_key=node",
    "sort_key=display_name&limit=7", f"sort_key=display_name&limit=7&marker={ONE.uuid}",
]  # fmt: skip
FILTERS = [
    "status=HAPPY", "status=active", "status=ACTIVE&status=SHUTOFF", "status=", "status=error", "status=reboot",
    "status=HAPPY&status=ACTIVE", "status=ACTIVE&status=DELETED", "name=web", "name=^web", "name=web-0000.2",
    "name=web.*2$", "name=", "name=[", "name=web|db", "name=*", "name=%25", f"name={'a' * 300}", "locked=true",
    "locked=perhaps", "locked=", "deleted=1", "deleted=maybe", "deleted=true&limit=3", "all_tenants=1",
    "all_tenants=0", "all_tenants=", "all_tenants=perhaps", "all_tenants=true&limit=5", "no_such=1", "flavor=nope",
    f"image={ONE.image_id}", "image=", f"user_id={ONE.user_id}", f"host={ONE.host}", "tags=backup", "tags=",
    "tags=backup,monitored", "tags-any=backup,nope", "not-tags=backup", "not-tags-any=backup",
    "tags=backup&tags=monitored", "vm_state=active", "vm_state=nope", "vm_state=active&status=SHUTOFF",
    "task_state=nope", "power_state=1", "launch_index=0", f"uuid={ONE.uuid}", f"project_id={PROJECT}",
    f"tenant_id={OTHERS[0]}", f"tenant_id={OTHERS[0]}&all_tenants=1", f"project_id={OTHERS[0]}&all_tenants=1",
    "reservation_id=r-00000003", "config_drive=true", "key_name=key", "availability_zone=nova",
    f"hostname={ONE.name}", "soft_deleted=1", "metadata=%7B%7D", "block_device_mapping=x", "tag=x", "_x=1",
    "progress=0", "progress=x", "node=x", "kernel_id=x", "auto_disk_config=true", "access_ip_v4=1.2.3.4",
    "root_device_name=/dev/vda", "locked_by=x", "terminated_at=2025-01-01", "instance_type_id=1", "page_size=3",
    "changes-before=2025-01-01T00:01:00Z", "changes-before=x",
    "changes-since=2025-01-02T00:00:00Z&changes-before=2025-01-01T00:00:00Z",
    "changes-since=2025-01-01T00:00:20Z&changes-before=2025-01-01T00:01:00Z",
]  # fmt: skip
SERVERS = [
    *(f"limit={limit}" for limit in LIMITS),
    *(f"marker={marker}" for marker in MARKERS),
    *(f"changes-since={moment}" for moment in MOMENTS),
    *ORDERS,
    *FILTERS,
]
MIGRATIONS = [
    "", "limit=0", "limit=-1", "limit=x", "limit=", "limit=1&limit=2", "marker=", "marker=x", "marker=a&marker=b",
    "changes-since=", "changes-since=x", "changes-since=2025", "changes-since=2025-01-01T00:00:00Z",
    "changes-since=2025-01-01&changes-since=2025-01-02", "changes-before=x", "changes-before=2025-01-01T00:00:00Z",
    "changes-since=2025-01-02&changes-before=2025-01-01", "user_id=x", "project_id=x", "project_id=x&project_id=y",
    f"project_id={PROJECT}", "hidden=1", "hidden=x", "status=", "migration_type=x", "host=", "no=1", "uuid=x", "_x=1",
]  # fmt: skip
#: Question → why the answer is another.
DELIBERATE = {
    "servers?marker=" + FOREIGN.uuid: "Nobody learns where another project's server stands in a list.",
    "servers?name=(a%2B)%2B$": "An expression that can take for ever is refused.",
    "servers?name=WEB": "Upper and lower case differ on every database, not on some only.",
    "servers?power_state=x": "What can match nothing is refused.",
    "servers?launch_index=x": "What can match nothing is refused.",
    "servers?config_drive=x": "What can match nothing is refused.",
    "servers?created_at=x": "What can match nothing is refused.",
    "servers?created_at=2025-01-01T00:01:00": "A time as the API writes it finds the server.",
    "servers?description=web": "A description can be filtered by.",
}


@pytest.fixture(scope="module")
def ports(neighbours: Neighbours, mariadb: MariaDB) -> Iterator[dict[str, int]]:
    """The ports of both, with the same servers in them."""
    stage = cast(Stage, SimpleNamespace(site=neighbours.site, mariadb=mariadb))
    made: dict[str, Any] = {}
    # Lists are compared whole: on a busy machine, too, ours waits for its cells as long as the real one does.
    ours = partial(peers.ours, stage, CELLS, COUNT, cell_timeout_s=60.0)
    started(lambda: made.update(real=peers.real(stage, CELLS, COUNT), ours=ours()))
    for server in made.values():
        started(server.start)
    yield {name: server.port for name, server in made.items()}
    for server in made.values():
        server.stop()


def ask(port: int, path: str, version: str, user: str) -> tuple[int, list[str], bool]:
    """Return status, ids in their order, and whether there is a next page."""
    headers = {"X-Auth-Token": f"{user}:{PROJECT}", "OpenStack-API-Version": f"compute {version}"}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"http://127.0.0.1:{port}/v2.1/{path}", headers=headers, timeout=480)
    if answer.status_code != 200:
        return answer.status_code, [], False
    document = answer.json()
    listed = document.get("servers", document.get("migrations", []))
    return 200, [each["id"] for each in listed], any(name.endswith("_links") for name in document)


def differences(ports: dict[str, int], paths: Sequence[str], version: str, user: str) -> list[str]:
    """Return where the two answer differently; the questions change nothing, so several are asked at once."""

    def compared(path: str) -> str | None:
        there, here = (ask(ports[name], path, version, user) for name in ("real", "ours"))
        return None if there == here else f"{path}: {there} there, {here} here"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [found for found in pool.map(compared, paths) if found is not None]


@pytest.mark.parametrize(("user", "version"), ASKERS)
def test_lists_of_servers_are_the_same(ports: dict[str, int], version: str, user: str) -> None:
    assert differences(ports, [f"servers?{query}" for query in SERVERS], version, user) == []


@pytest.mark.parametrize(
    ("user", "version"), [*((USER, v) for v in ("2.1", "2.58", "2.65", "2.79", "2.104")), ("bob", "2.79")]
)
def test_lists_of_migrations_are_refused_alike(ports: dict[str, int], version: str, user: str) -> None:
    below = [f"servers/{ONE.uuid}/migrations{rest}" for rest in ("", "?x=1", "/1", "/x", "/1?x=1")]
    below += [f"servers/{DEAD.uuid}/migrations", "servers/x/migrations"]
    paths = [*(f"os-migrations?{query}" for query in MIGRATIONS), *below]
    assert differences(ports, paths, version, user) == []


@pytest.mark.parametrize("path", list(DELIBERATE))
def test_what_is_meant_to_differ_does(ports: dict[str, int], path: str) -> None:
    user = "bob" if "marker" in path else USER
    assert ask(ports["real"], path, "2.104", user) != ask(ports["ours"], path, "2.104", user), DELIBERATE[path]
