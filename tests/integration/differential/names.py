"""What the requests of one story speak of: few names, so that requests meet each other. Pure."""

import random
import uuid
from dataclasses import dataclass

STANDARD_CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB", "SRIOV_NET_VF")
STANDARD_TRAITS = ("HW_CPU_X86_AVX", "HW_CPU_X86_SSE", "STORAGE_DISK_SSD")
SHARING = "MISC_SHARES_VIA_AGGREGATE"
TYPES = ("INSTANCE", "MIGRATION", "T_3")


@dataclass(frozen=True)
class Names:
    """The names of one story. No other story uses its UUIDs; custom names are removed at its end."""

    providers: tuple[str, ...]
    consumers: tuple[str, ...]
    aggregates: tuple[str, ...]
    #: A UUID that nothing has.
    nobody: str
    #: The providers that the world begins with; the others may come later.
    made: tuple[str, ...] = ()
    custom_classes: tuple[str, ...] = ("CUSTOM_GPU", "CUSTOM_BW_1")
    custom_traits: tuple[str, ...] = ("CUSTOM_RED", "CUSTOM_BLUE", "CUSTOM_0")
    projects: tuple[str, ...] = ("project-1", "project-2")
    users: tuple[str, ...] = ("user-1", "user-2")

    @property
    def classes(self) -> tuple[str, ...]:
        """Return every class the story speaks of."""
        return STANDARD_CLASSES + self.custom_classes

    @property
    def traits(self) -> tuple[str, ...]:
        """Return every trait the story speaks of."""
        return (*STANDARD_TRAITS, *self.custom_traits, SHARING)

    def provider_name(self, provider: str) -> str:
        """Return the name of a provider."""
        return f"p{self.providers.index(provider) if provider in self.providers else 'x'}-{provider[:8]}"


def draw(rng: random.Random) -> Names:
    """Return new names."""

    def some(count: int) -> tuple[str, ...]:
        return tuple(str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(count))

    return Names(providers=some(8), consumers=some(6), aggregates=some(4), nobody=some(1)[0])
