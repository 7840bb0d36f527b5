"""Options of notifications; where they go is oslo.messaging's, ``[oslo_messaging_notifications]``."""

from oslo_config import cfg

NOTIFICATION_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "notification_format",
        default="versioned",
        choices=["versioned", "unversioned", "both", "none"],
        help="Which notifications are sent, where [oslo_messaging_notifications] driver says how: versioned ones, "
        "those of old about servers (unversioned), both, or none.",
    ),
    cfg.ListOpt(
        "versioned_notifications_topics",
        default=["versioned_notifications"],
        help="Topics that each versioned notification is sent to; those of old go to [oslo_messaging_notifications] "
        "topics.",
    ),
    cfg.StrOpt(
        "default_level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"],
        help="Level of notifications of what went well; of what failed it is ERROR. The last part of the topic.",
    ),
    cfg.StrOpt(
        "notify_on_state_change",
        choices=["vm_state", "vm_and_task_state"],
        help="Whether instance.update tells of each new vm_state of a server, or of its task_state, too. Unset: of "
        "new names only.",
    ),
    cfg.BoolOpt(
        "bdms_in_notifications",
        default=False,
        help="Whether notifications about servers list their volumes.",
    ),
]
