"""Running other people's programs: argument lists only, bounded in time, memory and processor seconds.

Nothing here guesses an image's format, and no caller may: formats are always given to a tool explicitly.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from nova_lite import errors

#: The bounds are set by this program of util-linux and not between fork and exec, where threads make Python unsafe.
_LIMITER = "prlimit"

#: The whole environment of what runs. The memory limit counts addresses, and every thread that allocates may reserve an
#: arena of 64 MiB of them, as many as eight per processor: qemu-img with a few threads was at its limit by that alone.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use."""

    wall_s: float = 60.0
    cpu_s: int = 30
    memory_mib: int = 1024


def require(program: str, package: str) -> str:
    """Return the full path of ``program``; raises Misconfigured naming the Debian ``package`` that has it."""
    found = shutil.which(program)
    if found is None:
        raise errors.Misconfigured(f"The program {program} is missing; install the package {package}")
    return found


def run(argv: Sequence[str], limits: Limits = Limits()) -> None:
    """Run ``argv`` to its end; raises Unavailable when it fails, Timeout when it takes too long."""
    _run(argv, limits, stdout=subprocess.DEVNULL)


def read(argv: Sequence[str], limits: Limits = Limits()) -> str:
    """Run ``argv`` to its end and return what it wrote, which is little; raises as ``run`` does."""
    return _run(argv, limits, stdout=subprocess.PIPE).decode(errors="replace")


def _run(argv: Sequence[str], limits: Limits, *, stdout: int) -> bytes:
    limited = [_LIMITER, f"--as={limits.memory_mib * 1024**2}", f"--cpu={limits.cpu_s}", "--core=0", "--", *argv]
    program = argv[0].rpartition("/")[2]
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            limited,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=limits.wall_s,
            check=True,
            env=_ENVIRONMENT,
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise errors.Timeout(f"{program} did not end within {limits.wall_s:g} s", argv=list(argv)) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace")[-2000:]
        raise errors.Unavailable(f"{program} failed", argv=list(argv), exit=error.returncode, stderr=said) from error
    except OSError as error:
        raise errors.Unavailable(f"{program} cannot be run", argv=list(argv)) from error
    return done.stdout or b""
