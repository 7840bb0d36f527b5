"""Reading the configuration again while a process runs, and tickers that follow it."""

import logging
from collections.abc import Callable

from oslo_config import cfg

from nova_lite import config
from nova_lite.concurrency import Ticker

LOG = logging.getLogger(__name__)


def ticker(
    conf: cfg.ConfigOpts,
    interval_s: Callable[[], float],
    function: Callable[[], None],
    name: str,
    *,
    at_once: bool = False,
) -> Ticker:
    """Return a ticker whose interval is what ``interval_s`` returns, read anew with ``conf``; see ``Ticker``."""
    made = Ticker(interval_s, function, name, at_once=at_once)
    conf.register_mutate_hook(lambda *_: made.reconsider())
    return made


def reload(conf: cfg.ConfigOpts, again: Callable[[], cfg.ConfigOpts]) -> None:
    """Take over what ``again`` reads, of options that may change while a process runs; say which others changed.

    A file that cannot be read, or with a value that is none of its option, changes nothing, which is logged.
    """
    try:
        wanted = config.values(again())
        conf.mutate_config_files()  # which logs what changed
    except (cfg.Error, ValueError, OSError) as exc:
        LOG.error("All options stay as they are, for the configuration cannot be used: %s", exc)
        return
    # What another thread asked for while the files were read is remembered as it was; this forgets it.
    conf.clear_override("graceful_shutdown_timeout", group="service")
    now = config.values(conf)
    left = sorted(f"[{group}] {name}" for (group, name), value in wanted.items() if now[group, name] != value)
    if left:
        LOG.warning("These options changed and wait for a restart: %s", ", ".join(left))
    LOG.info("The configuration was read again")
