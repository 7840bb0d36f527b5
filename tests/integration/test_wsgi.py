"""The Compute API under real servers, by the shipped files: reloaded, behind a proxy, shouted at, without Keystone."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional import suite
from tests.integration.reloads import asking, half_sent, lose_nothing
from tests.integration.stack.processes import birth, wait_until
from tests.integration.stack.site import ADDRESS, listens
from tests.integration.under_uwsgi import Served
from tests.tokens import middleware_options, serving

#: What a client may not have believed.
FORGED = {
    "Forwarded": "host=evil.example",
    "X-Forwarded-Host": "evil.example",
    "X_Forwarded_Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X_Forwarded_Prefix": "/evil",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served("api")
    yield made
    made.site.processes.stop("api")
    told = made.told()
    shutil.rmtree(made.site.directory, ignore_errors=True)
    # Whoever is killed because it would not end loses what it is asked meanwhile.
    assert "NO MERCY" not in told, told[-4000:]


@pytest.fixture
def uwsgi(served: Served) -> Served:
    """It runs, with two workers that load the application themselves."""
    if not served.site.processes.names():
        served.configure("[oslo_middleware]\nenable_proxy_headers_parsing = true\n")
        served.start()
    return served


def _flavors(token: str = "alice:demo", more: bytes = b"") -> bytes:
    return b"GET /v2.1/flavors HTTP/1.1\r\nHost: a\r\nX-Auth-Token: %s\r\n%s\r\n" % (token.encode(), more)


def _post(headers: bytes, body: bytes) -> bytes:
    return b"POST /v2.1/os-keypairs HTTP/1.1\r\nHost: a\r\nX-Auth-Token: alice:demo\r\n" + headers + b"\r\n" + body


def _version(number: bytes) -> bytes:
    return b"OpenStack-API-Version: compute %s\r\n" % number


_JSON = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        pytest.param(_flavors(), {200}, id="a good one"),
        pytest.param(_flavors(more=b"X-Long: " + b"a" * 30_000 + b"\r\n"), {200}, id="a long header"),
        pytest.param(_flavors(more=b"X-Long: " + b"a" * 200_000 + b"\r\n"), {400, 413, 431}, id="a header too long"),
        pytest.param(_flavors(more=b"X-Many: a\r\n" * 20_000), {400, 413, 431}, id="many headers"),
        pytest.param(_flavors(more=b"X-\x00: \x00\r\n"), {200, 400}, id="nul in a header"),
        pytest.param(b"GET /v2.1/" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", {400, 413, 414, 431}, id="a long path"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n", {400}, id="TLS"),
        pytest.param(_flavors(more=b"X-Auth-Token: bob:other\r\n"), {401}, id="two tokens"),
        pytest.param(_flavors(more=b"X-Auth-Token: a b\r\n"), {401}, id="a good token and a bad one"),
        pytest.param(_flavors(more=_version(b"2.1") + _version(b"2.96")), {200}, id="two versions"),
        pytest.param(_flavors(more=_version(b"2.1") + _version(b"9.9")), {200, 406}, id="a good version and a bad one"),
        pytest.param(_post(_JSON + b"Content-Type: text/xml\r\nContent-Length: 2\r\n", b"{}"), {415}, id="two types"),
        pytest.param(
            _post(_JSON + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n", b"{}"),
            {400},
            id="two keys",
        ),
        pytest.param(b"GET /v2.1/flavors/\xff HTTP/1.1\r\nX-Auth-Token: a:b\r\n\r\n", {404}, id="a path of bytes"),
        pytest.param(b"GET /v2.1/flavors?a=\xff HTTP/1.1\r\nX-Auth-Token: a:b\r\n\r\n", {400}, id="a query of bytes"),
        *(
            pytest.param(_post(_JSON + b"Content-Length: " + length + b"\r\n", b"{}"), {400}, id=f"length {length!r}")
            for length in (b"abc", b"+2", b"0x2", b"2.0", b"2 2", b"\xb2", b"2\x00", b"")
        ),
        pytest.param(_post(_JSON + b"Transfer-Encoding: chunked\r\n" * 2, b"0\r\n\r\n"), {411}, id="chunks in chunks"),
        pytest.param(_post(_JSON + b"Content-Length: -1\r\n", b"{}"), {400, 413}, id="length below zero"),
        pytest.param(_post(_JSON + b"Content-Length: 2, 2\r\n", b"{}"), {400}, id="two lengths in one"),
        pytest.param(_post(_JSON + b"Content-Length: 2\r\nContent-Length: 4\r\n", b"{}{}"), {400}, id="two lengths"),
        pytest.param(
            _post(_JSON + b"Content-Length: 9" * 50 + b"\r\n", b"{}"), {400, 413}, id="a length of many digits"
        ),
        pytest.param(_post(_JSON + b"Content-Length: 500\r\n", b"{}"), {400}, id="less than the length"),
        pytest.param(_post(_JSON + b"Content-Length: 20000000\r\n", b"{}".ljust(10 << 20)), {413}, id="ten megabytes"),
        pytest.param(
            _post(_JSON + b"Transfer-Encoding: chunked\r\n", b"20000\r\n" + b" " * 0x20000 + b"\r\n0\r\n\r\n"),
            {413},
            id="a large chunk",
        ),
        pytest.param(
            _post(_JSON + b"Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
            {400, 413},
            id="no length of a chunk",
        ),
        pytest.param(
            _post(_JSON + b"Transfer-Encoding: chunked\r\n", b'2\r\n{"\r\n4\r\nkeyp\r\n'),
            {400},
            id="chunks without end",
        ),
    ],
)
def test_one_clear_answer_to_whatever_is_sent(uwsgi: Served, request_: bytes, statuses: set[int]) -> None:
    before = uwsgi.workers()
    found = uwsgi.shout(request_)
    assert len(found) <= 1, found
    assert set(found) <= statuses, found
    # uWSGI closes the connection on what is no HTTP, or too long for it, without a word.
    assert found or not {200, 413} & statuses or len(request_) > 65535
    assert uwsgi.ask("/v2.1/flavors")[0] == 200
    assert uwsgi.workers() == before


#: What keystonemiddleware says of a caller, as clients would say it of themselves.
_CLAIMS = {
    "X-Identity-Status": "Confirmed",
    "X-Roles": "admin",
    "X-User-Id": "root",
    "X-Project-Id": "other",
    "X-Is-Admin-Project": "True",
    "OpenStack-System-Scope": "all",
    "X-Service-Identity-Status": "Confirmed",
    "X-Service-Roles": "service",
}


def _claims(hyphen: bytes) -> bytes:
    return b"".join(
        b"%s: %s\r\n" % (name.encode().replace(b"-", hyphen), said.encode()) for name, said in _CLAIMS.items()
    )


def _get(path: str, *headers: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (path.encode(), b"".join(headers))


@pytest.mark.parametrize("hyphen", [b"-", b"_"])
def test_without_keystone_a_token_alone_says_who_asks(uwsgi: Served, hyphen: bytes) -> None:
    """To uWSGI names of headers with underscores are those with hyphens."""
    alice = b"X%sAuth%sToken: alice:demo\r\n" % (hyphen, hyphen)
    assert uwsgi.shout(_get("/v2.1/flavors", _claims(hyphen))) == [401]
    assert uwsgi.shout(_get("/v2.1/flavors", alice)) == [200]
    assert uwsgi.shout(_get("/v2.1/os-services", alice, _claims(hyphen))) == [403]
    assert uwsgi.shout(_get("/v2.1/flavors", alice, b"X-Auth-Token: admin\r\n")) == [401], "two tokens"


def test_no_request_hides_in_another(uwsgi: Served) -> None:
    """Where length and chunks contradict each other, what one of them hides is not taken for a request."""
    hidden = _flavors()
    for headers, body in (
        (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % (5 + len(hidden)), b"0\r\n\r\n" + hidden),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + hidden),
        (b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(hidden), hidden),
        (b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n", b"{}" + hidden),
        (b"Content-Length: 2\r\n", b"{}" + hidden),
    ):
        found = uwsgi.shout(_post(_JSON + headers, body))
        assert len(found) <= 1, (headers, found)
        assert set(found) <= {400, 411, 413}, (headers, found)


def test_chunks_are_a_body(uwsgi: Served) -> None:
    body = b'{"keypair": {"name": "chunked"}}'
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert uwsgi.shout(_post(_JSON + b"Transfer-Encoding: chunked\r\n", chunks)) == [200]


def _hup(uwsgi: Served) -> None:
    uwsgi.wait_hearing()
    os.kill(uwsgi.site.processes.pid("api") or 0, signal.SIGHUP)


def _touch(uwsgi: Served) -> None:
    uwsgi.touch()


@pytest.mark.parametrize("reload", [_hup, _touch], ids=["SIGHUP", "worker by worker"])
def test_a_reload_loses_no_request(uwsgi: Served, reload: Callable[[Served], None]) -> None:
    _reload_beside_clients(uwsgi, reload)


def _reload_beside_clients(uwsgi: Served, reload: Callable[[Served], None]) -> None:
    lose_nothing(
        lambda: reload(uwsgi),
        ask=lambda: uwsgi.ask("/v2.1/flavors/detail")[0],
        workers=uwsgi.workers,
        log=uwsgi.told,
    )


def test_a_request_under_way_is_answered_before_a_reload(uwsgi: Served) -> None:
    """A client sends half of its request, then the server is told to load anew, then comes the rest."""
    before = uwsgi.workers()
    with half_sent(uwsgi.port, lambda: uwsgi.ask("/live")[0]):
        _hup(uwsgi)
    wait_until(lambda: len(uwsgi.workers() - before) == 2, "two new workers", timeout_s=120)


def test_a_request_under_way_is_answered_before_the_end(uwsgi: Served) -> None:
    """As above, but the server is told to stop; who comes later finds nobody, and a load balancer asks another."""
    with half_sent(uwsgi.port, lambda: uwsgi.ask("/live")[0]):
        count = uwsgi.told().count("graceful shutdown triggered")
        uwsgi.site.processes.send("api", signal.SIGTERM)
        wait_until(lambda: uwsgi.told().count("graceful shutdown triggered") > count, "a stop", timeout_s=60)
    uwsgi.site.processes.wait_ended("api", timeout_s=60)
    assert uwsgi.site.processes.exit_code("api") == 0
    assert not listens(uwsgi.port)
    uwsgi.site.processes.stop("api")  # nothing is left of it; the next test starts another


def test_below_a_path_behind_a_proxy(uwsgi: Served) -> None:
    with (
        uwsgi.behind_apache("/compute") as port,
        contextlib.closing(http.client.HTTPConnection(ADDRESS, port, timeout=60)) as connection,
    ):
        connection.request("GET", "/compute/v2.1/", headers={"Host": "cloud.example", **FORGED})
        answer = json.loads(connection.getresponse().read())
    assert answer["version"]["links"][0]["href"] == "https://cloud.example/compute/v2.1/"


def test_workers_that_still_load_end_when_told_to(uwsgi: Served) -> None:
    """A worker hears what it is told while it loads, and so does not serve on until it is killed."""
    uwsgi.wait_hearing()
    spawned = uwsgi.told().count("spawned uWSGI worker")
    _hup(uwsgi)
    uwsgi.wait_hearing(spawned + 2)
    uwsgi.site.processes.stop("api", timeout_s=240)
    assert "goodbye to uWSGI." in uwsgi.told()


def test_workers_forked_after_loading_have_connections_of_their_own(served: Served) -> None:
    served.site.processes.stop("api")
    served.configure()
    served.start(is_lazy=False, socket_timeout="3")
    with asking(lambda: served.ask("/v2.1/flavors")[0], clients=6) as heard:
        heard.wait_for(150)
    assert heard.failed == []
    assert set(heard.answered) == {200}
    assert {pid for pid in served.workers() if _has_open(pid, "api.db")} == served.workers()
    assert not _has_open(served.site.processes.pid("api") or 0, "api.db")
    _reload_beside_clients(served, _hup)


def test_who_stops_in_the_middle_of_a_request_holds_nobody_up_for_long(served: Served) -> None:
    """The server of the test before waits three seconds for the next byte."""
    if not served.site.processes.names():
        served.configure()
        served.start(is_lazy=False, socket_timeout="3")
    before = served.workers()
    request = _post(_JSON + b"Content-Length: 100\r\n", b"{")
    with (
        socket.create_connection((ADDRESS, served.port), timeout=60) as in_headers,
        socket.create_connection((ADDRESS, served.port), timeout=60) as in_body,
    ):
        in_headers.sendall(request[:40])
        in_body.sendall(request)
        # One who comes later is answered, so the slow ones are at workers by now.
        assert served.ask("/live")[0] == 200
        _hup(served)
        wait_until(lambda: len(served.workers() - before) == 2, "two new workers", timeout_s=120)
        assert served.ask("/v2.1/flavors")[0] == 200
    assert "NO MERCY" not in served.told()


def _shared(pid: int | None) -> list[Path]:
    """Return the directories that the workers of a server share."""
    found = [each.parent for each in Path("/tmp").glob("nova-lite-api.*/server")]
    return [each for each in found if (each / "server").read_text().startswith(f"{pid} ")]


def test_what_a_killed_server_left_goes_when_the_next_one_begins(uwsgi: Served) -> None:
    (left,) = _shared(uwsgi.site.processes.pid("api"))
    uwsgi.site.processes.kill("api")
    assert left.exists()
    uwsgi.start()
    assert not left.exists()
    assert len(_shared(uwsgi.site.processes.pid("api"))) == 1


def test_a_server_that_still_loads_ends_when_told_to(served: Served) -> None:
    served.site.processes.stop("api")
    served.configure()
    count = served.told().count("*** Operational MODE")
    served.launch(is_lazy=False)
    wait_until(lambda: served.told().count("*** Operational MODE") > count, "a server that loads", timeout_s=60)
    served.site.processes.send("api", signal.SIGTERM)
    served.site.processes.wait_ended("api", timeout_s=60)


def test_a_server_that_still_loads_loads_anew_when_told_to(served: Served) -> None:
    served.site.processes.stop("api")
    served.configure()
    loads, reloads = served.told().count("*** Operational MODE"), served.told().count("binary reloading uWSGI")
    served.launch(is_lazy=False)
    wait_until(lambda: served.told().count("*** Operational MODE") > loads, "a server that loads", timeout_s=60)
    served.site.processes.send("api", signal.SIGHUP)
    wait_until(lambda: served.told().count("binary reloading uWSGI") > reloads, "a reload", timeout_s=120)
    assert served.ask("/v2.1/flavors")[0] == 200


def _has_open(pid: int, name: str) -> bool:
    found = False
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found |= link.readlink().name == name
    return found


def test_without_keystone_clients_are_told_to_come_back(uwsgi: Served) -> None:
    uwsgi.site.processes.stop("api")
    nowhere = f"http://{ADDRESS}:{uwsgi.site.port('nobody')}"
    uwsgi.configure(middleware_options(nowhere), auth="keystone")
    uwsgi.start()
    status, headers, body = uwsgi.ask("/v2.1/servers", "gAAAAABtoken")
    assert (status, headers["retry-after"]) == (503, "5")
    assert body["serviceUnavailable"]["message"] == "The identity service does not answer."
    status, headers, _ = uwsgi.ask("/v2.1/servers", None)
    assert (status, headers["www-authenticate"]) == (401, f'Keystone uri="{nowhere}"')
    assert uwsgi.ask("/v2.1/", None)[0] == 200


def test_nobody_names_their_own_roles(served: Served) -> None:
    """However they spell it, and in both ways at once."""
    served.site.processes.stop("api")
    rules = served.site.write('"os_compute_api:os-keypairs:index": "service_roles:service"\n', "etc", "policy.yaml")
    token, service = b"X-Auth-Token: good\r\n", b"X-Service-Token: service\r\n"
    with serving() as keystone:
        served.configure(f"{middleware_options(keystone.url)}[oslo_policy]\npolicy_file = {rules}\n", auth="keystone")
        served.start()
        for claims in (_claims(b"-"), _claims(b"_"), _claims(b"-") + _claims(b"_")):
            for path, headers, status in (
                ("/v2.1/servers", b"", 401),
                ("/v2.1/servers", token, 200),
                ("/v2.1/os-services", token, 403),
                ("/v2.1/demo/servers", token, 200),
                ("/v2.1/other/servers", token, 400),
                ("/v2.1/os-keypairs", token, 403),
                ("/v2.1/os-keypairs", token + service, 200),
            ):
                assert served.shout(_get(path, headers, claims)) == [status], (path, headers, claims)
    served.site.processes.stop("api")


def test_a_server_ends_with_the_suite_that_is_killed() -> None:
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, *suite.TIED, "sleep", "3600"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        pid = int(killed.stdout.readline())
        wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "a server", timeout_s=30)
        born = birth(pid)
        killed.kill()
    wait_until(lambda: birth(pid) != born, "its end", timeout_s=30)
