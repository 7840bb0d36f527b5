"""What a compute agent tells of itself in numbers: whether it takes work, its reports, its guests."""

import logging
import time
from collections import Counter

from nova_lite import errors
from nova_lite.compute.service import Agent
from nova_lite.web.metrics import Metrics

LOG = logging.getLogger(__name__)


class Meters:
    """The gauges of one agent."""

    def __init__(self, metrics: Metrics, agent: Agent) -> None:
        self._agent = agent
        self._ready = metrics.gauge("agent_takes_work", "Whether the host takes work.")
        self._report_s = metrics.gauge(
            "agent_report_age_seconds", "Since when nothing could be told to the conductor and Placement; -1 is never."
        )
        self._guests = metrics.gauge("agent_guests", "Guests on the host, by what they do.", ("power_state",))
        self._up = metrics.gauge("hypervisor_up", "Whether the hypervisor answered; else other numbers are of before.")

    def refresh(self) -> None:
        """Bring everything up to date, as far as the hypervisor answers."""
        self._ready.set(self._agent.ready.is_set())
        reported_at = self._agent.reported_at
        self._report_s.set(-1 if reported_at is None else time.monotonic() - reported_at)
        try:
            guests = self._agent.driver.guests()
        except errors.NovaLiteError as exc:
            LOG.warning("Cannot count guests: %s %s", exc, exc.facts)
            self._up.set(0)
            return
        self._up.set(1)
        self._guests.clear()
        for state, number in Counter(guest.power_state.name.lower() for guest in guests).items():
            self._guests.labels(state).set(number)
