"""The log of usage audits, which hosts elsewhere write once a month. No host here does: usage is counted when asked."""

from dataclasses import dataclass
from datetime import datetime

from oslo_config import cfg

from nova_lite.api.policies import instance_usage_audit_log as policies
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import OpenCell
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import hosts
from nova_lite.model.caller import Caller


@dataclass(frozen=True)
class AuditLog:
    """A month, from ``begins`` to ``ends``, naive UTC, and the hosts that wrote nothing of it: all there are."""

    begins: datetime
    ends: datetime
    hosts: tuple[str, ...]


class AuditLogService:
    """Tells which hosts there are to write a log."""

    def __init__(self, conf: cfg.ConfigOpts, fanout: Fanout) -> None:
        self._conf = conf
        self._fanout = fanout

    def latest(self, caller: Caller) -> AuditLog:
        """Return the log of the last month that is over."""
        caller.require(policies.INDEX)
        return self._log(utcnow())

    def before(self, caller: Caller, moment: datetime) -> AuditLog:
        """Return the log of the last month that was over at a moment, naive UTC."""
        caller.require(policies.SHOW)
        return self._log(moment)

    def _log(self, moment: datetime) -> AuditLog:
        def question(cell: OpenCell) -> list[str]:
            with cell.db.reader() as session:
                found = hosts.services(session, down_after_s=self._conf.service_down_time, binary=hosts.AGENT)
            return [service.host for service in found]

        names = {name for found in self._fanout.ask(question).found.values() for name in found}
        return AuditLog(*month_before(moment), tuple(sorted(names)))


def month_before(moment: datetime) -> tuple[datetime, datetime]:
    """Return beginning and end of the last month that is over at ``moment``; one that ends then is not: pure."""
    end = _first_day(moment)
    if end == moment:
        end = _month_earlier(end)
    return _month_earlier(end), end


def _first_day(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _month_earlier(first_day: datetime) -> datetime:
    if first_day.month > 1:
        return first_day.replace(month=first_day.month - 1)
    # There is nothing before the first year there is.
    return first_day.replace(year=max(first_day.year - 1, 1), month=12)
