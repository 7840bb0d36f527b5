"""What uWSGI does not do, and what it does unasked."""

from collections.abc import Iterable
from typing import Any

import pytest

from nova_lite.web import under_uwsgi

_HEADER = "HTTP_TRANSFER_ENCODING"


def asked(parts: list[bytes], sizes: Iterable[int], **env: Any) -> list[bytes] | None:
    """Return what an application reads, None where it is left to the server."""
    found: list[bytes] | None = None

    def app(env: dict[str, Any], start_response: Any) -> list[bytes]:
        nonlocal found
        if env.get("wsgi.input_terminated"):
            found = [env["wsgi.input"].read(size) for size in sizes]
        return []

    left = iter(parts)
    under_uwsgi.UnderUwsgi(app, lambda: next(left, b""))(env, None)
    return found


def test_chunks_are_read_as_far_as_asked() -> None:
    assert asked([b"abc", b"d", b"efgh"], [2, 3, 100, 1], **{_HEADER: "Chunked"}) == [b"ab", b"cde", b"fgh", b""]


def test_no_more_is_read_than_is_asked_for() -> None:
    def endless() -> bytes:
        return b"x" * 100

    body = under_uwsgi._Body(endless)
    assert len(body.read(1000)) == 1000


@pytest.mark.parametrize("env", [{}, {_HEADER: "gzip"}, {_HEADER: "chunked", "CONTENT_LENGTH": "3"}])
def test_what_is_not_in_chunks_alone_is_left_as_it_is(env: dict[str, str]) -> None:
    assert asked([b"abc"], [3], **env) is None


def test_other_servers_need_nothing() -> None:
    def app(env: dict[str, Any], start_response: Any) -> list[bytes]:
        return []

    assert under_uwsgi.fit(app) is app


@pytest.mark.parametrize(
    ("env", "scheme"), [({}, "http"), ({"HTTPS": "on"}, "https"), ({"UWSGI_SCHEME": "https"}, "https")]
)
def test_the_scheme_is_what_the_server_says_not_the_client(env: dict[str, str], scheme: str) -> None:
    def app(env: dict[str, Any], start_response: Any) -> list[bytes]:
        return [env["wsgi.url_scheme"].encode()]

    for name in ("HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL"):
        said = {name: "on", "wsgi.url_scheme": "javascript", **env}
        assert under_uwsgi.UnderUwsgi(app, lambda: b"")(said, None) == [scheme.encode()]
