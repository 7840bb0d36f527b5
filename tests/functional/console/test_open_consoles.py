"""Stories of consoles that are open when their tokens are revoked."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from nova_lite import errors
from nova_lite.console import sessions
from nova_lite.console.meters import Meters
from nova_lite.console.service import ConsoleProxy
from nova_lite.db.cell_tables import ConsoleTokenRow, InstanceRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import console_tokens
from nova_lite.model.instance import Instance
from nova_lite.model.states import ENDING_CONSOLES
from nova_lite.web.metrics import Metrics
from tests.functional.compute_api.cloud import CELL1, CELL2
from tests.functional.console.conftest import PATIENCE_S, Site

_REVOKED = 1008


@contextmanager
def looking_at(site: Site, server: Instance) -> Iterator[ClientConnection]:
    with site.open(site.path(server)) as browser:
        assert browser.recv(PATIENCE_S) == b"RFB 003.008\n"
        yield browser


def closed(browser: ClientConnection) -> tuple[int | None, str | None]:
    """Return how a console was closed."""
    with suppress(ConnectionClosed):
        while browser.recv(PATIENCE_S):
            pass
    return browser.close_code, browser.close_reason


def assert_open(browser: ClientConnection) -> None:
    browser.send(b"RFB 003.008\n")
    assert browser.recv(PATIENCE_S)


def expire(site: Site, server: Instance, ago: timedelta) -> None:
    """Have a server's tokens have expired; the proxy learns when by opening consoles with them before."""
    with site.cloud.cells.get(CELL1).db.writer() as session:
        for row in session.query(ConsoleTokenRow).filter_by(instance_uuid=server.uuid):
            row.expires_at = utcnow() - ago


@pytest.mark.parametrize("task", sorted(ENDING_CONSOLES))
def test_a_task_that_ends_the_guest_cuts_its_consoles(site: Site, task: Any) -> None:
    server = site.boot()
    with looking_at(site, server) as browser:
        site.change(server, task_state=task)
        site.proxy.look()
        assert closed(browser) == (_REVOKED, "its token was revoked")


def test_one_that_was_over_before_anybody_looked_cuts_them_too(site: Site) -> None:
    """The server is where it was and idle: only the token tells."""
    server = site.boot()
    with looking_at(site, server) as one, looking_at(site, server) as another:
        site.change(server, task_state="powering-off")
        site.change(server, task_state=None)
        site.proxy.look()
        assert closed(one) == closed(another) == (_REVOKED, "its token was revoked")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"host": "h2"}, "it is not where its console was"),
        ({"epoch": 2}, "it is not where its console was"),
        ({"deleted": True}, "it is gone"),
    ],
    ids=["elsewhere", "made anew", "gone"],
)
def test_a_server_that_went_without_a_word_is_cut_off(site: Site, values: dict[str, Any], why: str) -> None:
    server = site.boot()
    with looking_at(site, server) as browser:
        with site.cloud.cells.get(CELL1).db.writer() as session:
            session.execute(sa.update(InstanceRow).filter_by(uuid=server.uuid).values(**values))
        site.proxy.look()
        assert closed(browser) == (_REVOKED, why)


def test_others_stay(site: Site) -> None:
    mine, theirs, elsewhere = site.boot(), site.boot(), site.boot(CELL2)
    with looking_at(site, mine) as gone, looking_at(site, theirs) as one, looking_at(site, elsewhere) as another:
        site.change(mine, task_state="deleting")
        site.change(theirs, task_state="rebooting")
        site.proxy.look()
        assert closed(gone)[0] == _REVOKED
        assert_open(one)
        assert_open(another)
        # One by a new token is as good as before, if its server is back.
        site.change(mine, task_state=None)
        with looking_at(site, mine) as again:
            site.proxy.look()
            assert_open(again)


def test_a_token_that_expires_is_not_revoked(site: Site) -> None:
    """It stays, expired, with its cell: so that one who revokes it later is heard."""
    server = site.boot()
    with looking_at(site, server) as browser:
        expire(site, server, timedelta(seconds=1))
        site.path(site.boot())  # with each new token old ones go
        site.proxy.look()
        assert_open(browser)
        site.change(server, task_state="shelving")
        site.change(server, task_state=None)
        site.proxy.look()
        assert closed(browser)[0] == _REVOKED


def test_of_a_token_that_expired_long_ago_nobody_can_tell(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the server's own record has to do."""
    monkeypatch.setattr(console_tokens, "KEPT", timedelta(days=-1))
    server = site.boot()
    with looking_at(site, server) as browser:
        site.path(site.boot())
        rows = site.cloud.rows(site.cloud.cells.get(CELL1).db, ConsoleTokenRow)
        assert all(row.instance_uuid != server.uuid for row in rows)
        site.proxy.look()
        assert_open(browser)
        site.change(server, task_state="deleting")
        site.proxy.look()
        assert closed(browser) == (_REVOKED, "its guest is about to end")


@pytest.mark.parametrize("what", ["a cell", "all that is known of cells", "the code"])
def test_what_cannot_be_found_out_closes_nothing_for_a_while(
    site: Site, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    server = site.boot()

    def fail(*args: Any) -> None:
        raise (ValueError("a mistake") if what == "the code" else errors.Unavailable("The database does not answer."))

    with looking_at(site, server) as browser:
        with monkeypatch.context() as patch:
            if what == "a cell":
                patch.setattr(console_tokens, "known", fail)
            elif what == "the code":
                patch.setattr(site.proxy._gate, "judge", fail)
            else:
                patch.setattr(site.proxy._cells, "get", fail)
            look(site.proxy)
            assert_open(browser)
        site.proxy._fanout.look_again([site.cloud.cells.get(CELL1)])
        with monkeypatch.context() as patch:
            patch.setattr(site.proxy._gate, "judge", lambda opened: {})
            patch.setattr(sessions, "UNSEEN_S", -1.0)
            look(site.proxy)
        assert closed(browser) == (_REVOKED, "its cell has not been heard of for too long")


def look(proxy: ConsoleProxy) -> None:
    """Look as the proxy does: what goes wrong is for the log."""
    proxy._looker._tick()


def test_it_looks_by_itself(site: Site) -> None:
    site.cloud.conf.set_override("check_interval", 0.1, group="console")
    another = ConsoleProxy(site.cloud.conf)
    another.start()
    try:
        server = site.boot()
        with looking_at(Site(site.cloud, site.hosts, another), server) as browser:
            site.change(server, task_state="migrating")
            assert closed(browser)[0] == _REVOKED
    finally:
        another.stop()
        site.cloud.conf.clear_override("check_interval", group="console")


def test_what_is_cut_is_counted(site: Site) -> None:
    metrics = Metrics("cut-consoles-test")
    meters = Meters(metrics, site.proxy)
    site.proxy.tally.take()
    server = site.boot()
    with looking_at(site, server) as browser:
        site.change(server, task_state="deleting")
        site.proxy.look()
        closed(browser)
    meters.refresh()
    assert b'nova_lite_console_connections_total{outcome="cut"} 1.0' in metrics.render()
