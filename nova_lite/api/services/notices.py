"""What the API tells of what it changed itself, once that is done: what was refused is not told.

Such a change is one transaction, so what listeners know as its start and its end are told one after the other.
"""

from collections.abc import Callable

from oslo_config import cfg

from nova_lite.db.columns import utcnow
from nova_lite.db.repositories.aggregates import Aggregate
from nova_lite.db.repositories.keypairs import Keypair
from nova_lite.model import payloads
from nova_lite.model.caller import Caller
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import Service
from nova_lite.model.instance import Instance
from nova_lite.model.notifications import API, COMPUTE, END, EVENTS, START, Who
from nova_lite.model.payloads import Payload, Transition
from nova_lite.model.server_group import ServerGroup
from nova_lite.rpc.notifications import Notifier


class Notices:
    """Tells what callers had changed."""

    def __init__(self, conf: cfg.ConfigOpts, notifier: Notifier) -> None:
        self._host: str = conf.host
        self._notifier = notifier

    @property
    def are_told(self) -> bool:
        """Whether anybody is told; who has to look something up for it asks this first."""
        return self._notifier.is_versioned

    def aggregate(self, caller: Caller, action: str, of: Aggregate) -> None:
        """Tell of an aggregate, as it is now; ``action`` is the second part of the event's name, here and below."""
        self._tell(
            caller,
            f"aggregate.{action}",
            lambda: payloads.aggregate(
                number=of.id, uuid=of.uuid, name=of.name, hosts=of.hosts, metadata=dict(of.metadata)
            ),
        )

    def flavor(self, caller: Caller, action: str, find: Callable[[], tuple[Flavor, list[str]]]) -> None:
        """Tell of a flavor; it is looked for, with the projects that may use it, only if it is told."""

        def payload() -> Payload:
            flavor, projects = find()
            return payloads.flavor(flavor, projects)

        self._tell(caller, f"flavor.{action}", payload)

    def keypair(self, caller: Caller, action: str, of: Keypair) -> None:
        """Tell of a keypair: its public half."""
        self._tell(
            caller,
            f"keypair.{action}",
            lambda: payloads.keypair(
                user_id=of.user_id, name=of.name, fingerprint=of.fingerprint, public_key=of.public_key, kind=of.type
            ),
        )

    def server_group(self, caller: Caller, action: str, of: ServerGroup) -> None:
        """Tell of a server group."""
        self._tell(caller, f"server_group.{action}", lambda: payloads.server_group(of, of.members))

    def service(self, caller: Caller, action: str, of: Service) -> None:
        """Tell of a service, as if it told itself."""
        self._tell(caller, f"service.{action}", lambda: payloads.service(of), host=of.host, source=of.binary)

    def instance(
        self,
        caller: Caller,
        action: str,
        of: Instance,
        *,
        phase: str | None = None,
        error: Exception | None = None,
        source: str = "",
    ) -> None:
        """Tell that something was done to a server which needs no work; without ``phase`` all that there are."""
        who, event = _who(caller), EVENTS[f"instance.{action}"]
        volumes, fault = self._notifier.lists_volumes, None if error is None else payloads.failure(error)
        self._tell(
            caller,
            event.name,
            lambda: payloads.instance(event.shape, of, who, with_volumes=volumes, fault=fault),
            host=of.host if event.source == COMPUTE else None,
            phase=phase,
            source=source,
        )

    def dropped(self, caller: Caller, of: Instance) -> None:
        """Tell that a server is gone which never had a host."""
        for phase in (START, END):
            self.instance(caller, "delete", of, phase=phase, source=API)

    def renamed(self, caller: Caller, of: Instance, old_name: str) -> None:
        """Tell that a server has a new name."""
        who, volumes = _who(caller), self._notifier.lists_volumes
        task = None if of.task_state is None else of.task_state.value
        before = Transition(of.vm_state.value, task)
        self._tell(
            caller,
            "instance.update",
            lambda: payloads.instance_update(of, who, before, with_volumes=volumes, now=utcnow(), old_name=old_name),
            source=API,
        )

    def _tell(
        self,
        caller: Caller,
        name: str,
        payload: Callable[[], Payload],
        *,
        host: str | None = None,
        source: str = "",
        phase: str | None = None,
    ) -> None:
        for each in (phase,) if phase else EVENTS[name].phases or (None,):
            self._notifier.tell(name, each, _who(caller), payload, host=host or self._host, source=source)


def _who(caller: Caller) -> Who:
    return Who(caller.user_id, caller.project_id, caller.request_id)
