"""How each kind of workflow comes about, and how it may end: the stories that are told under sabotage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nova_lite import errors
from tests.functional.workflows.sabotage import Role
from tests.functional.workflows.site import Site


@dataclass(frozen=True)
class Story:
    """How a workflow comes about: a server in the state it starts from, then the request that begins it.

    ``ends`` is the ``outcome`` when all goes well, ``fails`` are those when the workflow fails for good. ``made_with``
    tells what more the server is asked for.
    """

    begin: Callable[[Site, str], object]
    ends: str
    fails: tuple[str, ...]
    before: Callable[[Site, str], object] | None = None
    made_with: Callable[[Site], Mapping[str, object]] = lambda site: {}


#: How each workflow is told; ``schedule`` and ``create`` begin with the boot itself.
STORIES: Mapping[tuple[Role, str], Story] = {
    ("super", "schedule"): Story(lambda site, server: None, "ACTIVE", ("ERROR",)),
    ("cell", "create"): Story(lambda site, server: None, "ACTIVE", ("ERROR",)),
    ("super", "delete"): Story(lambda site, server: site.delete(server), "GONE", ("GONE",)),
    # Where the API's own workflow comes to the cell after the cell's has failed, it begins another one.
    ("cell", "delete"): Story(lambda site, server: site.delete(server), "GONE", ("ERROR", "GONE")),
    ("super", "delete-softly"): Story(lambda site, server: site.soft_delete(server), "SOFT_DELETED", ("SOFT_DELETED",)),
    ("cell", "delete-softly"): Story(lambda site, server: site.soft_delete(server), "SOFT_DELETED", ("ERROR",)),
    # What fails when the cell has begun is done there all the same, and what fails there leaves it deleted.
    ("super", "restore"): Story(
        lambda site, server: site.act(server, "restore"),
        "ACTIVE",
        ("SOFT_DELETED", "ACTIVE"),
        before=lambda site, server: site.soft_delete(server),
    ),
    ("cell", "restore"): Story(
        lambda site, server: site.act(server, "restore"),
        "ACTIVE",
        ("SOFT_DELETED",),
        before=lambda site, server: site.soft_delete(server),
    ),
    ("cell", "rescue"): Story(lambda site, server: site.rescue(server), "RESCUE", ("ACTIVE",)),
    ("cell", "unrescue"): Story(
        lambda site, server: site.act(server, "unrescue"),
        "ACTIVE",
        ("RESCUE",),
        before=lambda site, server: site.rescue(server),
    ),
    # The host that is said to be down hears all the same: it turns its guest off, and cleans up when that is over.
    ("super", "evacuate"): Story(lambda site, server: site.evacuate(server), "SHUTOFF", ("ACTIVE",)),
    ("cell", "evacuate"): Story(lambda site, server: site.evacuate(server), "SHUTOFF", ("ACTIVE", "SHUTOFF")),
    ("cell", "complete-evacuation"): Story(lambda site, server: site.evacuate(server), "SHUTOFF", ()),
    ("super", "rebuild"): Story(lambda site, server: site.rebuild(server, new_image=True), "ACTIVE", ("ACTIVE",)),
    ("cell", "rebuild"): Story(lambda site, server: site.rebuild(server), "ACTIVE", ("ACTIVE", "ERROR")),
    ("super", "reimage"): Story(
        lambda site, server: site.rebuild(server, new_image=True),
        "ACTIVE with 1",
        ("ACTIVE with 1",),
        made_with=Site.boot_volume,
    ),
    ("cell", "reimage"): Story(
        lambda site, server: site.rebuild(server, new_image=True),
        "ACTIVE with 1",
        ("ACTIVE with 1", "ERROR with 1"),
        made_with=Site.boot_volume,
    ),
    ("super", "reset-state"): Story(
        lambda site, server: site.reset_moving(server), "ERROR", ("ACTIVE", "VERIFY_RESIZE")
    ),
    ("super", "cache-images"): Story(lambda site, server: site.cache_image(), "ACTIVE", ("ACTIVE",)),
    ("super", "free-volumes"): Story(lambda site, server: site.give_up_volume(), "ACTIVE", ("ACTIVE",)),
    ("super", "forget-host"): Story(lambda site, server: site.lose_host(), "ACTIVE", ("ACTIVE",)),
    ("super", "mirror-aggregates"): Story(lambda site, server: site.regroup(server), "ACTIVE", ("ACTIVE",)),
    ("cell", "mirror-status"): Story(lambda site, server: site.disable_host(server), "ACTIVE", ("ACTIVE",)),
    ("cell", "stop"): Story(lambda site, server: site.act(server, "os-stop"), "SHUTOFF", ("ACTIVE", "SHUTOFF")),
    ("cell", "start"): Story(
        lambda site, server: site.act(server, "os-start"),
        "ACTIVE",
        ("SHUTOFF",),
        before=lambda site, server: site.act(server, "os-stop"),
    ),
    ("cell", "reboot"): Story(lambda site, server: site.act(server, "reboot", {"type": "SOFT"}), "ACTIVE", ("ERROR",)),
    **{
        (role, kind): story
        for role in ("super", "cell")
        for kind, story in {
            "live-migrate": Story(lambda site, server: site.migrate_live(server), "ACTIVE", ("ACTIVE",)),
            "move": Story(lambda site, server: site.resize(server), "VERIFY_RESIZE", ("ACTIVE",)),
            "confirm-resize": Story(
                lambda site, server: site.act(server, "confirmResize"),
                "ACTIVE",
                (),
                before=lambda site, server: site.resize(server),
            ),
            "revert-resize": Story(
                lambda site, server: site.act(server, "revertResize"),
                "ACTIVE",
                ("VERIFY_RESIZE", "ACTIVE"),
                before=lambda site, server: site.resize(server),
            ),
        }.items()
    },
    ("cell", "reboot-hard"): Story(
        lambda site, server: site.act(server, "reboot", {"type": "HARD"}), "ACTIVE", ("ERROR",)
    ),
    ("cell", "pause"): Story(lambda site, server: site.act(server, "pause"), "PAUSED", ("ACTIVE", "PAUSED")),
    ("cell", "unpause"): Story(
        lambda site, server: site.act(server, "unpause"),
        "ACTIVE",
        ("PAUSED", "ACTIVE"),
        before=lambda site, server: site.act(server, "pause"),
    ),
    ("cell", "suspend"): Story(lambda site, server: site.act(server, "suspend"), "SUSPENDED", ("ACTIVE", "SHUTOFF")),
    ("cell", "resume"): Story(
        lambda site, server: site.act(server, "resume"),
        "ACTIVE",
        ("SUSPENDED", "ACTIVE"),
        before=lambda site, server: site.act(server, "suspend"),
    ),
    ("super", "shelve"): Story(lambda site, server: site.shelve(server), "SHELVED_OFFLOADED", ()),
    ("cell", "shelve"): Story(lambda site, server: site.shelve(server), "SHELVED_OFFLOADED", ("ACTIVE",)),
    **{
        (role, "shelve-offload"): Story(
            lambda site, server: site.act(server, "shelveOffload"),
            "SHELVED_OFFLOADED",
            (),
            before=lambda site, server: site.shelve(server, stays_on_host=True),
        )
        for role in ("super", "cell")
    },
    **{
        (role, "unshelve"): Story(
            lambda site, server: site.act(server, "unshelve"),
            "ACTIVE",
            ("SHELVED_OFFLOADED",),
            before=lambda site, server: site.shelve(server),
        )
        for role in ("super", "cell")
    },
    ("cell", "unshelve-here"): Story(
        lambda site, server: site.act(server, "unshelve"),
        "ACTIVE",
        ("SHELVED",),
        before=lambda site, server: site.shelve(server, stays_on_host=True),
    ),
    ("cell", "attach-volume"): Story(lambda site, server: site.attach_volume(server), "ACTIVE with 1", ("ACTIVE",)),
    ("cell", "detach-volume"): Story(
        lambda site, server: site.detach_volume(server),
        "ACTIVE",
        ("ACTIVE with 1",),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "extend-volume"): Story(
        lambda site, server: site.extend_volume(server),
        "ACTIVE with 1",
        ("ACTIVE with 1",),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "swap-volume"): Story(
        lambda site, server: site.swap_volume(server),
        "ACTIVE with 1",
        ("ACTIVE with 1",),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "undo-volume-image"): Story(
        lambda site, server: site.abandon_image(server),
        "ACTIVE with 1",
        (),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "thaw-guest"): Story(
        lambda site, server: site.keep_image(server),
        "ACTIVE with 1",
        (),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "snapshot"): Story(
        lambda site, server: site.act(server, "createImage", {"name": "snap"}), "ACTIVE", ("ACTIVE",)
    ),
    ("cell", "backup"): Story(
        lambda site, server: site.act(server, "createBackup", {"name": "b", "backup_type": "daily", "rotation": 1}),
        "ACTIVE",
        ("ACTIVE",),
    ),
}
BORN_BY_IT = (("super", "schedule"), ("cell", "create"))


def tell(site: Site, role: Role, kind: str, sabotage: Callable[[Callable[[], str]], None], count: int = 1) -> list[str]:
    """Bring servers to where the workflow begins, sabotage it, begin it, wait until all is at rest; return them.

    ``sabotage`` is given a function that returns the (first) server, for deeds that need it once they happen.
    """
    story = STORIES[role, kind]
    if (role, kind) in BORN_BY_IT:
        sabotage(lambda: min(site.watch.servers() - known))
        if site.saboteur.is_on_detour:
            site.break_hosts(1)
        known = site.watch.servers()
        servers = site.boot(count)
    else:
        servers = site.boot(count, **story.made_with(site))
        site.rest(is_end=False)
        if story.before is not None:
            for server in servers:
                story.before(site, server)
            site.rest(is_end=False)
        sabotage(lambda: servers[0])
        if site.saboteur.is_on_detour:
            method = {"unshelve": "spawn", "live-migrate": "check_landing"}.get(kind, "check_reach")
            site.break_hosts(1, errors.HostFailed("It cannot do that."), method=method)
        for server in servers:
            story.begin(site, server)
    site.rest()
    return servers
