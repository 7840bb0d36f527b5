"""The WSGI entry point, in a process of its own: it sets up logging and may fork."""

import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import os, sys, threading
from wsgiref.util import setup_testing_defaults

before = threading.active_count()
from nova_lite.api.wsgi import application
assert threading.active_count() == before, "importing started a thread"
assert application._app is None, "importing built the application"

def ask(path, **headers):
    env = {"PATH_INFO": path, **headers}
    setup_testing_defaults(env)
    statuses = []
    list(application(env, lambda status, headers, exc_info=None: statuses.append(status[:3])))
    return statuses[0]

assert ask("/v2.1") == "200"
assert ask("/v2.1/servers") == "401"
assert ask("/v2.1/servers", HTTP_X_AUTH_TOKEN="alice") == "503", "there is no such database"
built = application._app
child = os.fork()
if child == 0:
    os._exit(0 if ask("/v2.1") == "200" and application._app is not built else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "a forked worker did not build its own"
"""

#: What none of its first requests needs, each megabytes, and some a tenth of a second.
_NOT_AT_START = {
    "alembic": "migrations are for a command",
    "cinderclient": "loaded when volumes are first asked for",
    "dns": "eventlet's resolver (rpc/messaging.py)",
    "glanceclient": "images are asked for by openstacksdk",
    "jsonschema": "bodies are checked by another library",
    "libvirt": "hosts' alone",
    "openstack": "loaded when images are first asked for",
    "oslo_db": "commands' alone",
    "sqlalchemy.dialects.postgresql": "loaded where that is the database (db/repositories/quotas.py)",
}
_LOADS = """
import gc, sys
import nova_lite.api.wsgi
print(*sorted(sys.modules))
print(gc.get_freeze_count())
"""


def _run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )


def test_a_worker_loads_no_more_than_it_needs_and_leaves_it_where_it_is() -> None:
    done = _run(_LOADS)
    assert done.returncode == 0, done.stderr
    modules, frozen = done.stdout.splitlines()
    loaded = set(modules.split())
    assert "nova_lite.api.app" in loaded
    assert {name: why for name, why in _NOT_AT_START.items() if name in loaded} == {}
    # What was loaded no collection of garbage looks at, so that forked workers share it.
    assert int(frozen) > 100_000


def test_nothing_happens_before_the_first_request_and_workers_build_their_own(tmp_path: Path) -> None:
    settings = tmp_path / "nova-lite.conf"
    settings.write_text(
        "[DEFAULT]\ntransport_url = kombu+memory:///wsgi\n"
        "[api]\nauth_strategy = noauth2\n"
        f"[api_database]\nconnection = sqlite:///{tmp_path}/nowhere/api.sqlite\n"
    )
    done = _run(_SCRIPT, NOVA_LITE_CONFIG_FILES=str(settings))
    assert done.returncode == 0, done.stderr
