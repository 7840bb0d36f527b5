"""Real processes are told to stop in the middle of work, which ends or is taken up again: never lost or half done."""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.stack.clients import guests
from tests.integration.stack.deployment import FLAVOR, IMAGE, Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.processes import wait_until

pytestmark = pytest.mark.timeout(1800)

HOST, CONDUCTOR = "cell2-fake1", "cell2-conductor"
#: Where each stands still, and what its log calls what it then waits for: more than one if a slow agent is asked again.
AT_SPAWN = "driver:spawn:before", "[1-9] build"
AT_STEP = "cell:create:spawn guest:middle", "[1-9] workflow"
BOTH, IDS = [(HOST, *AT_SPAWN), (CONDUCTOR, *AT_STEP)], ["compute agent", "conductor"]
_WAIT_S = 120.0
#: Seconds for a stop that nobody hurries: longer than anything here takes.
_LONG_S = 3000


@dataclass
class Stop:
    """A process that is in the middle of building a server, and is told to end there."""

    deployment: Deployment
    name: str
    gate: Path

    @property
    def configuration(self) -> Path:
        return self.deployment.services.configuration(self.name.removesuffix("-conductor"))

    def within(self, seconds: int) -> None:
        """Let it have so many seconds for its stop, once it reads its configuration."""
        text = self.configuration.read_text()
        self.configuration.write_text(re.sub(r"(graceful_shutdown_timeout) = \d+", rf"\1 = {seconds}", text))

    def begin(self, moment: str) -> str:
        """Start it anew, and return the server that it is building once it stands still."""
        self.deployment.services.stop(self.name)
        self.within(_LONG_S)
        self.deployment.services.start_held(self.name, moment, self.gate)
        server = self.boot()
        wait_until(Path(f"{self.gate}.reached").exists, f"{self.name} at {moment}", timeout_s=_WAIT_S)
        return server

    def boot(self) -> str:
        """Ask for a server on the host."""
        with self.deployment.connect(ADMIN) as cloud:
            asked = cloud.compute.create_server(
                name="amid",
                image_id=cloud.image.find_image(IMAGE, ignore_missing=False).id,
                flavor_id=cloud.compute.find_flavor(FLAVOR, ignore_missing=False).id,
                networks="none",
                availability_zone=f"nova:{HOST}",
            )
        return str(asked.id)

    def signal(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            self.deployment.site.processes.send(self.name, number)

    def says(self, words: str, *, times: int = 1) -> None:
        """Wait until its log has said this, a pattern, so often since that was counted."""
        hint = f"Log: {self.deployment.site.processes.log(self.name)}"
        wait_until(lambda: self._found(words) >= self.said + times, words, timeout_s=_WAIT_S, hint=hint)

    def count(self, words: str) -> None:
        """Count ``words`` from now on."""
        self.said = self._found(words)

    def _found(self, words: str) -> int:
        return len(re.findall(words, self.deployment.site.processes.log(self.name).read_text()))

    def ended(self) -> int | None:
        """Return the exit code, once it has ended."""
        self.deployment.site.processes.wait_ended(self.name, timeout_s=_WAIT_S)
        return self.deployment.site.processes.exit_code(self.name)

    def statuses(self, *servers: str) -> list[str]:
        with self.deployment.connect(ADMIN) as cloud:
            return [str(cloud.compute.get_server(server).status) for server in servers]

    def all_active(self, *servers: str) -> None:
        """Wait until these are built, each with one guest on the host."""
        wanted = ["ACTIVE"] * len(servers)
        wait_until(lambda: self.statuses(*servers) == wanted, "all servers ACTIVE", timeout_s=_WAIT_S, interval_s=0.3)
        assert guests(self.deployment) == {server: [HOST] for server in servers}


@pytest.fixture
def stop(deployment: Deployment, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stop]:
    """The process that the test names, with its configuration as it was afterwards."""
    made = Stop(deployment, request.param, tmp_path / "gate")
    text = made.configuration.read_text()
    yield made
    made.configuration.write_text(text)
    made.gate.touch()
    deployment.services.stop(made.name)


@pytest.mark.parametrize(("stop", "moment", "work"), BOTH, ids=IDS, indirect=["stop"])
def test_what_is_under_way_ends_and_what_comes_is_left_to_the_next(
    deployment: Deployment, stop: Stop, moment: str, work: str
) -> None:
    waits = f"Still at work before the end: {work}"
    under_way = stop.begin(moment)
    stop.count(waits)
    stop.signal(signal.SIGTERM)
    stop.says(waits)
    late = stop.boot()
    stop.signal(signal.SIGTERM, signal.SIGHUP)
    stop.says(waits, times=2)  # still the one, and these signals changed nothing
    assert late not in guests(deployment)
    stop.gate.touch()
    assert stop.ended() == 0
    assert under_way in guests(deployment)
    assert late not in guests(deployment)
    deployment.services.start(stop.name)
    stop.all_active(under_way, late)


@pytest.mark.parametrize(("stop", "moment", "work"), BOTH, ids=IDS, indirect=["stop"])
def test_what_does_not_end_in_time_is_taken_up_again(
    deployment: Deployment, stop: Stop, moment: str, work: str
) -> None:
    """The time is made short while the process runs, by SIGHUP."""
    server = stop.begin(moment)
    changed = f"Option service.graceful_shutdown_timeout changed from .{_LONG_S}. to .1."
    stop.count(changed)
    stop.within(1)
    stop.signal(signal.SIGHUP)
    stop.says(changed)
    stop.count(given_up := f"Work did not end within 1 s: {work}")
    stop.signal(signal.SIGTERM)
    assert stop.ended() == 1
    stop.says(given_up)
    deployment.services.start(stop.name)
    stop.all_active(server)


@pytest.mark.parametrize("stop", [CONDUCTOR], indirect=True)
def test_an_interrupt_during_the_stop_ends_it_at_once(deployment: Deployment, stop: Stop) -> None:
    waits = f"Still at work before the end: {AT_STEP[1]}"
    server = stop.begin(AT_STEP[0])
    stop.count(waits)
    stop.signal(signal.SIGTERM)
    stop.says(waits)
    stop.signal(signal.SIGINT)
    assert stop.ended() == 1
    deployment.services.start(CONDUCTOR)
    stop.all_active(server)
