"""What a lean session finds in its environment, and that it looks there once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from nova_lite.clients.sessions import LeanSession

PLAIN, TLS = "http://one.test:8778/a", "https://one.test/b"


def settings(session: requests.Session, url: str, verify: bool | str = True) -> tuple[dict[str, str], object]:
    found = session.merge_environment_settings(url, {}, None, verify, None)
    return dict(found["proxies"]), found["verify"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_it_goes_the_way_that_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "two.test")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/certificates")
    session, usual = LeanSession(), requests.Session()
    for url in (PLAIN, TLS, "http://two.test/", "http://two.test/again"):
        for verify in (True, False, "/others"):
            assert settings(session, url, verify) == settings(usual, url, verify)
    assert settings(session, PLAIN)[0]["http"] == "http://proxy.test:3128"
    assert "http" not in settings(session, "http://two.test/")[0]


def test_it_looks_once_for_each_server(monkeypatch: pytest.MonkeyPatch) -> None:
    session = LeanSession()
    before = settings(session, PLAIN)
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    assert settings(session, "http://one.test:8778/other") == before
    assert settings(session, "http://one.test:9292/other")[0]["http"] == "http://proxy.test:3128"


def test_a_stream_is_asked_for_by_request() -> None:
    session = LeanSession()
    asked = [session.merge_environment_settings(PLAIN, {}, stream, True, None)["stream"] for stream in (True, None)]
    assert asked == [True, False]


def test_no_password_is_taken_from_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine one.test login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    request = requests.Request("GET", PLAIN)
    assert "Authorization" in requests.Session().prepare_request(request).headers
    assert "Authorization" not in LeanSession().prepare_request(request).headers


@pytest.mark.parametrize(
    "url",
    [
        "http://one.test:8778/v2/images/2d9c43a1",
        "https://one.test/a.b/c-d_~",
        "http://one.test/a//b",
        "http://one.test",
        "http://ONE.test/a",
        "http://[::1]:80/a",
        "http://one.test/a/../b",
        "http://one.test/.a",
        "http://one.test/a b?c=d",
        "http://one.test/%7Ea",
        "http://one.test/\u00e9",
        "http://\u00e9ne.test/a",
    ],
)
def test_requests_are_what_requests_makes_of_them(url: str) -> None:
    session, usual = LeanSession(), requests.Session()
    usual.trust_env = False
    for method, data in (("GET", None), ("put", "{}"), ("POST", b"x"), ("DELETE", None), ("POST", {"a": "b"})):
        some: list[Mapping[str, Any]] = [{"X-Auth-Token": "t", "user-agent": "us"}, {"accept": None}]
        for headers in some:
            for params in ({}, {"c": "d"}):
                request = requests.Request(method, url, data=data, headers=headers, params=params)
                found, expected = session.prepare_request(request), usual.prepare_request(request)
                assert (found.method, found.url, found.body) == (expected.method, expected.url, expected.body)
                assert dict(found.headers.lower_items()) == dict(expected.headers.lower_items())
                assert found.hooks == expected.hooks


def test_cookies_are_sent_back() -> None:
    session = LeanSession()
    session.cookies.set("node", "two", domain="one.test")
    assert session.prepare_request(requests.Request("GET", PLAIN)).headers["Cookie"] == "node=two"
