"""Every option nova_lite reads: group, name, unit, default, help; and how configuration files are found.

``load`` returns a private ConfigOpts that is handed down through constructors; there is no global one, so one
process can hold several configurations (the embedded cloud does). ``list_opts`` feeds the sample generator.
"""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg
from oslo_log import log as oslo_logging

from nova_lite import changeable_options
from nova_lite.api_options import API_OPTS, CORS_OPTS, OSLO_MIDDLEWARE_OPTS
from nova_lite.console_options import CONSOLE_OPTS, CONSOLEAUTH_OPTS, SERIAL_OPTS, SPICE_OPTS, VNC_OPTS, WEB_OPTS
from nova_lite.guest_options import GUEST_OPTS
from nova_lite.metadata_options import DRIVE_OPTS, INJECTION_OPTS, METADATA_OPTS, NEUTRON_OPTS
from nova_lite.notification_options import NOTIFICATION_OPTS
from nova_lite.scheduling_options import FILTER_SCHEDULER_OPTS, SCHEDULER_OPTS
from nova_lite.volume_options import CINDER_OPTS, HOST_VOLUME_OPTS, VOLUME_OPTS

#: Where processes look when they are told nothing else.
DEFAULT_FILE = "/etc/nova_lite/nova-lite.conf"
#: Environment variable with the WSGI applications' configuration files, separated by ``;``.
WSGI_ENVIRONMENT = "NOVA_LITE_CONFIG_FILES"

#: Neighbours that are called with credentials, each from the group of its name.
NEIGHBOURS = ("placement", "glance", "cinder", "service_user")
#: Group of the credentials for vendordata services, whose URLs stand elsewhere.
VENDORS = "vendordata_dynamic_auth"

DEFAULT_OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt("my_ip", default="127.0.0.1", help="IP address of this host, shown to operators."),
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="<name of this machine>",
        help="Name of this host: unique in its cloud, stable for ever.",
    ),
    cfg.StrOpt("state_path", default="/var/lib/nova_lite", help="Directory for what a process must keep."),
    cfg.StrOpt("instances_path", default="$state_path/instances", help="Directory of guests' disks, on compute hosts."),
    cfg.StrOpt("image_cache_path", default="$state_path/images", help="Directory of downloaded images, on hosts."),
    cfg.StrOpt("compute_driver", default="libvirt", choices=["libvirt", "fake"], help="Hypervisor driver of an agent."),
    cfg.StrOpt("default_availability_zone", default="nova", help="Availability zone of hosts that are in none."),
    cfg.StrOpt(
        "default_schedule_zone",
        help="Availability zone of servers for which neither zone nor host is asked: they are bound to it as if it had "
        "been asked. Without it they may be in any.",
    ),
    cfg.IntOpt("report_interval", default=10, min=1, help="Seconds between two heartbeats of a service."),
    cfg.IntOpt("service_down_time", default=60, min=1, help="Seconds without heartbeat after which a service is down."),
    cfg.IntOpt(
        "instance_build_timeout", default=600, min=1, help="Seconds after which a build that has not ended is undone."
    ),
    cfg.IntOpt(
        "operation_timeout", default=600, min=1, help="Seconds after which any other operation is undone or ended."
    ),
    cfg.IntOpt(
        "move_timeout_per_gib",
        default=30,
        min=0,
        help="Seconds that a resize or cold migration gets for each GiB of the server's disks, for they may be copied; "
        "operation_timeout comes on top.",
    ),
    cfg.IntOpt(
        "live_migration_timeout",
        default=10800,
        min=1,
        help="Seconds after which a live migration, waiting and copying together, is given up if it has not ended.",
    ),
    cfg.IntOpt(
        "max_concurrent_live_migrations",
        default=1,
        min=0,
        help="Running guests that may leave one host at the same time; others wait, queued. 0 is any number.",
    ),
    cfg.IntOpt(
        "snapshot_timeout",
        default=3600,
        min=1,
        help="Seconds after which the copy of a server's disk into an image, if it has not ended, is given up.",
    ),
    cfg.IntOpt(
        "reclaim_instance_interval",
        default=0,
        min=0,
        help="Seconds a deleted server can be restored before it is deleted for good; 0 deletes for good at once.",
    ),
    cfg.IntOpt(
        "rescue_timeout", default=0, min=0, help="Seconds after which a rescued server is unrescued; 0 leaves it so."
    ),
    cfg.BoolOpt("allow_resize_to_same_host", default=False, help="Let a server that is resized stay on its host."),
    cfg.IntOpt(
        "resize_confirm_window",
        default=0,
        min=0,
        help="Seconds after which a server that was moved or resized is confirmed without its user; 0: never.",
    ),
    cfg.IntOpt(
        "shelved_offload_time",
        default=0,
        help="Seconds after which a shelved server is taken off its host; 0: at once, less: never.",
    ),
    cfg.FloatOpt(
        "sync_power_state_interval",
        default=30.0,
        min=0.1,
        help="Seconds between two comparisons of a host's guests with what its cell says of them.",
    ),
    *GUEST_OPTS,
    cfg.BoolOpt(
        "resume_guests_state_on_host_boot",
        default=False,
        help="When the agent starts, start guests that ran when this host went down; else their servers are stopped.",
    ),
    cfg.IntOpt(
        "shutdown_timeout", default=60, min=0, help="Seconds a guest gets to shut down before its power is cut."
    ),
    cfg.IntOpt("reserved_host_cpus", default=0, min=0, help="CPUs of a host that guests may not use."),
    cfg.IntOpt("reserved_host_memory_mb", default=512, min=0, help="MiB of a host's memory that guests may not use."),
    cfg.IntOpt("reserved_host_disk_mb", default=0, min=0, help="MiB of a host's disk that guests may not use."),
    cfg.FloatOpt("initial_cpu_allocation_ratio", default=4.0, min=0.0, help="CPU overcommit of a host first seen."),
    cfg.FloatOpt("initial_ram_allocation_ratio", default=1.0, min=0.0, help="Memory overcommit of a host first seen."),
    cfg.FloatOpt("initial_disk_allocation_ratio", default=1.0, min=0.0, help="Disk overcommit of a host first seen."),
    cfg.FloatOpt(
        "cpu_allocation_ratio", min=0.01, help="CPU overcommit of the host, whatever Placement's API was told of it."
    ),
    cfg.FloatOpt(
        "ram_allocation_ratio", min=0.01, help="Memory overcommit of the host, whatever Placement's API was told of it."
    ),
    cfg.FloatOpt(
        "disk_allocation_ratio", min=0.01, help="Disk overcommit of the host, whatever Placement's API was told of it."
    ),
    cfg.FloatOpt(
        "update_resources_interval",
        default=60.0,
        min=0.1,
        help="Seconds between two looks at what the host offers, which is told when it changed.",
    ),
]

COMPUTE_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "provider_config_location",
        default="/etc/nova_lite/provider_config/",
        help="Directory of YAML files that add custom inventories and traits to what the host tells Placement.",
    ),
    cfg.FloatOpt(
        "resource_provider_association_refresh",
        default=3600.0,
        min=0.0,
        help="Seconds after which Placement is asked whether it still has what it was told of the host, though nothing "
        "changed there; 0 is never.",
    ),
    cfg.BoolOpt(
        "uses_shared_disk_pool",
        default=False,
        help="Whether guests' disks come from a pool that several hosts share. The host then offers no DISK_GB of its "
        "own: an operator makes a provider of the pool, with the trait MISC_SHARES_VIA_AGGREGATE, and puts it and its "
        "hosts into one aggregate of Placement.",
    ),
    cfg.IntOpt(
        "consecutive_build_service_disable_threshold",
        default=10,
        min=0,
        help="Failed builds in a row that are counted of a host, at most: the more, the later the scheduler chooses "
        "it. No host is disabled for them. 0: none is counted.",
    ),
]

DATABASE_OPTS: list[cfg.Opt] = [
    cfg.StrOpt("connection", secret=True, help="SQLAlchemy URL of the database."),
    cfg.IntOpt("max_pool_size", default=10, min=1, help="Connections each process keeps open at most when idle."),
]

SERVICE_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "executor",
        default="threading",
        choices=["threading", "eventlet"],
        help="What a daemon runs its work on.",
    ),
    cfg.StrOpt(
        "monitoring_address",
        help="HOST:PORT at which a daemon tells whoever asks whether it lives (/live), is ready (/ready), and its "
        "numbers (/metrics), such as 127.0.0.1:9780; each daemon of a machine needs its own. Unset: nowhere.",
    ),
    cfg.IntOpt(
        "graceful_shutdown_timeout",
        default=60,
        min=0,
        deprecated_opts=[cfg.DeprecatedOpt("graceful_shutdown_timeout", group="DEFAULT")],
        help="Seconds a daemon finishes its work in after SIGTERM; 0 is any number.",
    ),
]

RPC_OPTS: list[cfg.Opt] = [
    cfg.IntOpt("call_timeout", default=30, min=1, help="Seconds a short question to another process may take."),
    cfg.IntOpt(
        "call_monitor_timeout",
        default=10,
        min=2,
        help="Seconds without sign of life after which a process doing long work is taken for dead.",
    ),
]

CONDUCTOR_OPTS: list[cfg.Opt] = [
    cfg.IntOpt("threads", default=32, min=1, help="Workflows one conductor runs at once."),
    cfg.FloatOpt(
        "lease", default=15.0, min=0.2, help="Seconds after which a silent conductor's workflows are taken over."
    ),
    cfg.FloatOpt("scan_interval", default=5.0, min=0.05, help="Seconds between two looks for workflows nobody runs."),
]

AUDIT_OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "interval",
        default=3600.0,
        min=0.0,
        help="Seconds between two audits by the super conductor, which tells in its log what is wrong; 0 is never.",
    ),
    cfg.BoolOpt(
        "repair",
        default=False,
        help="Whether these audits repair what they can, as nova-lite-manage audit --repair does.",
    ),
    cfg.FloatOpt(
        "grace",
        default=60.0,
        min=0.0,
        help="Seconds between the two looks of such an audit: only what looks the same in both is wrong.",
    ),
    cfg.FloatOpt(
        "pause",
        default=0.05,
        min=0.0,
        help="Seconds such an audit rests after each thousand rows, each resource provider and each host.",
    ),
]

CELLS_OPTS: list[cfg.Opt] = [
    cfg.FloatOpt("timeout", default=2.0, min=0.1, help="Seconds a cell gets to answer when all are asked."),
    cfg.FloatOpt("refresh_interval", default=3.0, min=0.1, help="Seconds after which cell mappings are read again."),
]

QUOTA_OPTS: list[cfg.Opt] = [
    cfg.IntOpt("instances", default=10, min=-1, help="Servers of a project; -1 is unlimited."),
    cfg.IntOpt("cores", default=20, min=-1, help="Virtual CPUs of a project; -1 is unlimited."),
    cfg.IntOpt("ram", default=51200, min=-1, help="MiB of memory of a project; -1 is unlimited."),
    cfg.IntOpt("metadata_items", default=128, min=-1, help="Metadata items of a server; -1 is unlimited."),
    cfg.IntOpt("key_pairs", default=100, min=-1, help="Keypairs of a user; -1 is unlimited."),
    cfg.IntOpt("server_groups", default=10, min=-1, help="Server groups of a project; -1 is unlimited."),
    cfg.IntOpt("server_group_members", default=10, min=-1, help="Servers of a server group; -1 is unlimited."),
    cfg.FloatOpt(
        "recount_interval",
        default=60.0,
        min=0.0,
        help="Seconds between looks of the super conductor for servers whose deletion failed, which then count again; "
        "0 is never.",
    ),
]

LIVE_MIGRATION_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "live_migration_scheme",
        default="tcp",
        choices=["tcp", "tls", "ssh"],
        help="How other hosts reach this one's libvirt, to send a running guest here, or to have the disks sent of one "
        "that moved to a host which does not see this one's directories: qemu+<scheme>://.",
    ),
    cfg.HostAddressOpt(
        "live_migration_inbound_addr",
        help="Address at which other hosts reach this one to send guests here, their memory and disks, or to have "
        "disks sent; else ``my_ip``.",
    ),
    cfg.IntOpt(
        "live_migration_completion_timeout",
        default=800,
        min=0,
        help="Seconds that copying a running guest may take for each GiB of its memory and copied disks, at least two "
        "GiB; then it is ended. 0 is any time.",
    ),
    cfg.StrOpt(
        "live_migration_timeout_action",
        default="abort",
        choices=["abort", "force_complete"],
        help="How copying ends that takes too long: the guest stays, or it is made to arrive, by copying its memory "
        "after it where that is permitted, else by pausing it.",
    ),
    cfg.IntOpt(
        "live_migration_bandwidth", default=0, min=0, help="MiB a second that copying a guest may use; 0 is any."
    ),
    cfg.IntOpt(
        "live_migration_downtime",
        default=500,
        min=100,
        help="Milliseconds that a guest may stand still at the end of being copied.",
    ),
    cfg.BoolOpt(
        "live_migration_permit_post_copy",
        default=False,
        help="Whether a guest that is made to arrive goes on on its new host before all its memory is there. It is "
        "lost if a host or the network fails meanwhile.",
    ),
    cfg.BoolOpt(
        "live_migration_permit_auto_converge",
        default=False,
        help="Whether a guest that changes its memory faster than it can be copied is slowed down.",
    ),
]

LIBVIRT_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "virt_type",
        default="kvm",
        choices=["kvm", "qemu"],
        help="Accelerator of guests. Never guessed: a /dev/kvm that opens may still not run a guest.",
    ),
    cfg.StrOpt("connection_uri", default="qemu:///system", help="libvirt connection URI."),
    *LIVE_MIGRATION_OPTS,
    *HOST_VOLUME_OPTS,
    cfg.BoolOpt(
        "report_numa_cells",
        default=False,
        help="Whether CPUs and memory are told to Placement by NUMA cell, each a provider below the host's. Guests are "
        "not yet bound to the cell they were given.",
    ),
]

PCI_OPTS: list[cfg.Opt] = [
    cfg.MultiStrOpt(
        "device_spec",
        default=[],
        help="PCI devices that are told to Placement, each time a JSON object with vendor_id, product_id or address "
        "(in which * stands for anything), and optionally resource_class and traits. Guests do not get them yet.",
        sample_default=['{"vendor_id": "8086", "product_id": "1572"}'],
    ),
]

FAKE_OPTS: list[cfg.Opt] = [
    cfg.IntOpt("vcpus", default=64, min=0, help="CPUs of an imitated host."),
    cfg.IntOpt("ram", default=256 * 1024, min=0, help="MiB of memory of an imitated host."),
    cfg.IntOpt("disk", default=4096, min=0, help="GiB of disk of an imitated host."),
    cfg.ListOpt(
        "nodes",
        default=[],
        help="Nodes that an imitated host lends out whole, as bare-metal hosts do, each NAME:CLASS[:TRAIT…]: one unit "
        "of a custom class of Placement, with these traits. Example: n1:CUSTOM_GOLD:CUSTOM_RAID, n2:CUSTOM_GOLD.",
    ),
]

GLANCE_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "anonymous",
        default=False,
        help="Ask the image service at ``endpoint_override`` without credentials, as the embedded cloud's takes them.",
    ),
]

PLACEMENT_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "noauth_token",
        secret=True,
        help="Token sent to a Placement that runs with auth_strategy = noauth2, instead of credentials.",
    ),
    cfg.IntOpt(
        "max_allocation_candidates",
        default=100_000,
        min=-1,
        help="Allocation candidates in one answer, whatever its limit; -1 is any number, and any amount of memory.",
    ),
    cfg.StrOpt(
        "allocation_candidates_generation_strategy",
        default="breadth-first",
        choices=["breadth-first", "depth-first"],
        help="Whether trees of providers take turns in giving allocation candidates, so that a limited answer is of as "
        "many hosts as possible, or give all of theirs before the next tree is looked at.",
    ),
    cfg.BoolOpt(
        "randomize_allocation_candidates",
        default=False,
        help="Give allocation candidates in random order instead of oldest hosts first.",
    ),
]

_GROUPS: dict[str, list[cfg.Opt]] = {
    "DEFAULT": [*DEFAULT_OPTS, *VOLUME_OPTS, *DRIVE_OPTS, *WEB_OPTS],
    "api_database": DATABASE_OPTS,
    "database": DATABASE_OPTS,
    "placement_database": DATABASE_OPTS,
    "api": [*API_OPTS, *METADATA_OPTS],
    "oslo_middleware": OSLO_MIDDLEWARE_OPTS,
    "cors": CORS_OPTS,
    "service": SERVICE_OPTS,
    "rpc": RPC_OPTS,
    "conductor": CONDUCTOR_OPTS,
    "scheduler": SCHEDULER_OPTS,
    "filter_scheduler": FILTER_SCHEDULER_OPTS,
    "audit": AUDIT_OPTS,
    "notifications": NOTIFICATION_OPTS,
    "cells": CELLS_OPTS,
    "compute": COMPUTE_OPTS,
    "quota": [*QUOTA_OPTS, *INJECTION_OPTS],
    "libvirt": LIBVIRT_OPTS,
    "pci": PCI_OPTS,
    "fake": FAKE_OPTS,
    "glance": GLANCE_OPTS,
    "cinder": CINDER_OPTS,
    "console": CONSOLE_OPTS,
    "consoleauth": CONSOLEAUTH_OPTS,
    "vnc": VNC_OPTS,
    "spice": SPICE_OPTS,
    "serial_console": SERIAL_OPTS,
    "placement": PLACEMENT_OPTS,
    "neutron": NEUTRON_OPTS,
}
changeable_options.mark(_GROUPS)


def load(
    argv: Sequence[str] | None = None,
    files: Sequence[str] | None = None,
    *,
    prog: str = "nova-lite",
    description: str = "",
    epilog: str = "",
    calls_neighbours: bool = True,
) -> cfg.ConfigOpts:
    """Return the configuration of one process.

    ``argv`` are command-line arguments (``--config-file``, ``--config-dir``); ``files`` are read when it names none.
    ``prog``, ``description`` and ``epilog`` are told by ``--help``.
    A process that calls no neighbour with credentials need not carry what reads those.
    """
    conf = cfg.ConfigOpts()
    register(conf, calls_neighbours=calls_neighbours)
    defaults = list(files) if files is not None else [DEFAULT_FILE] if Path(DEFAULT_FILE).exists() else []
    conf(
        args=list(argv or ()),
        project="nova_lite",
        prog=prog,
        description=description,
        epilog=epilog,
        default_config_files=defaults,
        default_config_dirs=[],
    )
    return conf


def load_for_wsgi(*, calls_neighbours: bool = True) -> cfg.ConfigOpts:
    """Return the configuration of a WSGI application: files from ``NOVA_LITE_CONFIG_FILES``, else the default file."""
    named = os.environ.get(WSGI_ENVIRONMENT, "")
    return load(files=[name for name in named.split(";") if name] or None, calls_neighbours=calls_neighbours)


def register(conf: cfg.ConfigOpts, *, calls_neighbours: bool = True) -> None:
    """Teach ``conf`` every option a nova_lite process may read."""
    for group, options in _GROUPS.items():
        conf.register_opts(options, group=None if group == "DEFAULT" else group)
    oslo_logging.register_options(conf)
    if not calls_neighbours:
        return
    # Several megabytes, for those who need it.
    from keystoneauth1 import loading as ks_loading  # noqa: PLC0415

    for neighbour in NEIGHBOURS:
        ks_loading.register_auth_conf_options(conf, neighbour)
        ks_loading.register_session_conf_options(conf, neighbour)
        ks_loading.register_adapter_conf_options(conf, neighbour)
    ks_loading.register_auth_conf_options(conf, VENDORS)
    ks_loading.register_session_conf_options(conf, VENDORS)


def values(conf: cfg.ConfigOpts) -> dict[tuple[str, str], object]:
    """Return what each option of ours is, by group and name; raises cfg.Error or ValueError where it cannot be that."""
    return {
        (group, opt.dest): (conf if group == "DEFAULT" else conf[group])[opt.dest]
        for group, options in _GROUPS.items()
        for opt in options
    }


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return every option by group, for ``oslo-config-generator``."""
    # Slow to import, and wanted only here and where tokens are checked.
    from keystoneauth1 import loading as ks_loading  # noqa: PLC0415
    from keystonemiddleware import auth_token  # noqa: PLC0415

    groups = {name: list(options) for name, options in _GROUPS.items()}
    for neighbour in (*NEIGHBOURS, VENDORS):
        options = ks_loading.get_auth_common_conf_options() + ks_loading.get_session_conf_options()
        if neighbour != VENDORS:
            options += ks_loading.get_adapter_conf_options(include_deprecated=False)
        options += ks_loading.get_auth_plugin_conf_options("password")
        groups.setdefault(neighbour, []).extend(options)
    groups["keystone_authtoken"] = [opt for _, opts in auth_token.list_opts() for opt in opts]
    return list(groups.items())
