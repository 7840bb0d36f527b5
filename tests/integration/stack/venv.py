"""The virtual environments of the neighbours that are Python programs: made once, kept between runs.

They live apart from nova_lite's own environment, whose packages theirs must not decide.
"""

import fcntl
import os
import sys
from pathlib import Path

from tests.integration.stack.processes import Missing, StackError
from tests.integration.stack.site import run

#: Keystone and Glance as of one OpenStack release, the server they run under, and the driver of their databases.
REQUIREMENTS = ("keystone==30.0.0", "glance==33.0.0", "uwsgi==2.0.31", "PyMySQL")


def cache_folder() -> Path:
    """Return the directory kept between runs: ``NOVA_LITE_TEST_CACHE``, else one below the user's cache."""
    named = os.environ.get("NOVA_LITE_TEST_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "nova_lite"


def neighbours_venv() -> Path:
    """Return Keystone's and Glance's environment, made or brought up to date first; raises Missing when that fails."""
    return cached_venv("neighbours-venv", REQUIREMENTS, "Keystone and Glance")


def cached_venv(name: str, requirements: tuple[str, ...], what: str) -> Path:
    """Return the environment ``name`` with ``requirements`` in it; raises Missing, naming ``what``, when that fails."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    venv = cache / name
    marker = venv / "requirements.txt"
    wanted = "\n".join((f"python {sys.version_info[0]}.{sys.version_info[1]}", *requirements))
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists() and marker.read_text() == wanted:
            return venv
        log = cache / f"{name}.log"
        log.unlink(missing_ok=True)
        try:
            run([sys.executable, "-m", "venv", "--clear", str(venv)], log=log)
            pip = [str(venv / "bin" / "pip"), "install", "--quiet", *requirements]
            run(pip, log=log, timeout_s=900)
        except StackError as exc:
            raise Missing(f"{what} cannot be installed. {exc}") from exc
        marker.write_text(wanted)
    return venv
