"""An embedded cloud for tests: imitated guests, free ports, a directory of its own, quick to come and go."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import requests
from falcon.testing import TestClient

from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.settings import CloudSettings
from nova_lite.storage import Database

T = TypeVar("T")

#: What tests wait for at most, unless they say otherwise: minutes, for only what never comes should fail them.
DEADLINE_S = 480.0
#: Repairs and refreshes come sooner than in a real cloud, for tests wait for them. Cells, hosts and Placement get the
#: time they need: on a busy machine one that is well must not count as silent.
_QUICK: Mapping[str, Mapping[str, str]] = {
    "DEFAULT": {"report_interval": "1", "shutdown_timeout": "1"},
    "cells": {"refresh_interval": "0.5", "timeout": "480"},
    "conductor": {"lease": "2", "scan_interval": "0.5"},
    "placement": {"timeout": "480"},
    "rpc": {"call_timeout": "480", "call_monitor_timeout": "60"},
}


@contextlib.contextmanager
def running(
    state_dir: Path, *, cells: int = 2, hosts: int = 2, options: Mapping[str, Mapping[str, str]] | None = None
) -> Iterator[Cloud]:
    """Run a cloud with imitated guests; ``options`` (group → option → value) go into every configuration."""
    groups = {*_QUICK, *(options or {})}
    merged = {group: {**_QUICK.get(group, {}), **(options or {}).get(group, {})} for group in groups}
    settings = CloudSettings(state_dir=state_dir, driver="fake", cells=cells, hosts=hosts, port_base=0, options=merged)
    cloud = Cloud(settings)
    cloud.start()
    known = set(cloud.agents.values())
    try:
        yield cloud
    finally:
        for agent in set(cloud.agents.values()) - known:  # a story put it in another's place
            agent.stop()
        cloud.stop()


def fake_driver(cloud: Cloud, host: str) -> FakeDriver:
    """Return a host's driver, to script faults and look at guests."""
    driver = cloud.agents[host].driver
    assert isinstance(driver, FakeDriver)
    return driver


def database(cloud: Cloud, name: str) -> Database:
    """Return one of the cloud's databases (``api``, ``cell0``, ``cell1`` …); the caller closes it."""
    return Database(cloud.settings.database(name))


def wsgi(cloud: Cloud, user: str = "admin") -> TestClient:
    """Return a client that calls the Compute API's application directly, without a socket."""
    return TestClient(cloud.compute_app, headers={"X-Auth-Token": user})


def eventually(look: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Return what ``look`` returns as soon as that is true; fail, saying ``what`` did not come, at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}; last seen: {seen!r}"
        time.sleep(0.01)


class Answer:
    """What an API said."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.json: Any = response.json() if response.content else None


class ComputeUser:
    """Someone who talks to the Compute API at ``url``, ``/v2.1`` included."""

    def __init__(self, url: str, user: str = "admin", *, microversion: str = "2.96") -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({"X-Auth-Token": user, "OpenStack-API-Version": f"compute {microversion}"})

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Send one request, ``path`` being what comes after ``/v2.1``."""
        return Answer(self._session.request(method, f"{self._url}{path}", json=body, timeout=480))

    def boot(self, name: str, image: str, *, flavor: str = "1", **more: object) -> str:
        """Ask for a server and return its id."""
        server = {"name": name, "flavorRef": flavor, "imageRef": image, "networks": "none", **more}
        answer = self.ask("POST", "/servers", {"server": server})
        assert answer.status == 202, answer.json
        return str(answer.json["server"]["id"])

    def server(self, server_id: str) -> dict[str, Any]:
        """Return a server as shown."""
        answer = self.ask("GET", f"/servers/{server_id}")
        assert answer.status == 200, answer.json
        server: dict[str, Any] = answer.json["server"]
        return server

    def act(self, server_id: str, action: str, details: object = None) -> Answer:
        """Ask for an action on a server."""
        return self.ask("POST", f"/servers/{server_id}/action", {action: details})

    def wait(self, server_id: str, status: str) -> dict[str, Any]:
        """Return the server once it is at rest in ``status``; fails at once when it is in ERROR instead."""

        def look() -> dict[str, Any] | None:
            server = self.server(server_id)
            assert status == "ERROR" or server["status"] != "ERROR", server.get("fault")
            return server if (server["status"], server["OS-EXT-STS:task_state"]) == (status, None) else None

        return eventually(look, f"server {server_id} in {status}")

    def wait_gone(self, server_id: str) -> None:
        """Return once the server is no more."""
        eventually(lambda: self.ask("GET", f"/servers/{server_id}").status == 404, f"server {server_id} deleted")
