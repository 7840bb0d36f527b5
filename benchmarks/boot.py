"""Boots on an idle embedded cloud with imitated guests, over HTTP: how long clients wait for what."""

import time
from typing import Any

import requests

from benchmarks import process, results
from benchmarks.process import Running
from benchmarks.results import Result

#: Rounds that are not counted: imports and connections on first use.
_WARM_UP = 5
_DEADLINE_S = 30.0


class User:
    """One client with one connection."""

    def __init__(self, cloud: Running) -> None:
        self._url = cloud.compute_url
        self._session = requests.Session()
        self._session.headers.update({"X-Auth-Token": "admin", "OpenStack-API-Version": "compute 2.96"})
        self._image = self._session.get(f"{cloud.image_url}/v2/images", timeout=10).json()["images"][0]["id"]

    def post(self) -> str:
        """Ask for a server and return its id."""
        server = {"name": "bench", "flavorRef": "1", "imageRef": self._image, "networks": "none"}
        answer = self._session.post(f"{self._url}/servers", json={"server": server}, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["server"]["id"])

    def act(self, server_id: str, action: dict[str, Any]) -> None:
        """Begin an action."""
        self._session.post(f"{self._url}/servers/{server_id}/action", json=action, timeout=30).raise_for_status()

    def wait(self, server_id: str, status: str | None) -> None:
        """Return when the server is at rest in ``status``, or gone for None."""
        end = time.perf_counter() + _DEADLINE_S
        while time.perf_counter() < end:
            answer = self._session.get(f"{self._url}/servers/{server_id}", timeout=30)
            if answer.status_code == 404 and status is None:
                return
            server = answer.json()["server"]
            if (server["status"], server["OS-EXT-STS:task_state"]) == (status, None):
                return
            if server["status"] == "ERROR":
                raise RuntimeError(server["fault"]["message"])
            time.sleep(0.001)
        raise RuntimeError(f"server {server_id} is not {status} after {_DEADLINE_S} s")

    def delete(self, server_id: str) -> None:
        """Delete a server."""
        self._session.delete(f"{self._url}/servers/{server_id}", timeout=30).raise_for_status()

    def show(self, server_id: str) -> None:
        """Look at a server."""
        self._session.get(f"{self._url}/servers/{server_id}", timeout=30).raise_for_status()

    def list(self) -> None:
        """Look at all servers."""
        self._session.get(f"{self._url}/servers/detail", timeout=30).raise_for_status()


def run(*, quick: bool) -> list[Result]:
    """Measure one client's waits, one server at a time."""
    samples: dict[str, list[float]] = {name: [] for name in ("post", "boot", "show", "list", "stop", "start", "delete")}
    with process.state_dir() as path, process.running(path) as cloud:
        user = User(cloud)
        for turn in range(_WARM_UP + (20 if quick else 100)):
            measured = _one_life(user)
            if turn >= _WARM_UP:
                for name, took_ms in measured.items():
                    samples[name].append(took_ms)
    return [
        results.of("POST /servers", samples["post"], "ms", goal=20.0),
        results.of("boot, POST to ACTIVE", samples["boot"], "ms", goal=150.0),
        results.of("GET /servers/{id}", samples["show"], "ms"),
        results.of("GET /servers/detail, one server", samples["list"], "ms"),
        results.of("stop, POST to SHUTOFF", samples["stop"], "ms"),
        results.of("start, POST to ACTIVE", samples["start"], "ms"),
        results.of("delete, DELETE to 404", samples["delete"], "ms"),
    ]


def _one_life(user: User) -> dict[str, float]:
    """Boot, look at, stop, start and delete one server; return what took how many milliseconds."""
    took: dict[str, float] = {}
    began = time.perf_counter()

    def note(name: str) -> None:
        took[name] = (time.perf_counter() - began) * 1000

    server_id = user.post()
    note("post")
    user.wait(server_id, "ACTIVE")
    note("boot")
    began = time.perf_counter()
    user.show(server_id)
    note("show")
    began = time.perf_counter()
    user.list()
    note("list")
    began = time.perf_counter()
    user.act(server_id, {"os-stop": None})
    user.wait(server_id, "SHUTOFF")
    note("stop")
    began = time.perf_counter()
    user.act(server_id, {"os-start": None})
    user.wait(server_id, "ACTIVE")
    note("start")
    began = time.perf_counter()
    user.delete(server_id)
    user.wait(server_id, None)
    note("delete")
    return took
