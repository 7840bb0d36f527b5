"""The files in etc/ that tell other programs how to run nova_lite: each is read by the program it is for.

The uWSGI files are what the deployment runs on; see ``stack/services.py``.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from nova_lite.db import migrate
from nova_lite.storage import Database
from tests.integration.conftest import started
from tests.integration.stack.clients import call
from tests.integration.stack.processes import Program
from tests.integration.stack.services import REPOSITORY
from tests.integration.stack.site import ADDRESS, Site, environment, run, tool, wait_listening

ETC = REPOSITORY / "etc"
UNITS = sorted(ETC.glob("*.service"))
_MODULES = Path("/usr/lib/apache2/modules")
_SITE_PACKAGES = Path(sysconfig.get_path("purelib"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: str(path.stem))
def test_a_unit_is_good_and_starts_what_is_installed(unit: Path, tmp_path: Path) -> None:
    started(lambda: tool("systemd-analyze", package="systemd"))
    text = unit.read_text()
    program, *arguments = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)[0].split()
    setup = ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    commands = re.findall(r"^(\S+) =", setup["options.entry_points"]["console_scripts"], re.MULTILINE)
    assert Path(program).name in [*commands, "uwsgi"]
    for argument in arguments:
        if argument.startswith("/usr/share/nova_lite/"):
            assert (ETC / Path(argument).name).is_file(), argument
    # The program need not be installed for the rest of the unit to be checked.
    copy = tmp_path / unit.name
    copy.write_text(text.replace(f"ExecStart={program}", "ExecStart=/bin/true").replace("User=nova-lite", "User=root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(copy) not in done.stderr, done.stderr


@pytest.fixture
def apache(tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    """A place and a main configuration file for an Apache of our own, serving both APIs on a SQLite cloud."""
    started(lambda: tool("apache2", package="apache2"))
    if not (_MODULES / "mod_wsgi.so").exists():
        started(lambda: tool("mod_wsgi.so", package="libapache2-mod-wsgi-py3", folders=[str(_MODULES)]))
    site = Site(Path("/tmp") / f"nl-apache-{os.getpid()}")
    site.directory.chmod(0o777)
    data = site.folder("data")
    for name, group, history in (("api", "api_database", "api"), ("placement", "placement_database", "placement")):
        database = Database(f"sqlite:///{data}/{name}.db")
        migrate.sync(database, history)  # type: ignore[arg-type]
        database.close()
        text = f"[DEFAULT]\nhost = {name}\ntransport_url = kombu+memory:///{name}\n[{group}]\n"
        site.write(
            text + f"connection = sqlite:///{data}/{name}.db\n[api]\nauth_strategy = noauth2\n", "etc", f"{name}.conf"
        )
    data.chmod(0o777)
    for path in data.iterdir():
        path.chmod(0o666)
    # An environment of the system's Python, which mod_wsgi runs, without the system's packages.
    home = site.path("home")
    run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(home)], log=site.path("log", "venv.log"))
    modules = ["mpm_event", "authz_core", "wsgi"]
    main = [
        f"ServerRoot {site.directory}",
        f"PidFile {site.path('run', 'apache.pid')}",
        f"ErrorLog {site.path('log', 'errors.log')}",
        f"Mutex file:{site.folder('run')}",
        "ServerName localhost",
        "User www-data",
        "Group www-data",
        "WSGISocketPrefix " + str(site.path("run", "wsgi")),
        *(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in modules),
        f"Define NOVA_LITE_API_LISTEN {ADDRESS}:{site.port('api')}",
        f"Define NOVA_LITE_PLACEMENT_LISTEN {ADDRESS}:{site.port('placement')}",
        "Define NOVA_LITE_USER www-data",
        f"Define NOVA_LITE_PYTHON_HOME {home}",
        f"Define NOVA_LITE_PYTHON_PATH {site.folder('tree')}:{site.folder('packages')}",
        f"Define NOVA_LITE_PACKAGES {site.folder('tree')}",
        f"Include {ETC / 'nova-lite-apache.conf'}",
    ]
    yield site, site.write("\n".join(main) + "\n", "etc", "apache.conf")
    site.processes.stop("apache")
    shutil.rmtree(site.directory, ignore_errors=True)


def test_apache_takes_the_site(apache: tuple[Site, Path]) -> None:
    _, main = apache
    done = subprocess.run(
        ["/usr/sbin/apache2", "-t", "-f", str(main)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Syntax OK" in done.stderr


def test_apache_serves_both_apis(apache: tuple[Site, Path]) -> None:
    site, main = apache
    if _system_python() != sys.version_info[:2]:
        pytest.skip("mod_wsgi brings the system's Python, which cannot use the packages of this one")
    files = f"{site.path('etc', 'api.conf')};{site.path('etc', 'placement.conf')}"
    # mod_wsgi does not run as root, and another account may not get at this tree where it is.
    mounts = f"mount --bind {REPOSITORY} {site.path('tree')} && mount --bind {_SITE_PACKAGES} {site.path('packages')}"
    argv = ("unshare", "--mount", "sh", "-c", f"{mounts} && exec /usr/sbin/apache2 -DFOREGROUND -f {main}")
    site.processes.start(Program("apache", argv, env=environment(NOVA_LITE_CONFIG_FILES=files)))
    wait_listening(site, "apache", site.port("api"))
    wait_listening(site, "apache", site.port("placement"))

    api = f"http://{ADDRESS}:{site.port('api')}"
    placement = f"http://{ADDRESS}:{site.port('placement')}"
    errors = site.path("log", "errors.log")
    assert call(f"{api}/").status in (200, 300), errors.read_text()
    assert call(f"{api}/v2.1/flavors").status == 401
    answer = call(f"{api}/v2.1/flavors", token="admin")
    assert (answer.status, answer.body["flavors"]) == (200, [])
    assert call(f"{placement}/resource_providers").status == 401
    made = {"name": "host one"}
    assert call(f"{placement}/resource_providers", method="POST", token="admin", body=made).status == 201
    names = [row["name"] for row in call(f"{placement}/resource_providers", token="admin").body["resource_providers"]]
    assert names == ["host one"], json.dumps(names)


def _system_python() -> tuple[int, ...]:
    said = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.split()[1].split(".")[:2])
