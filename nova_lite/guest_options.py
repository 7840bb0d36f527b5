"""Options of what a host does with guests that are not as its cell says."""

from oslo_config import cfg

REAP, SHUTDOWN, LOG, NOOP = "reap", "shutdown", "log", "noop"

GUEST_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "running_deleted_instance_action",
        default=REAP,
        choices=[
            (REAP, "it is destroyed, with its disks"),
            (SHUTDOWN, "it is powered off and kept"),
            (LOG, "it runs on, and the log says so once"),
            (NOOP, "it runs on"),
        ],
        help="What becomes of a guest on a host whose server is deleted, or not known to its cell. One whose server "
        "lives, on another host or in a newer guest, is destroyed all the same: it must not run twice.",
    ),
]
