"""What projects and users may have, and whether more fits: limits are set or configured, use is counted when asked.

Who inserts what is counted holds the project's lock from before the counting to the commit, so no limit is ever passed.
Who finds that nothing is limited shares it with others: while they write nobody sets a limit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from oslo_config import cfg

from nova_lite.db.repositories import mappings, quotas, server_groups
from nova_lite.errors import OverQuota
from nova_lite.storage import Handle

#: Everything a limit is kept for, by the name operators give it.
RESOURCES = ("instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups", "server_group_members")
#: What the network service limits now. Such limits can be set and read until 2.35, and hold nobody back.
NETWORKING = ("fixed_ips", "floating_ips", "security_groups", "security_group_rules")
#: Files put into a server as it is made, up to 2.56, by the names of their options.
_INJECTED_OPTIONS = {
    "injected_files": "injected_files",
    "injected_file_content_bytes": "injected_file_content_bytes",
    "injected_file_path_bytes": "injected_file_path_length",
}
INJECTED = tuple(_INJECTED_OPTIONS)
#: Set for a user, these are set for the whole project.
NEVER_OF_USERS = frozenset({"fixed_ips", "floating_ips"})
UNLIMITED = -1

_OBSOLETE = dict.fromkeys(NETWORKING, UNLIMITED)


@dataclass(frozen=True)
class Limits:
    """Resource → limit (-1 is unlimited), and resource → use of those that are counted."""

    limits: Mapping[str, int]
    used: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Allowance:
    """What a project may have of everything, and a user in it of that which has a limit of the user's own."""

    project: Mapping[str, int]
    user: Mapping[str, int]

    @property
    def effective(self) -> Mapping[str, int]:
        """What is shown as the user's limits: the own ones, else the project's."""
        return {**self.project, **self.user}

    def refuse_more_than(self, resource: str, number: int, message: str) -> None:
        """Raise OverQuota when a user, or one thing, may not have ``number`` of ``resource``."""
        for limits in (self.project, self.user):
            if 0 <= limits.get(resource, UNLIMITED) < number:
                raise OverQuota(message.format(limit=limits[resource]))


class Quotas:
    """Limits as they are in force: those of a user, else of the project, of the default class, of the configuration."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    @property
    def configured(self) -> dict[str, int]:
        """The limits where none were set."""
        options = {**{resource: resource for resource in RESOURCES}, **_INJECTED_OPTIONS}
        group = self._conf.quota
        return {**_OBSOLETE, **{resource: group[option] for resource, option in options.items()}}

    def allowance(self, handle: Handle, project_id: str, user_id: str = quotas.WHOLE_PROJECT) -> Allowance:
        """Return what a project and a user in it may have."""
        found = quotas.limits(handle, project_id, user_id)
        return Allowance({**self.configured, **found.default, **found.project}, found.user)


def used(handle: Handle, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """Return what a project, or a user in it, has of that which is counted by project."""
    return {
        **used_by_servers(handle, project_id, user_id),
        "server_groups": server_groups.count(handle, project_id, user_id),
    }


def used_by_servers(handle: Handle, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """Return what the servers of a project, or of a user in it, use; the API database knows, no cell is asked."""
    instances, cores, ram_mib = mappings.usage(handle, project_id, user_id)
    return {"instances": instances, "cores": cores, "ram": ram_mib}


def limits_servers(limits: Mapping[str, int]) -> bool:
    """Return whether anything has a limit that servers are counted by; what has none is not counted."""
    return any(limits.get(resource, UNLIMITED) >= 0 for resource in ("instances", "cores", "ram"))


def how_many_fit(counts: Iterable[Limits], needs: Mapping[str, int], *, least: int, most: int) -> int:
    """Return how many things (each needs ``needs``) fit into all of ``counts``, at most ``most``.

    Raises OverQuota, naming every limit that is in the way, when fewer than ``least`` do.
    """
    allowed = most
    exceeded = []
    for count in counts:
        for resource, each in needs.items():
            limit = count.limits.get(resource, UNLIMITED)
            if limit < 0 or each == 0:
                continue
            have = count.used[resource]
            fit = max(0, limit - have) // each
            if fit < least:
                exceeded.append(f"{resource}: requested {each * least}, used {have} of {limit}")
            allowed = min(allowed, fit)
    if exceeded:
        raise OverQuota(f"Quota exceeded for {'; '.join(exceeded)}")
    return allowed
