"""What is told of work that spans cells: hosts that are sought, or not found, and images that are brought to hosts.

What is told of a server's work in its cell: ``notices.py`` above.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
from oslo_config import cfg

from nova_lite import errors
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.conductor.steps import Onlooker, Work
from nova_lite.db.repositories import aggregates, build_requests, instances, server_groups
from nova_lite.model import payloads
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.notifications import API, END, ERROR, INSTANCE_ACTION, INSTANCE_REBUILD, START, Who
from nova_lite.model.payloads import Payload
from nova_lite.rpc.notifications import Notifier

LOG = logging.getLogger(__name__)

#: Kind of work → the step in which it seeks hosts.
SEEKING: Mapping[str, str] = {
    "schedule": "choose hosts",
    "move": "choose host",
    "live-migrate": "choose host",
    "evacuate": "choose host",
    "unshelve": "choose host",
}
#: Kind of work → what is told of it when no host is found.
TASKS: Mapping[str, str] = {
    "schedule": "build_instances",
    "move": "migrate_server",
    "live-migrate": "migrate_server",
    "evacuate": "rebuild_server",
    "rebuild": "rebuild_server",
    "reimage": "rebuild_server",
}
#: Kind of work that makes servers anew → the step after which it is known where.
REBUILDING: Mapping[str, str] = dict.fromkeys(("evacuate", "rebuild", "reimage"), "hand to cell")
_CACHING = "cache-images"


class SuperNotices(Onlooker[SuperTools]):
    """Tells what the super conductor does."""

    def __init__(self, conf: cfg.ConfigOpts, notifier: Notifier) -> None:
        self._host: str = conf.host
        self._notifier = notifier

    def begins(self, work: Work[SuperTools], step: str) -> None:
        """Tell that hosts are sought, or images brought to some."""
        kind = work.workflow.kind
        if SEEKING.get(kind) == step:
            self._guarded(self._tell_seeking, work, START)
        elif kind == _CACHING:
            self._guarded(self._tell_aggregate, work, START)

    def passed(self, work: Work[SuperTools], step: str) -> None:
        """Tell that hosts were found, or which images hosts got."""
        kind = work.workflow.kind
        if SEEKING.get(kind) == step:
            self._guarded(self._tell_seeking, work, END)
        elif REBUILDING.get(kind) == step:
            self._guarded(self._tell_rebuild, work)
        elif (kind, step) == ("delete", "delete in cell"):
            self._guarded(self._tell_hostless_delete, work)
        elif kind == _CACHING:
            self._guarded(self._tell_fetches, work)
            self._guarded(self._tell_aggregate, work, END)

    def failed(self, work: Work[SuperTools], error: Exception | None) -> None:
        """Tell which servers found no host."""
        if work.workflow.kind in TASKS:
            self._guarded(self._tell_failure, work, error)

    @staticmethod
    def _guarded(function: Callable[..., None], work: Work[SuperTools], *args: object) -> None:
        try:
            function(work, *args)
        except errors.NotFound as exc:
            LOG.debug("Nothing is told of %s of %s: %s", work.workflow.kind, work.subject, exc)
        except Exception:
            LOG.exception("What became of %s of %s is not told", work.workflow.kind, work.subject)

    def _tell_seeking(self, work: Work[SuperTools], phase: str) -> None:
        sought = _subjects(work)
        spec = _spec(work, sought[0], len(sought))
        if spec is not None:
            self._tell(work, "scheduler.select_destinations", phase, spec)

    def _tell_rebuild(self, work: Work[SuperTools]) -> None:
        who, now = _who(work), _instance(work, work.subject)
        volumes = self._notifier.lists_volumes
        payload = payloads.instance(
            INSTANCE_REBUILD, now, who, with_volumes=volumes, fault=None, trusted_image_certificates=None
        )
        self._tell(work, "instance.rebuild_scheduled", None, payload)

    def _tell_hostless_delete(self, work: Work[SuperTools]) -> None:
        """Tell of a server without a host, which no cell's conductor deletes, that it is gone."""
        who, now = _who(work), _instance(work, work.subject, with_deleted=True)
        if now.is_deleted and now.host is None and now.shelved_image is None:
            volumes = self._notifier.lists_volumes
            payload = payloads.instance(INSTANCE_ACTION, now, who, with_volumes=volumes, fault=None)
            for phase in (START, END):
                self._tell(work, "instance.delete", phase, payload, source=API)

    def _tell_failure(self, work: Work[SuperTools], error: Exception | None) -> None:
        reason = payloads.failure(error, work.workflow.reason)
        for uuid in _subjects(work):
            now, spec = _instance(work, uuid), _spec(work, uuid, 1)
            payload = payloads.compute_task(uuid, now.vm_state.value, spec, reason)
            self._tell(work, f"compute_task.{TASKS[work.workflow.kind]}", ERROR, payload)

    def _tell_aggregate(self, work: Work[SuperTools], phase: str) -> None:
        found = _aggregate(work)
        payload = payloads.aggregate(
            number=found.id, uuid=found.uuid, name=found.name, hosts=found.hosts, metadata=found.metadata
        )
        self._tell(work, "aggregate.cache_images", phase, payload)

    def _tell_fetches(self, work: Work[SuperTools]) -> None:
        found, fetched = _aggregate(work), work.facts["fetched"]
        for index, (host, cached) in enumerate(fetched.items(), 1):
            failed = [image for image in work.inputs["images"] if image not in cached]
            payload = payloads.image_fetch(
                number=found.id,
                uuid=found.uuid,
                name=found.name,
                host=host,
                cached=cached,
                failed=failed,
                turn=(index, len(fetched)),
            )
            self._tell(work, "aggregate.cache_images.progress", None, payload)

    def _tell(
        self, work: Work[SuperTools], name: str, phase: str | None, payload: Payload, *, source: str = ""
    ) -> None:
        self._notifier.tell(name, phase, _who(work), lambda: payload, host=self._host, source=source)


def _who(work: Work[SuperTools]) -> Who:
    at = work.workflow
    return Who(at.user_id, at.project_id, at.request_id)


def _subjects(work: Work[SuperTools]) -> list[str]:
    """Return the servers that work is about."""
    return list(work.inputs.get("instance_uuids", (work.subject,)))


def _instance(work: Work[SuperTools], uuid: str, *, with_deleted: bool = False) -> Instance:
    """Return a server where it is: one that never had a host in cell0; raises NotFound."""
    cells = work.tools.cells
    cell = cells.get(work.inputs["cell_uuid"]) if "cell_uuid" in work.inputs else cells.cell0
    with work.tools.database(cell).reader() as session:
        return instances.get(session, uuid, with_deleted=with_deleted)


def _spec(work: Work[SuperTools], uuid: str, count: int) -> Payload | None:
    """Return what a host is sought for: what was when the server was made, and what a move changes; None if gone."""
    with work.tools.api_db.reader() as session:
        asked = build_requests.spec(session, uuid)
        if asked is None:
            return None
        group = None if asked.group is None else server_groups.get(session, asked.group)
    inputs = work.inputs
    if "flavor" in inputs:
        asked = replace(asked, flavor=msgspec.convert(inputs["flavor"], Flavor))
    if inputs.get("host") is not None:
        asked = replace(asked, wanted_host=inputs["host"], skips_filters=bool(inputs.get("skips_filters")))
    return payloads.request_spec(asked, uuid, count=count, group=group)


def _aggregate(work: Work[SuperTools]) -> aggregates.Aggregate:
    with work.tools.api_db.reader() as session:
        found = aggregates.find(session, work.subject)
    if found is None:
        raise errors.NotFound(f"Aggregate {work.subject} is gone.")
    return found
