"""One request of a story, and the values in it that are only known when it is sent. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: A request without a body, which null is not.
NOTHING = object()


@dataclass(frozen=True, slots=True)
class ProviderGeneration:
    """The generation that a provider will have, 0 when there is none, and what to add to it."""

    provider: str
    plus: int = 0


@dataclass(frozen=True, slots=True)
class ConsumerGeneration:
    """The generation that a consumer will have, null when there is none, and what to add to it."""

    consumer: str
    plus: int = 0


Known = Callable[[ProviderGeneration | ConsumerGeneration], int | None]


@dataclass(frozen=True)
class Request:
    """What is sent to both. A ``body`` of bytes goes out as it is, anything else as JSON.

    The token ``admin`` has the role of services too, as reshapes want it; any other has that of readers.
    """

    method: str
    path: str
    version: str | None = "1.39"
    body: Any = NOTHING
    token: str | None = "admin"
    headers: Mapping[str, str] = field(default_factory=dict)

    def resolved(self, known: Known) -> "Request":
        """Return the request with the generations that hold now."""
        return Request(self.method, self.path, self.version, _resolved(self.body, known), self.token, self.headers)

    def content(self) -> bytes | None:
        """Return the body as it goes out."""
        if self.body is NOTHING:
            return None
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    def all_headers(self) -> dict[str, str]:
        """Return the headers as they go out."""
        headers = {} if self.version is None else {"OpenStack-API-Version": f"placement {self.version}"}
        if self.token is not None:
            headers["X-Auth-Token"] = self.token
            headers["X-Roles"] = "admin,service" if self.token == "admin" else "reader"
        if self.body is not NOTHING:
            headers["Content-Type"] = "application/json"
        headers |= self.headers
        return {name: value for name, value in headers.items() if value}

    def __str__(self) -> str:
        content = self.content()
        text = "" if content is None else f"  {content.decode(errors='backslashreplace')}"
        special = f"  headers {dict(self.headers)}" if self.headers else ""
        return f"{self.method} {self.path}  at {self.version} by {self.token}{special}{text}"


def _resolved(value: Any, known: Known) -> Any:
    if isinstance(value, ProviderGeneration | ConsumerGeneration):
        now = known(value)
        return None if now is None else now + value.plus
    if isinstance(value, dict):
        return {name: _resolved(inner, known) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, known) for inner in value]
    return value
