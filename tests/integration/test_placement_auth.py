"""Placement behind a real Keystone: who is let in, and what happens when nobody can say."""

import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from nova_lite.db import migrate
from nova_lite.storage import Database
from tests.integration.conftest import started
from tests.integration.stack.clients import Answer, call
from tests.integration.stack.keystone import ADMIN, DEMO, NOVA, OTHER, READER, Account, Keystone
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.processes import Program
from tests.integration.stack.services import REPOSITORY
from tests.integration.stack.site import ADDRESS, Site, environment, wait_listening

#: A service user that is no administrator, as operators are told to make them.
SERVICE = Account("placement-caller", "service", ("service",))
_NAME = "placement-auth"


@dataclass(frozen=True)
class Door:
    """Placement and the Keystone that guards it."""

    keystone: Keystone
    url: str

    def ask(
        self, token: str | None, path: str = "/resource_classes", *, method: str = "GET", body: object = None
    ) -> Answer:
        """Send one request to Placement."""
        return call(f"{self.url}{path}", method=method, token=token, body=body, version="placement 1.39")


@pytest.fixture(scope="module")
def door(neighbours: Neighbours, mariadb: MariaDB, keystone: Keystone) -> Iterator[Door]:
    site = neighbours.site
    keystone.add_account(SERVICE)
    mariadb.create([_NAME.replace("-", "_")])
    url = mariadb.url(_NAME.replace("-", "_"))
    database = Database(url)
    migrate.sync(database, "placement")
    database.close()
    settings = site.write(_settings(keystone, url), "etc", "nova_lite", f"{_NAME}.conf")
    started(lambda: site.processes.start(_program(site, str(settings))))
    wait_listening(site, _NAME, site.port(_NAME), timeout_s=60)
    yield Door(keystone, f"http://{ADDRESS}:{site.port(_NAME)}")
    site.processes.stop(_NAME)


def _settings(keystone: Keystone, database_url: str) -> str:
    return f"""\
[api]
auth_strategy = keystone
[placement_database]
connection = {database_url}
[keystone_authtoken]
www_authenticate_uri = {keystone.url}
http_request_max_retries = 0
{keystone.credentials(NOVA)}"""


def _program(site: Site, settings: str) -> Program:
    """Return the shipped uWSGI file; one worker, so that what it has cached is known."""
    variables = {
        "NOVA_LITE_CONFIG_FILES": settings,
        "NOVA_LITE_PLACEMENT_LISTEN": f"{ADDRESS}:{site.port(_NAME)}",
        "NOVA_LITE_PLACEMENT_PROCESSES": "1",
        "NOVA_LITE_PLACEMENT_THREADS": "2",
        "PYTHONPATH": str(REPOSITORY),
    }
    command = REPOSITORY / "etc" / "nova-lite-placement-uwsgi.ini"
    argv = (
        f"{sys.prefix}/bin/uwsgi",
        "--ini",
        str(command),
        "--virtualenv",
        sys.prefix,
        "--pythonpath",
        str(REPOSITORY),
    )
    return Program(_NAME, argv, env=environment(**variables), cwd=str(REPOSITORY))


@pytest.mark.parametrize(
    ("account", "listing", "reshaping"),
    [
        pytest.param(ADMIN, 200, 403, id="admin"),
        pytest.param(SERVICE, 200, 400, id="service"),
        pytest.param(NOVA, 200, 400, id="admin and service"),
        pytest.param(DEMO, 403, 403, id="member"),
        pytest.param(READER, 403, 403, id="reader"),
    ],
)
def test_roles(door: Door, account: Account, listing: int, reshaping: int) -> None:
    token = door.keystone.token(account)
    answer = door.ask(token)
    assert answer.status == listing, answer
    assert door.ask(token, "/reshaper", method="POST", body={}).status == reshaping
    if listing == 403:
        assert answer.body["errors"][0]["status"] == 403
        assert "placement:resource_classes:list" in answer.body["errors"][0]["detail"]


def test_usages_are_shown_to_readers_of_the_project(door: Door) -> None:
    demo = door.keystone.project_id("demo")
    query = f"/usages?project_id={demo}"
    assert [door.ask(door.keystone.token(account), query).status for account in (READER, DEMO, OTHER, ADMIN)] == [
        200,
        200,
        403,
        200,
    ]


def test_a_token_of_no_project(door: Door) -> None:
    answer = door.ask(door.keystone.system_token(ADMIN))
    assert answer.status == 403, answer


def test_monitoring(door: Door) -> None:
    assert door.ask(None, "/healthcheck").body == {"healthy": True, "reasons": {}}
    tokens = (None, door.keystone.token(DEMO), door.keystone.token(ADMIN), door.keystone.token(SERVICE))
    assert [door.ask(token, "/metrics").status for token in tokens] == [401, 403, 200, 200]


def test_no_token_and_bad_tokens(door: Door) -> None:
    assert door.ask(None, "/").status == 200
    for token in (None, "nonsense", "gAAAAABk" + "x" * 180, str(uuid.uuid4())):
        answer = door.ask(token)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == f'Keystone uri="{door.keystone.url}"'
    assert door.ask("bad", "/nowhere").status == 401


def test_a_revoked_token(door: Door) -> None:
    token = door.keystone.token(ADMIN)
    door.keystone.revoke(token)
    assert door.ask(token).status == 401


def test_forged_identity_headers_count_for_nothing(door: Door) -> None:
    request = urllib.request.Request(f"{door.url}/resource_classes")
    forged = {"X-Identity-Status": "Confirmed", "X-User-Id": "root", "X-Roles": "admin", "X-Project-Id": "p"}
    for name, value in forged.items():
        request.add_header(name, value)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=480)
    with refused.value as answer:
        assert answer.code == 401


def test_while_keystone_is_away(door: Door) -> None:
    known = door.keystone.token(ADMIN)
    unknown = door.keystone.token(ADMIN)
    assert door.ask(known).status == 200
    door.keystone.stop()
    try:
        answer = door.ask(unknown)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.body["errors"][0]["status"] == 503
        assert door.ask(None).status == 401
        assert door.ask(None, "/").status == 200
        # What Keystone has said of a token counts for a while.
        assert door.ask(known).status == 200
    finally:
        door.keystone.start()
    assert door.ask(unknown).status == 200
