"""A rehearsal counts what its own servers would take, of every class."""

from dataclasses import replace
from typing import cast

import msgspec
import pytest

from nova_lite import config
from nova_lite.clients.placement import PlacementClient
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import request
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.pipeline import Stage
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.scheduler.survey import Survey, Surveyor
from nova_lite.scheduler.waiting import Waiting

HOST = HostState("cell", "host", "node", "host", is_up=True, is_disabled=False)
NOTHING_USUAL = {"resources:VCPU": "0", "resources:MEMORY_MB": "0", "resources:DISK_GB": "0"}


class Found:
    """What a surveyor found: two hosts with some room each."""

    def __init__(self, spec: RequestSpec, room: dict[str, int]) -> None:
        hosts = [replace(HOST, host=name, node=name) for name in ("one", "two")]
        offers = {host.node: {host.node: dict.fromkeys(room, 1)} for host in hosts}
        rooms = {host.node: room for host in hosts}
        needs = request.needs(spec.flavor)
        self._found = Survey(Sought(spec), needs, offers, hosts, [Stage("Placement", 2, 2)], rooms)

    def survey(self, spec: RequestSpec, instance_uuids: list[str]) -> Survey:
        return self._found


@pytest.mark.parametrize(
    ("extra", "room", "fit"),
    [
        pytest.param({}, {"VCPU": 9, "MEMORY_MB": 1024, "DISK_GB": 9}, 4, id="memory"),
        pytest.param({}, {"VCPU": 9, "MEMORY_MB": 1024, "DISK_GB": 0}, 4, id="disk from a pool"),
        pytest.param(
            {**NOTHING_USUAL, "resources:CUSTOM_GOLD": "1"}, {"VCPU": 0, "CUSTOM_GOLD": 1}, 2, id="whole nodes"
        ),
        pytest.param(
            {"resources1:SRIOV_NET_VF": "2"}, {"VCPU": 9, "MEMORY_MB": 9999, "SRIOV_NET_VF": 5}, 4, id="parts"
        ),
    ],
)
def test_as_many_fit_as_there_is_room_for(extra: dict[str, str], room: dict[str, int], fit: int) -> None:
    spec = RequestSpec("project", "user", Flavor("1", "tiny", 1, 512, 1, extra_specs=extra), "image")
    surveyor = cast(Surveyor, Found(spec, room))
    nobody = cast(PlacementClient, None), cast(Waiting, None)
    scheduler = SchedulerEndpoint(config.load(files=[]), surveyor, *nobody)
    asked = msgspec.to_builtins(spec)
    placed = scheduler.rehearse(asked, fit)["placed"]
    assert [bool(each["explanation"]) for each in placed] == [True] + [False] * (fit - 1)
    assert f"room for {fit} of {fit + 1} servers only" in scheduler.rehearse(asked, fit + 1)["refusal"]
