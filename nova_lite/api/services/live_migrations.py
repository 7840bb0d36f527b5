"""Migrating servers live, and what may be asked of that while it is under way: an abort, a quick end."""

import time

import msgspec
from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import server_migrations as wish_rules
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.move_beginnings import Beginnings, movable_in
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.rehearsals import Rehearsal, Rehearsals
from nova_lite.api.services.server_lookup import Located, ServerLookup, refuse_if_locked, target
from nova_lite.cells import live_migrations, moves
from nova_lite.cells.live_migrations import Wish
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import actions, migrations
from nova_lite.model.caller import Caller
from nova_lite.model.migration import Migration
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, retried

#: Seconds between two looks whether the checks are done that the caller waits for.
_POLL_S = 0.1
#: What may be asked of a live migration → its name among what listeners are told.
_WISHES: dict[Wish, str] = {"abort": "abort", "hurry": "force_complete"}


class LiveMigrationService:
    """Begins live migrations, aborts and hurries them."""

    def __init__(
        self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, lookup: ServerLookup, bus: Bus, notices: Notices
    ) -> None:
        self._notices = notices
        self._patience_s: float = conf.rpc.call_timeout
        self._lookup = lookup
        self._bus = bus
        self._beginnings = Beginnings(conf, api_db, cells)
        self._rehearsals = Rehearsals(api_db, bus)

    def migrate(
        self,
        caller: Caller,
        uuid: str,
        host: str | None,
        *,
        copies_disks: bool | None,
        skips_filters: bool = False,
        waits: bool = False,
    ) -> None:
        """Begin to move the running server to ``host``, or to whichever suits; raises Invalid for one not of its cell.

        ``copies_disks`` None is: if the hosts do not share them. With ``waits`` the caller hears what the checks have
        against it, as Invalid; else the server's actions tell.
        """
        located, cell = self._movable(caller, uuid, host)
        workflow = Workflow.asked_by(
            caller,
            moves.LIVE,
            uuid,
            {
                "cell_uuid": cell.cell.uuid,
                "is_resize": False,
                "flavor": msgspec.to_builtins(located.instance.flavor),
                "host": host,
                "skips_filters": skips_filters and host is not None and host != located.instance.host,
                "copies_disks": copies_disks,
            },
        )
        self._beginnings.record(workflow)
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)

        def begin(session: Session) -> None:
            live_migrations.begin(session, uuid, workflow.uuid, requester)

        self._beginnings.begin_in_cell(workflow, cell, begin)
        ConductorClient(self._bus).wake(workflow.uuid)
        if waits:
            self._await_checks(cell, workflow.uuid, caller.request_id)

    def rehearse(self, caller: Caller, uuid: str, host: str | None) -> Rehearsal:
        """Return where the scheduler would have ``migrate`` go, and write nothing; hosts are not asked."""
        located, cell = self._movable(caller, uuid, host)
        return Rehearsal(None, self._rehearsals.move(located.instance, cell, located.instance.flavor, host=host))

    def _movable(self, caller: Caller, uuid: str, host: str | None) -> tuple[Located, OpenCell]:
        located = self._lookup.find(caller, uuid)
        rule = rules.MIGRATE_LIVE if host is None else rules.MIGRATE_LIVE_TO_HOST
        cell = movable_in(caller, located, rule, moves.LIVE, "os-migrateLive")
        if host is not None:
            self._beginnings.refuse_bad_host(located.instance, cell, host)
        return located, cell

    def force_complete(self, caller: Caller, uuid: str, number: int | None) -> None:
        """Have a live migration end soon; raises Invalid when there is none with this number that copies its guest."""
        located = self._lookup.find(caller, uuid)
        try:
            self._ask(caller, located, number, "hurry", wish_rules.FORCE_COMPLETE, ("running",))
        except errors.NotFound as exc:
            raise errors.Invalid(exc.message) from exc

    def abort(self, caller: Caller, uuid: str, number: int | None, *, even_if_waiting: bool) -> None:
        """Break a live migration off; raises NotFound when there is none with this number, Invalid when it is too late.

        One that waits or is prepared is aborted only ``even_if_waiting``.
        """
        statuses = ("running", "queued", "preparing") if even_if_waiting else ("running",)
        located = self._lookup.find(caller, uuid)
        self._ask(caller, located, number, "abort", wish_rules.DELETE, statuses)

    def _ask(
        self, caller: Caller, located: Located, number: int | None, wish: Wish, rule: str, statuses: tuple[str, ...]
    ) -> None:
        instance = located.instance
        caller.require(rule, **target(instance))
        refuse_if_locked(caller, instance)
        live_migrations.refuse_wish(instance, wish)
        if located.cell is None:
            raise errors.Conflict(f"Instance {instance.uuid} is not ready: it has no host.")
        migration = None if number is None else _numbered(located.cell, instance.uuid, number)
        if migration is None:
            raise errors.NotFound(f"Migration {number} not found for instance {instance.uuid}")
        if not migration.is_live_in_progress or migration.status not in statuses:
            shown = "abort live migration" if wish == "abort" else "force complete"
            raise errors.Invalid(
                f"Migration {number} state of instance {instance.uuid} is {migration.status}. "
                f"Cannot {shown} while the migration is in this state."
            )
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        hears = _asked(located.cell, instance.uuid, migration.number or 0, wish, requester)
        self._notices.instance(caller, f"live_migration_{_WISHES[wish]}", instance)
        if hears is not None:
            ConductorClient(located.cell.bus).wake(hears)

    def _await_checks(self, cell: OpenCell, migration: str, request_id: str) -> None:
        """Return when the checks of a live migration are done, or when that takes too long; raises what they found."""
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline:
            with cell.db.reader() as session:
                found = migrations.get(session, migration)
                if found is not None and found.status == "error":
                    raise errors.Invalid(_reason(session, found.instance_uuid, request_id))
            if found is None or found.status != "accepted":
                return
            time.sleep(_POLL_S)


def _reason(session: Session, uuid: str, request_id: str) -> str:
    """Return how an action on a server ended, as its events tell."""
    action = actions.of_request(session, uuid, request_id)
    told = [] if action is None else [event.details for event in action.events if event.details]
    return told[-1] if told else "Migration pre-check error."


def _numbered(cell: OpenCell, uuid: str, number: int) -> Migration | None:
    with cell.db.reader() as session:
        return migrations.numbered(session, uuid, number)


@retried
def _asked(cell: OpenCell, uuid: str, number: int, wish: Wish, requester: Requester) -> str | None:
    with cell.db.writer() as session:
        return live_migrations.ask(session, uuid, number, wish, requester)
