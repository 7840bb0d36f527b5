"""What the fake driver tells of running guests and does inside them."""

from nova_lite import errors
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.model.diagnostics import CpuCounters, Diagnostics, DiskCounters
from nova_lite.model.guest import Guest, PowerState

_MEMORY_KIB = 256 * 1024


class FakeInside:
    """The part of ``FakeDriver`` that looks into running guests. They have an agent that takes any password."""

    faults: FaultScript
    #: Guest → user and password, as last set.
    passwords: dict[str, tuple[str, str]]
    #: Guests whose file systems are frozen.
    frozen: set[str]
    #: Guests that were interrupted, in their order.
    interrupted: list[str]

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, or None."""
        raise NotImplementedError

    def diagnostics(self, uuid: str) -> Diagnostics:
        """Return counters of a guest that has done little, of the driver it imitates: clients know no other name."""
        self.faults.play("diagnostics")
        self._require_running(uuid)
        return Diagnostics(
            driver="libvirt",
            hypervisor="fake",
            hypervisor_os="linux",
            memory_max_kib=_MEMORY_KIB,
            memory_used_kib=_MEMORY_KIB,
            cpus=(CpuCounters(0, 10**9),),
            disks=(DiskCounters("vda", 512, 1, 0, 0, 0),),
            memory_kib={"actual": _MEMORY_KIB},
        )

    def set_password(self, uuid: str, user: str, password: str) -> None:
        """Remember a password, as a guest would."""
        self.faults.play("set_password")
        self._require_running(uuid)
        self.passwords[uuid] = (user, password)

    def freeze(self, uuid: str) -> None:
        """Remember that the guest writes nothing."""
        self.faults.play("freeze")
        self._require_running(uuid)
        self.frozen.add(uuid)

    def thaw(self, uuid: str) -> None:
        """Remember that the guest goes on."""
        self.faults.play("thaw")
        if self.guest(uuid) is None:
            raise errors.NotFound(f"Instance {uuid} is not on this host.")
        self.frozen.discard(uuid)

    def inject_nmi(self, uuid: str) -> None:
        """Remember that the guest was interrupted."""
        self.faults.play("inject_nmi")
        self._require_running(uuid)
        self.interrupted.append(uuid)

    def _require_running(self, uuid: str) -> None:
        found = self.guest(uuid)
        if found is None:
            raise errors.NotFound(f"Instance {uuid} is not on this host.")
        if found.power_state is not PowerState.RUNNING:
            raise errors.Conflict(f"The guest of instance {uuid} is not running.")
