"""Which options may change while a daemon runs, on SIGHUP: those whose value is read anew wherever it is used.

What is not here is built into something at the start, such as a pool or a connection, or must be the same in several
processes. The WSGI applications are not meant: their servers load them anew, with all options.
"""

from collections.abc import Mapping, Sequence

from oslo_config import cfg

CHANGEABLE: Mapping[str, frozenset[str]] = {
    "DEFAULT": frozenset(
        {
            # Heartbeats, and when they are missed.
            "report_interval",
            "service_down_time",
            # How long operations may take; those under way keep the time they were given.
            "instance_build_timeout",
            "operation_timeout",
            "move_timeout_per_gib",
            "live_migration_timeout",
            "snapshot_timeout",
            "reimage_timeout_per_gb",
            "block_device_allocate_retries",
            "block_device_allocate_retries_interval",
            "shutdown_timeout",
            "volume_detach_timeout",
            # How many at once, and where to.
            "max_concurrent_live_migrations",
            "allow_resize_to_same_host",
            # What is looked for now and then; 0 ends it, and begins again when it is more.
            "reclaim_instance_interval",
            "rescue_timeout",
            "resize_confirm_window",
            "shelved_offload_time",
            "sync_power_state_interval",
            "running_deleted_instance_action",
            # What a host offers, told at its next look.
            "update_resources_interval",
            "reserved_host_cpus",
            "reserved_host_memory_mb",
            "reserved_host_disk_mb",
            "cpu_allocation_ratio",
            "ram_allocation_ratio",
            "disk_allocation_ratio",
        }
    ),
    "service": frozenset({"graceful_shutdown_timeout"}),
    "rpc": frozenset({"call_timeout", "call_monitor_timeout"}),
    "cells": frozenset({"timeout", "refresh_interval"}),
    "conductor": frozenset({"scan_interval"}),
    "audit": frozenset({"interval", "repair", "grace", "pause"}),
    "quota": frozenset({"recount_interval"}),
    "scheduler": frozenset({"max_attempts", "host_subset_size", "discover_hosts_in_cells_interval"}),
    "compute": frozenset({"resource_provider_association_refresh", "consecutive_build_service_disable_threshold"}),
    "libvirt": frozenset(
        {
            "live_migration_completion_timeout",
            "live_migration_timeout_action",
            "live_migration_bandwidth",
            "live_migration_downtime",
        }
    ),
    "console": frozenset({"allowed_origins", "max_sessions", "idle_timeout", "check_interval"}),
    "consoleauth": frozenset({"enforce_session_timeout"}),
}


def mark(groups: Mapping[str, Sequence[cfg.Opt]]) -> None:
    """Mark the options of these groups, all that there are, as what they are; raises KeyError for one that is not."""
    for group, names in CHANGEABLE.items():
        options = {option.name: option for option in groups[group]}
        for name in names:
            options[name].mutable = True
