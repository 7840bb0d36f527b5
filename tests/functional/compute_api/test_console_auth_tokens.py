"""What consoles' tokens stand for, told to administrators."""

from dataclasses import replace
from datetime import timedelta

import pytest

from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import console_tokens
from nova_lite.model.console import Console, ConsoleToken
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud

_SCREEN = Console("novnc", "192.0.2.1", 5900, "http://x/")


def add(cloud: Cloud, token: str, console: Console = _SCREEN, *, lasts_s: int = 600) -> str:
    """Put a token into a cell; return its server."""
    server = cloud.add_server(CELL1, host="h1")
    meant = ConsoleToken(server.uuid, "h1", 0, console, utcnow() + timedelta(seconds=lasts_s))
    with cloud.cells.get(CELL1).db.writer() as session:
        console_tokens.add(session, token, meant)
    return server.uuid


def test_a_token_leads_to_a_console(cloud: Cloud, admin: Client, client: Client) -> None:
    server = add(cloud, "known")
    url = "/os-console-auth-tokens/known"
    shown = admin.get(url)
    assert shown.status_code == 200, shown.text
    assert shown.json == {
        "console": {"instance_uuid": server, "host": "192.0.2.1", "port": 5900, "internal_access_path": None}
    }
    assert client.get(url).status_code == 403
    assert cloud.client("admin:admins", version="2.30").get(url).status_code == 400
    assert cloud.client("admin:admins", version="2.31").get(url, x="y").status_code == 200
    assert admin.get(url, x="y").status_code == 400
    unknown = admin.get("/os-console-auth-tokens/unknown")
    assert (unknown.status_code, unknown.json["itemNotFound"]["message"]) == (404, "Token not found")


@pytest.mark.parametrize("tls_port", [None, 5901])
def test_native_clients_are_told_more_from_2_99_on(cloud: Cloud, admin: Client, tls_port: int | None) -> None:
    add(cloud, "direct", replace(_SCREEN, kind="spice-direct", tls_port=tls_port))
    url = "/os-console-auth-tokens/direct"
    assert admin.get(url).json["console"]["tls_port"] == tls_port
    assert "tls_port" not in cloud.client("admin:admins", version="2.98").get(url).json["console"]


def test_one_that_has_expired_is_none(cloud: Cloud, admin: Client) -> None:
    add(cloud, "old", lasts_s=-1)
    assert admin.get("/os-console-auth-tokens/old").status_code == 404


def test_a_cell_that_is_silent_may_know_it(cloud: Cloud, admin: Client) -> None:
    add(cloud, "known")
    cloud.break_cell(CELL2)
    assert admin.get("/os-console-auth-tokens/known").status_code == 200
    assert admin.get("/os-console-auth-tokens/unknown").status_code == 503
