"""Every option of volumes; ``config.py`` has the others, and registers these with them."""

from oslo_config import cfg

VOLUME_OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "volume_detach_timeout",
        default=60.0,
        min=0.1,
        help="Seconds a guest gets to let go of a volume that is detached from it; it is asked several times.",
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
]
