"""What special hardware of a guest takes of Placement: dedicated processors, encrypted or persistent memory. Pure.

Shared processors are VCPU, dedicated ones PCPU; a host offers the latter, and sets them apart, only where it can.
"""

from collections.abc import Mapping

from nova_lite.errors import Invalid
from nova_lite.model.flavor import Flavor

#: What a host's processors have whose cores run two threads.
HYPERTHREADING = "HW_CPU_HYPERTHREADING"
_POLICIES = ("shared", "dedicated", "mixed")
#: As many processors as a mask can name.
_MOST_CPUS = 4096
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})

Properties = Mapping[str, str]


def is_true(value: str | None) -> bool:
    """Return whether an extra spec or property says yes."""
    return value is not None and value.strip().lower() in _TRUE


def wish(flavor: Flavor, image: Properties, name: str) -> str | None:
    """Return what the flavor says of hardware ``name``, or else the image."""
    return flavor.extra_specs.get(f"hw:{name}") or image.get(f"hw_{name}")


def resources(flavor: Flavor, image: Properties) -> dict[str, int]:
    """Return class → amount for processors and special memory; raises Invalid for what contradicts itself."""
    dedicated = _dedicated(flavor, image)
    # Where all or some are dedicated the hypervisor's own threads may want one, too.
    own = int(dedicated > 0 and flavor.extra_specs.get("hw:emulator_threads_policy") == "isolate")
    found = {"VCPU": flavor.vcpus - dedicated, "PCPU": dedicated + own}
    if is_true(wish(flavor, image, "mem_encryption")):
        found["MEM_ENCRYPTION_CONTEXT"] = 1
    for name in filter(None, flavor.extra_specs.get("hw:pmem", "").split(",")):
        kind = f"CUSTOM_PMEM_NAMESPACE_{name.upper()}"
        found[kind] = found.get(kind, 0) + 1
    return found


def traits(flavor: Flavor, image: Properties) -> tuple[set[str], set[str]]:
    """Return the traits that the guest's processors require, and those they forbid."""
    threads = wish(flavor, image, "cpu_thread_policy")
    if not _dedicated(flavor, image) or threads not in ("isolate", "require"):
        return set(), set()
    return (set(), {HYPERTHREADING}) if threads == "isolate" else ({HYPERTHREADING}, set())


def _dedicated(flavor: Flavor, image: Properties) -> int:
    """Return how many of the guest's processors are its own."""
    by_flavor, by_image = flavor.extra_specs.get("hw:cpu_policy"), image.get("hw_cpu_policy")
    policy = by_flavor or by_image or "shared"
    if policy not in _POLICIES:
        raise _unfit(f"the CPU policy is {policy[:64]!r}, not {', '.join(_POLICIES)}")
    if by_flavor == "shared" and by_image not in (None, "shared"):
        raise _unfit(f"the flavor shares processors, the image wants them {by_image[:64]}")
    if policy == "dedicated":
        return flavor.vcpus
    if policy == "shared":
        return 0
    mask = flavor.extra_specs.get("hw:cpu_dedicated_mask") or ""
    count = len(_named(mask, flavor.vcpus))
    if not 0 < count < flavor.vcpus:
        raise _unfit("with CPU policy mixed hw:cpu_dedicated_mask must name some of the processors, and not all")
    return count


def _named(mask: str, vcpus: int) -> set[int]:
    """Return the processors named by a mask such as ``0-3,^1``; one that only excludes speaks of all others."""
    named, excluded = set[int](), set[int]()
    for part in mask.split(","):
        text = part.strip()
        first, _, last = text.lstrip("^").partition("-")
        ends = (first.strip(), (last or first).strip())
        if not all(end.isascii() and end.isdecimal() and len(end) < len(str(_MOST_CPUS)) + 1 for end in ends):
            raise _unfit(f"hw:cpu_dedicated_mask is {mask[:64]!r}, not a list of processors such as 0-3,^1")
        numbers = set(range(int(ends[0]), int(ends[1]) + 1))
        (excluded if text.startswith("^") else named).update(numbers)
    found = (named or set(range(vcpus))) - excluded
    if found and max(found) >= vcpus:
        raise _unfit(f"hw:cpu_dedicated_mask names processor {max(found)}, and there are {vcpus} from 0 on")
    return found


def _unfit(why: str) -> Invalid:
    return Invalid(f"What is asked of the processors cannot be: {why}.")
