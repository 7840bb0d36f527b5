"""Cell mappings with holes, filled from local URLs."""

from dataclasses import replace

import pytest

from nova_lite import config, errors
from nova_lite.cells import templates
from nova_lite.cells.templates import NOWHERE, LocalUrls
from nova_lite.model.host import Cell

CELL = Cell("11111111-1111-4111-8111-111111111111", "a", "rabbit://u:p@mq/", "mysql+pymysql://u:p@db/nova")
BUS = "rabbit://me:s%40cret@mq1:5671,you:pw2@[fd00::1]:5672/vhost?ssl=1"
BASE = "mysql+pymysql://nova:s%40cret@10.0.0.5:3307/nova_cell1?charset=utf8mb4#x"
LOCAL = LocalUrls(BUS, BASE)


def connection(template: str, local: LocalUrls = LOCAL) -> str:
    assert templates.has_holes(template)
    return templates.connection(replace(CELL, database_connection=template), local)


def transport_url(template: str) -> str:
    assert templates.has_holes(template)
    return templates.transport_url(replace(CELL, transport_url=template), LOCAL)


def test_a_mapping_without_holes_stays_as_it_is() -> None:
    assert not templates.has_holes(CELL.transport_url)
    assert templates.connection(CELL, NOWHERE) == CELL.database_connection
    assert templates.transport_url(CELL, NOWHERE) == CELL.transport_url


def test_every_part_of_the_database_url() -> None:
    assert connection("{scheme}://{username}:{password}@{hostname}:{port}/{path}?{query}#{fragment}") == BASE
    elsewhere = connection("{scheme}://{username}:{password}@db2/nova_cell2?{query}")
    assert elsewhere == "mysql+pymysql://nova:s%40cret@db2/nova_cell2?charset=utf8mb4"


def test_hosts_of_a_bus_by_number() -> None:
    first, second = ("{username%d}:{password%d}@{hostname%d}:{port%d}".replace("%d", number) for number in "12")
    assert transport_url(f"{{scheme}}://{first},{second}/{{path}}?{{query}}") == BUS
    assert transport_url("rabbit://{username}:{password}@{hostname2}/cell2") == "rabbit://me:s%40cret@[fd00::1]/cell2"


def test_parts_that_the_local_url_lacks_are_empty() -> None:
    local = LocalUrls(connection="sqlite:////var/nova.db")
    assert connection("{scheme}:///{hostname}{port}{path}", local) == "sqlite:///var/nova.db"


@pytest.mark.parametrize(
    ("template", "local", "words"),
    [
        pytest.param("mysql://{user}@db/nova", BASE, r"\{user\}.*\{username\}", id="unknown hole"),
        pytest.param("mysql://{username3}@db/nova", BASE, r"\{username3\}", id="a host there is not"),
        pytest.param("mysql://{username}@db/nova", None, r"\[database\] connection", id="nothing local"),
        pytest.param("mysql://{username}@db/nova", "mysql://u:secret@h:port/x", "no URL", id="local URL unreadable"),
    ],
)
def test_what_cannot_be_filled_is_told_without_secrets(template: str, local: str | None, words: str) -> None:
    with pytest.raises(errors.Misconfigured, match=words) as caught:
        connection(template, LocalUrls(connection=local))
    assert "secret" not in str(caught.value)


def test_local_urls_are_those_that_are_really_set() -> None:
    conf = config.load(files=[])
    assert templates.local_urls(conf) == NOWHERE
    conf.set_override("connection", BASE, group="database")
    conf.set_override("transport_url", BUS)
    assert templates.local_urls(conf) == LOCAL


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        pytest.param(
            "{scheme}://{username}:{password}@db2:{port}/x", "{scheme}://{username}:{password}@db2:{port}/x", id="holes"
        ),
        pytest.param(
            "rabbit://{username1}:hunter2@{hostname1},b:{password2}{x}@h2/v",
            "rabbit://{username1}:****@{hostname1},b:****@h2/v",
            id="passwords",
        ),
        pytest.param(
            "{scheme}://db/x?sslpassword=hunter2&a={path}&my_TOKEN=hunter2",
            "{scheme}://db/x?sslpassword=****&a={path}&my_TOKEN=****",
            id="parameters",
        ),
        pytest.param("{scheme}://u:hunter/2@h/x", "(unreadable)", id="a slash in a password"),
        pytest.param("{scheme}://u:hunter,2@h/x", "{scheme}://****,2@h/x", id="a comma in a password"),
        pytest.param("{scheme}://u:{password}@[::1]:5/x", "{scheme}://u:{password}@[::1]:5/x", id="an address"),
        pytest.param("{hostname}", "(unreadable)", id="no URL"),
    ],
)
def test_holes_are_shown_as_they_are_and_passwords_are_not(template: str, shown: str) -> None:
    assert templates.masked(template) == shown
