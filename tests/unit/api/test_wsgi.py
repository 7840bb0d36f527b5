"""The WSGI entry point, in a process of its own: it sets up logging and may fork."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import os, threading
from wsgiref.util import setup_testing_defaults

def opened():
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:  # what lists them
            pass
    return sorted(link for link in links if link.startswith(("socket:", "/")) and not link.startswith("/dev/"))

before = threading.active_count(), opened()
from nova_lite.api.wsgi import application
assert (threading.active_count(), opened()) == before, "importing started a thread, or opened something"

def ask(path, **headers):
    env = {"PATH_INFO": path, **headers}
    setup_testing_defaults(env)
    statuses = []
    list(application(env, lambda status, headers, exc_info=None: statuses.append(status[:3])))
    return statuses[0]

def asks_all():
    assert ask("/v2.1") == "200"
    assert ask("/v2.1/servers") == "401"
    assert ask("/v2.1/servers", HTTP_X_AUTH_TOKEN="alice") == "503", "there is no such database"

for _ in range(2):
    child = os.fork()
    if child == 0:
        asks_all()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "a forked worker does not serve"
asks_all()
"""

#: What none of its first requests needs, each megabytes, and some a tenth of a second.
_NOT_AT_START = {
    "alembic": "migrations are for a command",
    "cinderclient": "loaded when volumes are first asked for",
    "dns": "eventlet's resolver (rpc/messaging.py)",
    "glanceclient": "images are asked for by keystoneauth alone",
    "jsonschema": "bodies are checked by another library",
    "libvirt": "hosts' alone",
    "openstack": "clients' alone",
    "oslo_db": "commands' alone",
    "sqlalchemy.dialects.postgresql": "loaded where that is the database (db/repositories/quotas.py)",
}
_LOADS = """
import gc, sys
import nova_lite.api.wsgi
print(*sorted(sys.modules))
print(gc.get_freeze_count(), gc.isenabled())
"""


#: The options of a deployment that asks a Keystone, or with noauth2 none, and whose databases are nowhere.
_SETTINGS = """
[DEFAULT]
transport_url = kombu+memory:///wsgi
[api]
auth_strategy = {strategy}
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:9/
auth_url = http://127.0.0.1:9/
auth_type = password
username = nova
password = secret
user_domain_id = default
project_name = service
project_domain_id = default
"""
_DATABASE = "[api_database]\nconnection = sqlite:///{directory}/nowhere/api.sqlite\n"
_FAILS = """
try:
    import nova_lite.api.wsgi
except Exception as exc:
    print(type(exc).__name__, exc)
"""


def _run(script: str, directory: Path, settings: str) -> subprocess.CompletedProcess[str]:
    file = directory / "nova-lite.conf"
    file.write_text(settings)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "NOVA_LITE_CONFIG_FILES": str(file)},
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )


def _settings(directory: Path, strategy: str = "noauth2") -> str:
    return _SETTINGS.format(strategy=strategy) + _DATABASE.format(directory=directory)


def test_a_worker_loads_no_more_than_it_needs_and_leaves_it_where_it_is(tmp_path: Path) -> None:
    done = _run(_LOADS, tmp_path, _settings(tmp_path, "keystone"))
    assert done.returncode == 0, done.stderr
    modules, garbage = done.stdout.splitlines()
    frozen, is_looked_for = garbage.split()
    loaded = set(modules.split())
    assert "nova_lite.api.app" in loaded
    assert {name: why for name, why in _NOT_AT_START.items() if name in loaded} == {}
    # No collection of garbage looks at what was loaded, so that forked workers share it; all look at what comes later.
    assert int(frozen) > 100_000
    assert is_looked_for == "True"


def test_nothing_is_opened_before_the_first_request_of_each_forked_worker(tmp_path: Path) -> None:
    done = _run(_SCRIPT, tmp_path, _settings(tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(_SETTINGS.format(strategy="noauth2"), "[api_database] connection: missing", id="no database"),
        pytest.param(
            _SETTINGS.format(strategy="none") + _DATABASE, "Value for option auth_strategy", id="no such strategy"
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_told_at_once(tmp_path: Path, settings: str, said: str) -> None:
    done = _run(_FAILS, tmp_path, settings)
    assert said in done.stdout, done.stderr
