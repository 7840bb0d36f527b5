"""A flavor: what a server is given."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Flavor:
    """A size of server; memory and swap in MiB, disks in GiB.

    ``flavor_id`` is the id users know. A server keeps a copy as it was when the server was made.
    """

    flavor_id: str
    name: str
    vcpus: int
    ram_mib: int
    root_gib: int
    ephemeral_gib: int = 0
    swap_mib: int = 0
    rxtx_factor: float = 1.0
    is_public: bool = True
    is_disabled: bool = False
    description: str | None = None
    extra_specs: dict[str, str] = field(default_factory=dict)

    @property
    def disk_gib(self) -> int:
        """What Placement counts for the flavor: root, ephemeral and swap, rounded up."""
        return self.root_gib + self.ephemeral_gib + -(-self.swap_mib // 1024)


def has_smaller_disks(new: Flavor, old: Flavor, *, boots_from_volume: bool) -> bool:
    """Return whether a server's own disks would shrink; where it boots from a volume, the root disk is none of them."""
    return new.ephemeral_gib < old.ephemeral_gib or (not boots_from_volume and new.root_gib < old.root_gib)


def rootless(flavor: Flavor) -> Flavor:
    """Return a flavor without its root disk."""
    return replace(flavor, root_gib=0)
