"""Placement under uWSGI by the shipped file: below a path, behind a proxy, asked by pages, sent more than it takes."""

import contextlib
import http.client
import json
import shutil
from collections.abc import Iterator

import pytest

from tests.integration.reloads import lose_nothing
from tests.integration.stack.site import ADDRESS
from tests.integration.under_uwsgi import Served

_PAGE = "https://horizon.example"
_MIB = 1 << 20
_RESHAPE = (
    b"POST /reshaper HTTP/1.1\r\nHost: a\r\nX-Auth-Token: admin:admins\r\nX-Roles: service\r\n"
    b"OpenStack-API-Version: placement 1.39\r\nContent-Type: application/json\r\n"
)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served("placement")
    made.configure(f"[oslo_middleware]\nenable_proxy_headers_parsing = true\n[cors]\nallowed_origin = {_PAGE}\n")
    made.start()
    yield made
    made.site.processes.stop("placement")
    told = made.told()
    shutil.rmtree(made.site.directory, ignore_errors=True)
    assert "NO MERCY" not in told, told[-4000:]


def _create(port: int, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    body = json.dumps({"name": path + str(headers)}).encode()
    sent = {"X-Auth-Token": "admin:admins", "Content-Type": "application/json", "Host": "cloud.example", **headers}
    with contextlib.closing(http.client.HTTPConnection(ADDRESS, port, timeout=120)) as connection:
        connection.request("POST", f"{path}/resource_providers", body, sent)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_behind_a_proxy_that_says_so(served: Served) -> None:
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/resources", "Origin": _PAGE}
    status, headers = _create(served.port, "", **said)
    assert status == 201
    assert headers["location"].startswith("https://cloud.example/resources/resource_providers/")
    assert headers["access-control-allow-origin"] == _PAGE
    status, headers, _ = served.ask("/resource_providers", "admin:admins", Origin="https://evil.example")
    assert status == 200
    assert "access-control-allow-origin" not in headers


def test_below_a_path_behind_apache(served: Served) -> None:
    with served.behind_apache("/placement") as port:
        status, headers = _create(port, "/placement")
    assert status == 201
    assert headers["location"].startswith("https://cloud.example/placement/resource_providers/")


def test_it_takes_more_than_the_compute_api_and_no_more_than_that(served: Served) -> None:
    """A reshape of a whole cloud is one body, of 32 MiB at most, whether its length is known or not."""
    small, most = b"{}".ljust(2 * _MIB), b"{}".ljust(32 * _MIB)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n"
    assert served.shout(b"%sContent-Length: %d\r\n\r\n%s" % (_RESHAPE, len(small), small)) == [400]
    assert served.shout(b"%s%s%s0\r\n\r\n" % (_RESHAPE, chunked, _chunks(small))) == [400]
    assert served.shout(b"%sContent-Length: %d\r\n\r\n" % (_RESHAPE, len(most) + 1)) == [413]
    # The byte that is one too many is the last: who closes with something unread may take its answer along.
    assert served.shout(b"%s%s%s" % (_RESHAPE, chunked, _chunks(most + b" "))) == [413]
    assert served.ask("/resource_providers", "admin:admins")[0] == 200


def _chunks(body: bytes) -> bytes:
    """Return ``body`` in chunks of a MiB, without the end."""
    parts = [body[start : start + _MIB] for start in range(0, len(body), _MIB)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def test_a_reload_loses_no_request(served: Served) -> None:
    lose_nothing(
        served.touch,
        ask=lambda: served.ask("/resource_providers", "admin:admins")[0],
        workers=served.workers,
        log=served.told,
    )
