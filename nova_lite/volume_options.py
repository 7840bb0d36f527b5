"""Every option of volumes; ``config.py`` has the others, and registers these with them."""

from oslo_config import cfg, types

VOLUME_OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "volume_detach_timeout",
        default=60.0,
        min=0.1,
        help="Seconds a guest gets to let go of a volume that is detached from it; it is asked several times.",
    ),
    cfg.IntOpt(
        "volume_swap_timeout",
        default=10800,
        min=1,
        help="Seconds after which the copying of a volume that is migrated below a running server is given up.",
    ),
    cfg.IntOpt(
        "max_local_block_devices",
        default=3,
        help="How many local disks a new server may have: of its image, ephemeral and swap. -1 is any, 0 volumes only.",
    ),
    cfg.IntOpt(
        "block_device_allocate_retries",
        default=60,
        min=0,
        help="How often it is looked again whether a volume that is made for a new server is available.",
    ),
    cfg.FloatOpt(
        "block_device_allocate_retries_interval",
        default=3.0,
        min=0.0,
        help="Seconds between two looks at a volume that is made for a new server.",
    ),
    cfg.IntOpt(
        "reimage_timeout_per_gb",
        default=20,
        min=1,
        help="Seconds, for each GiB of an image, that the block storage service has to fill a server's volume with it.",
    ),
]

CINDER_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "http_retries",
        default=3,
        min=0,
        max=10,
        help="Tries more at a call to the block storage service that got no answer or 5xx and may safely arrive twice.",
    ),
    cfg.BoolOpt(
        "cross_az_attach",
        default=True,
        help="Whether a server may have volumes of other availability zones than its own.",
    ),
]

HOST_VOLUME_OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        "volumes_by_host",
        default=[],
        item_type=types.String(choices=["fibre_channel", "iscsi", "local", "nvmeof"]),
        help="Kinds of connection by which this host connects volumes itself, by os-brick, and gives guests the "
        "devices. Volumes of iscsi and local are opened by QEMU where they are not named here.",
    ),
    cfg.BoolOpt(
        "volume_use_multipath",
        default=False,
        help="Whether volumes that the host connects are connected by all of their paths, which needs multipathd.",
    ),
    cfg.BoolOpt(
        "volume_enforce_multipath",
        default=False,
        help="Whether no volume is connected while multipathd does not run, though volume_use_multipath is set; else "
        "each is then connected by one path.",
    ),
    cfg.IntOpt(
        "num_volume_scan_tries",
        default=5,
        min=1,
        help="How often it is looked for the device of a volume that the host connects.",
    ),
]
