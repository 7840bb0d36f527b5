"""Where tokens stand in requests, and which pages may open consoles."""

import pytest

from nova_lite.console.requests import is_welcome, token_of


@pytest.mark.parametrize(
    ("target", "cookies", "token"),
    [
        pytest.param("/?token=abc", [], "abc", id="by itself"),
        pytest.param("/websockify?path=%3Ftoken%3Dabc", [], "abc", id="in the path of noVNC"),
        pytest.param("/websockify?path=here%3Fa%3Db%26token%3Dabc", [], "abc", id="among others there"),
        pytest.param("/?token=a&token=b", [], "b", id="twice"),
        pytest.param("/websockify", ["token=abc"], "abc", id="in a cookie"),
        pytest.param("/websockify", ["a=b; token=%22abc", "c=d"], '"abc', id="among cookies"),
        pytest.param("/websockify", ['token="abc"'], "abc", id="in a cookie with quotes"),
        pytest.param("/?token=bad", ["token=abc"], "bad", id="the query counts"),
        pytest.param("/websockify", ["tokens=abc; token="], None, id="nowhere"),
        pytest.param("/websockify", [], None, id="no cookie"),
    ],
)
def test_where_a_token_stands(target: str, cookies: list[str], token: str | None) -> None:
    assert token_of(target, cookies) == token


@pytest.mark.parametrize(
    ("origin", "host", "base_url", "is_let_in"),
    [
        pytest.param(None, "proxy:6080", "http://proxy/vnc.html", True, id="no browser"),
        pytest.param("http://proxy:6080", "proxy:6080", "http://proxy/vnc.html", True, id="its own"),
        pytest.param("http://proxy", "PROXY", "http://proxy/vnc.html", True, id="in capitals"),
        pytest.param("http://[::1]:80", "[::1]:6080", "http://x/", True, id="of IPv6"),
        pytest.param("https://dashboard", "proxy", "https://proxy/", True, id="allowed"),
        pytest.param("https://other", "proxy", "https://proxy/", False, id="another's"),
        pytest.param("http://proxy", "proxy", "https://proxy/", False, id="another protocol"),
        pytest.param("https://proxy", "proxy", "wss://proxy/", True, id="of a websocket"),
        pytest.param("http://proxy", "proxy", "wss://proxy/", False, id="of a websocket by another protocol"),
        pytest.param("http://proxy@other", "proxy", "http://proxy/", False, id="in disguise"),
        pytest.param("null", "proxy", "http://proxy/", False, id="none to tell"),
        pytest.param("", "proxy", "http://proxy/", False, id="empty"),
        pytest.param("http://", "", "http://proxy/", False, id="nobody to nobody"),
        pytest.param("http://", None, "http://proxy/", False, id="nobody to nobody known"),
        pytest.param("http://[", "proxy", "http://proxy/", False, id="no URL"),
    ],
)
def test_which_pages_may_open_consoles(origin: str | None, host: str | None, base_url: str, is_let_in: bool) -> None:
    assert is_welcome(origin, host, base_url, ["Dashboard"]) is is_let_in
