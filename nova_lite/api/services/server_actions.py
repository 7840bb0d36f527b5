"""What can be done to a server: power, reboot, pause, its lock; its console log."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Collection, Iterator, Mapping

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services import server_passwords
from nova_lite.api.services.images import Images
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.server_lookup import Located, ServerLookup, hosting_cell, refuse_if_locked, target
from nova_lite.cells import marks, operations
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.db.repositories import instances
from nova_lite.model.caller import Caller
from nova_lite.model.guest import RescueDevice, names_rescue_device
from nova_lite.model.instance import Instance
from nova_lite.model.notifications import END, ERROR, START
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.compute import ComputeClient
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)

_NO_RESCUE_IMAGE = "Requested rescue image '{}' is not supported"
#: Where a server may be for its password to be set, and to be interrupted.
_PASSWORD_IN = frozenset({VmState.ACTIVE})
_DUMPED_IN = frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.RESCUED, VmState.RESIZED, VmState.ERROR})


class ServerActionService:
    """Begins actions; a conductor of the server's cell carries them out."""

    def __init__(self, conf: cfg.ConfigOpts, lookup: ServerLookup, images: Images, notices: Notices) -> None:
        self._conf = conf
        self._notices = notices
        self._lookup = lookup
        self._images = images

    def rescue(self, caller: Caller, uuid: str, image_id: str | None, *, may_boot_from_volume: bool) -> None:
        """Begin booting the server from a fresh disk of the image; None takes the image it was made from.

        Raises Invalid for an image that cannot be, and for a server that boots from a volume unless it may and the
        image says what its disk is to be.
        """
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.RESCUE, **target(instance))
        refuse_if_locked(caller, instance)
        operations.refuse_if_wrong_state(instance, "rescue")
        properties = instance.image_properties if image_id is None else self._rescue_properties(caller, image_id)
        rescue_image = image_id or instance.image_id
        if instance.boots_from_volume and not (
            may_boot_from_volume and rescue_image and names_rescue_device(properties)
        ):
            raise errors.Invalid(f"Instance {uuid} cannot be rescued: Cannot rescue a volume-backed instance")
        inputs: dict[str, object] = {"image_id": rescue_image}
        device = RescueDevice.of(properties)
        if device is not None:
            inputs["device"] = dataclasses.asdict(device)
        self.begin(caller, uuid, rules.RESCUE, "rescue", inputs)

    def _rescue_properties(self, caller: Caller, image_id: str) -> Mapping[str, str]:
        """Return the properties of an image with data of its own; raises Invalid for another."""
        try:
            properties = self._images.show(image_id, caller.token).properties
        except errors.NotFound as exc:
            raise errors.Invalid(_NO_RESCUE_IMAGE.format(image_id)) from exc
        if "block_device_mapping" in properties:
            raise errors.Invalid(_NO_RESCUE_IMAGE.format(image_id))
        return properties

    def lock(self, caller: Caller, uuid: str, reason: str | None) -> None:
        """Lock the server: only administrators may act on it from then on."""
        located = self._lookup.find(caller, uuid)
        caller.require(rules.LOCK, **target(located.instance))
        self._mark(caller, located, lambda session, requester: marks.lock(session, uuid, requester, reason))
        self._tell(caller, located, "lock")

    def unlock(self, caller: Caller, uuid: str) -> None:
        """Unlock the server; what an administrator locked its owner cannot unlock."""
        located = self._lookup.find(caller, uuid)
        caller.require(rules.UNLOCK, **target(located.instance))
        with _cell(located).db.reader() as session:
            is_of_others = marks.is_locked_by_others(session, located.instance, caller.project_id)
        if is_of_others:
            caller.require(rules.UNLOCK_OVERRIDE, **target(located.instance))
        self._mark(caller, located, lambda session, requester: marks.unlock(session, uuid, requester))
        self._tell(caller, located, "unlock")

    def _tell(self, caller: Caller, located: Located, action: str) -> None:
        """Tell what was written down of a server, as it is now."""
        if self._notices.are_told:
            with _cell(located).db.reader() as session:
                now = instances.get(session, located.instance.uuid, with_deleted=True)
            self._notices.instance(caller, action, now)

    def inject_network_info(self, caller: Caller, uuid: str) -> None:
        """Do nothing, after the checks: hosts of today's kinds have nowhere to put that."""
        located = self._lookup.find(caller, uuid)
        caller.require(rules.INJECT_NETWORK_INFO, **target(located.instance))
        refuse_if_locked(caller, located.instance)

    def change_password(self, caller: Caller, uuid: str, password: str) -> None:
        """Have the agent inside the server set its administrator's password, which only its user can read later.

        Raises Conflict when the server does not run or was made without an agent, Unsupported when none answers.
        """
        instance, cell = self._hosted(caller, uuid, rules.CHANGE_PASSWORD, "changePassword", _PASSWORD_IN)
        user = instance.image_properties.get("os_admin_user") or "root"
        agents = ComputeClient(cell.bus)
        with self._noted(caller, cell, uuid, "changePassword", "compute_set_admin_password"):
            try:
                agents.set_password(instance.host or "", uuid, user, password)
            except errors.Unsupported as exc:
                raise errors.Unsupported("Unable to set password on instance") from exc
        server_passwords.keep(cell, instance, password)

    def trigger_crash_dump(self, caller: Caller, uuid: str) -> None:
        """Interrupt the server, so that its system dumps its memory; whether that worked its action tells."""
        instance, cell = self._hosted(caller, uuid, rules.TRIGGER_CRASH_DUMP, "trigger_crash_dump", _DUMPED_IN)
        self._notices.instance(caller, "trigger_crash_dump", instance, phase=START)
        try:
            with self._noted(caller, cell, uuid, "trigger_crash_dump", "compute_trigger_crash_dump"):
                ComputeClient(cell.bus).inject_nmi(instance.host or "", uuid)
            self._notices.instance(caller, "trigger_crash_dump", instance, phase=END)
        except errors.NovaLiteError as exc:
            self._notices.instance(caller, "trigger_crash_dump", instance, phase=ERROR, error=exc)
            LOG.warning("Server %s was not interrupted: %s %s", uuid, exc, exc.facts)

    def _hosted(
        self, caller: Caller, uuid: str, rule: str, action: str, states: Collection[VmState]
    ) -> tuple[Instance, OpenCell]:
        """Return a server at rest in one of ``states``, and its cell; raises what is against ``action``."""
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rule, **target(instance))
        refuse_if_locked(caller, instance)
        if instance.vm_state not in states:
            raise errors.Conflict(f"Cannot '{action}' instance {uuid} while it is in vm_state {instance.vm_state}")
        if instance.task_state is not None:
            raise errors.Conflict(f"Cannot '{action}' instance {uuid} while it is in task_state {instance.task_state}")
        return instance, hosting_cell(located)

    @contextlib.contextmanager
    def _noted(self, caller: Caller, cell: OpenCell, uuid: str, action: str, event: str) -> Iterator[None]:
        """Record among the server's actions what is done at its host, and how it ended."""
        error = None
        try:
            yield
        except errors.NovaLiteError as exc:
            error = exc.message
            raise
        finally:
            _note(cell, uuid, action, _requester(caller), event=event, error=error)

    def console_output(self, caller: Caller, uuid: str, lines: int | None) -> str:
        """Return the end of the server's console log: ``lines`` of it, all where that is None, or what there is.

        Raises Conflict while it was never started on a host.
        """
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.CONSOLE_OUTPUT, **target(instance))
        if located.cell is None or instance.host is None or instance.launched_at is None:
            raise errors.Conflict(f"Instance {uuid} is not ready: it was never started on a host.")
        return ComputeClient(located.cell.bus).console_output(instance.host, uuid, lines)

    def begin(
        self, caller: Caller, uuid: str, rule: str, action: str, inputs: Mapping[str, object] | None = None
    ) -> None:
        """Begin ``action``, a key of the table of states, that ``rule`` lets the caller do."""
        located = self._lookup.find(caller, uuid)
        caller.require(rule, **target(located.instance))
        refuse_if_locked(caller, located.instance)
        operations.refuse_if_wrong_state(located.instance, action)
        cell = hosting_cell(located)
        begun = _begin(cell, uuid, action, _requester(caller), inputs, timeout_s=self._conf.operation_timeout)
        ConductorClient(cell.bus).wake(begun.uuid)

    @retried
    def _mark(self, caller: Caller, located: Located, write: Callable[[Session, Requester], None]) -> None:
        with _cell(located).db.writer() as session:
            write(session, _requester(caller))


def _requester(caller: Caller) -> Requester:
    return Requester(caller.user_id, caller.project_id, caller.request_id)


def _cell(located: Located) -> OpenCell:
    """Return the cell that has the server; raises Conflict while it waits for one."""
    if located.cell is None:
        raise errors.Conflict(f"Instance {located.instance.uuid} is not ready: it has no cell yet.")
    return located.cell


@retried
def _note(cell: OpenCell, uuid: str, action: str, requester: Requester, *, event: str, error: str | None) -> None:
    with cell.db.writer() as session:
        marks.note(session, uuid, action, requester, event=event, error=error)


@retried
def _begin(
    cell: OpenCell,
    uuid: str,
    action: str,
    requester: Requester,
    inputs: Mapping[str, object] | None,
    *,
    timeout_s: float,
) -> Workflow:
    with cell.db.writer() as session:
        return operations.begin(session, uuid, action, requester, timeout_s=timeout_s, inputs=inputs)
