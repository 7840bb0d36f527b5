"""What is asked of both Compute APIs, about what, and the goals: ratios of the real one's cost to ours. Data only."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.listing.asking import VERSION
from benchmarks.listing.cloud import PROJECT, USER, Server
from benchmarks.placement.cases import Goal
from benchmarks.placement.wire import encoded

#: What there is beside servers: cells with ten hosts each, servers in all, flavors, keypairs.
CELLS, SERVERS, FLAVORS, KEYPAIRS = 2, 1_000, 40, 20
#: From 2.88 on the real one asks each host for its uptime, over a bus that is not there.
_BEFORE_UPTIME = "2.87"
VERSIONS, SMALL, COUNTED, HYPERVISORS, SHOW = Goal(2), Goal(3), Goal(5), Goal(10), Goal(8)
ACCEPTED = Goal(10, "wall")
#: How many times the memory of our worker the real one's takes; seconds from a start of ours to its first answer.
MEMORY, FIRST_ANSWER_S = 2.0, 1.5
#: Clients that ask for servers at once.
CROWD = 8


@dataclass(frozen=True, slots=True)
class Case:
    """Requests to send in turn, all of them reads; ``noun`` is what the answer holds a list of, None if it is none."""

    name: str
    requests: Sequence[bytes]
    goal: Goal | None = None
    noun: str | None = None


def request(method: str, path: str, body: object = None, *, project_id: str = PROJECT, version: str = VERSION) -> bytes:
    """Return one request by the administrator of ``project_id``."""
    headers = {"X-Auth-Token": f"{USER}:{project_id}", "OpenStack-API-Version": f"compute {version}"}
    return encoded(method, path, headers, body)


def reads(shown: Sequence[Server]) -> list[Case]:
    """Return every read, each with the goal it has; ``shown`` are the servers that the caller sees."""
    some = shown[:: max(1, len(shown) // 50)]
    return [
        Case("versions", [request("GET", "/")], VERSIONS, "versions"),
        _list("keypairs", "/os-keypairs", SMALL),
        _list("flavors", "/flavors", SMALL),
        _list("flavors", "/flavors/detail", SMALL, name="flavors detail"),
        _list("services", "/os-services", COUNTED),
        Case("limits", [_get("/limits")], COUNTED),
        Case("quota set", [_get(f"/os-quota-sets/{PROJECT}")], COUNTED),
        Case("quota set detail", [_get(f"/os-quota-sets/{PROJECT}/detail")], COUNTED),
        _list("hypervisors", "/os-hypervisors", HYPERVISORS),
        _list("hypervisors", "/os-hypervisors/detail", HYPERVISORS, name="hypervisors detail", version=_BEFORE_UPTIME),
        Case("show", [_get(f"/servers/{server.uuid}") for server in some], SHOW),
    ]


def flavor(number: int) -> dict[str, object]:
    """Return the body that asks for one of the flavors."""
    size = 1 << number % 6
    return {"flavor": {"name": f"f{number:03}", "id": f"f{number:03}", "vcpus": size, "ram": 1024 * size, "disk": 20}}


def extra_specs(number: int) -> dict[str, object]:
    """Return the body that asks for the extra specs of a flavor."""
    return {"extra_specs": {"hw:cpu_policy": "shared", "hw:numa_nodes": str(1 + number % 2)}}


def _list(noun: str, path: str, goal: Goal, *, name: str | None = None, version: str = VERSION) -> Case:
    return Case(name or noun, [_get(path, version)], goal, noun)


def _get(path: str, version: str = VERSION) -> bytes:
    return request("GET", f"/v2.1{path}", version=version)
