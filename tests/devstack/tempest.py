"""Tempest, in an environment of its own, against what ``tools/devstack up`` started."""

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from tests.devstack import tempest_table
from tests.devstack.cloud import FLAVORS, IMAGES, MULTIATTACH, VOLUME_TYPE, Cloud
from tests.devstack.tempest_table import Outcome
from tests.integration.stack.keystone import ADMIN, REGION, Account
from tests.integration.stack.processes import StackError
from tests.integration.stack.site import PASSWORD, environment
from tests.integration.stack.venv import cached_venv

REQUIREMENTS = ("tempest==47.0.0",)
TABLE = Path(__file__).with_name("tempest_expected.txt")
#: What is run unless something else is named.
EVERYTHING = r"^tempest\.api\.compute"
_HERE = Path(__file__).parent
_WAIT_S = "180"
_YES, _NO = "true", "false"


def run(cloud: Cloud, say: Callable[[str], None], *, regex: str, workers: int) -> int:
    """Run the tests that a regular expression finds; 0 if the outcome is what the table says."""
    venv = cached_venv("tempest-venv", REQUIREMENTS, "Tempest")
    folder = _prepared(cloud, workers)
    expected = tempest_table.read(TABLE.read_text())
    left = [name for name, what in expected.items() if what == "left"]
    (folder / "left.txt").write_text("".join(rf"^{re.escape(name)}(\.|\[|$)" + "\n" for name in left))
    variables = environment(TEMPEST_CONFIG_DIR=str(folder / "etc"), PYTHONUNBUFFERED="1")
    say(f"Tempest: {regex}, {workers} workers; all it says is in {cloud.site.path('log', 'tempest.log')}")
    argv = [str(venv / "bin" / "tempest"), "run", "--regex", regex, "--concurrency", str(workers)]
    argv += ["--exclude-list", str(folder / "left.txt")]
    with cloud.site.path("log", "tempest.log").open("w") as log:
        _say_failures(argv, folder, variables, log, say)
    outcomes = _outcomes(venv, folder, variables)
    for name, outcome in sorted(outcomes.items()):
        if outcome.status == "skip":
            say(f"skipped: {name}. {outcome.reason}")
    found = tempest_table.differences(expected, outcomes, is_whole=regex == EVERYTHING)
    for difference in found:
        say(f"NOT AS EXPECTED: {difference}")
    say(f"Tempest: {tempest_table.counted(outcomes.values())}; {len(found)} not as {TABLE.name} says")
    return 1 if found else 0


def _say_failures(
    argv: list[str], folder: Path, variables: dict[str, str], log: TextIO, say: Callable[[str], None]
) -> None:
    """Run Tempest to its end, and its workers with it when we are interrupted; tell of failures as they come."""
    child = subprocess.Popen(
        argv,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    with child.stdout as lines:
        try:
            for line in lines:
                log.write(line)
                if re.match(r"\{\d+\} .* \.\.\. FAILED$|setUpClass .* FAILED$", line):
                    say(line.strip())
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            child.wait()


def _prepared(cloud: Cloud, workers: int) -> Path:
    """Return the directory Tempest runs in, with its configuration."""
    folder = cloud.site.folder("tempest")
    (folder / "accounts.yaml").write_text(json.dumps(_accounts(cloud, workers)))
    shutil.rmtree(folder / "lock", ignore_errors=True)  # a run that was killed leaves accounts taken
    configuration = configparser.ConfigParser(interpolation=None)
    configuration.read_dict(_settings(cloud, folder))
    cloud.site.folder("tempest", "etc")
    with (folder / "etc" / "tempest.conf").open("w") as file:
        configuration.write(file)
    tests = cloud.site.folder("tempest", "tests")
    shutil.copy(_HERE / "tempest_discovery.py", tests / "test_discovery.py")
    # The tests of a class run one after the other: they share servers.
    stestr = {"test_path": str(tests), "top_dir": str(tests), "group_regex": r"([^\.]*\.)*"}
    lines = "".join(f"{name} = {value}\n" for name, value in stestr.items())
    (folder / ".stestr.conf").write_text(f"[DEFAULT]\n{lines}")
    return folder


def _accounts(cloud: Cloud, workers: int) -> list[dict[str, object]]:
    """Have users for each worker, and return them as Tempest reads them.

    Tempest would make users for each class of tests. At each of them Keystone forgets everybody's roles, and finding
    them again took more than half of its work and made it what all waited for.
    """
    keystone = cloud.neighbours.keystone
    listed: list[dict[str, object]] = []
    for number in range(workers):
        own, alt, admin = (f"tempest-{kind}-{number}" for kind in ("own", "alt", "admin"))
        accounts = [Account(f"{own}-{role}", own, (role,)) for role in ("manager", "member", "reader")]
        accounts += [Account(alt, alt, ("member",)), Account(admin, admin, ("admin",))]
        for account in accounts:
            if not keystone.has_user(account.user):
                keystone.add_account(account)
            # One without a role is taken for nothing but for somebody else.
            roles = account.roles if account.user != alt else ()
            listed.append(
                {"username": account.user, "password": PASSWORD, "project_name": account.project, "roles": roles}
            )
    # Somebody else is the first account that is free and not an administrator's.
    return sorted(listed, key=lambda one: bool(one["roles"]))


def _outcomes(venv: Path, folder: Path, variables: dict[str, str]) -> dict[str, Outcome]:
    """Return test → outcome of the last run."""
    last = subprocess.run(
        [str(venv / "bin" / "stestr"), "last", "--subunit"],
        cwd=folder,
        env=variables,
        capture_output=True,
        timeout=300,
        check=False,
    )
    told = subprocess.run(
        [str(venv / "bin" / "python"), str(_HERE / "tempest_outcomes.py")],
        input=last.stdout,
        env=variables,
        capture_output=True,
        timeout=300,
        check=False,
    )
    if told.returncode:
        raise StackError(f"what Tempest noted cannot be read: {last.stderr.decode()} {told.stderr.decode()}")
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    return {row["name"]: Outcome(row["status"], row["reason"]) for row in rows}


def _settings(cloud: Cloud, folder: Path) -> dict[str, dict[str, str]]:
    """Return Tempest's configuration: what there is here, and what guests that are imitated can do."""
    with cloud.connect(ADMIN) as admin:
        images = [admin.image.find_image(name, ignore_missing=False).id for name in IMAGES]
    flavors = [number for number, _, _ in FLAVORS.values()]
    return {
        "DEFAULT": {"log_dir": str(folder), "log_file": "tempest.log"},
        "oslo_concurrency": {"lock_path": str(folder / "lock")},
        "auth": {
            "use_dynamic_credentials": _NO,
            "test_accounts_file": str(folder / "accounts.yaml"),
            "create_isolated_networks": _NO,
            "admin_username": ADMIN.user,
            "admin_password": PASSWORD,
            "admin_project_name": ADMIN.project,
            "admin_domain_name": "Default",
            "tempest_roles": "member",
        },
        "identity": {"uri_v3": cloud.neighbours.keystone.url, "auth_version": "v3", "region": REGION},
        "service_available": {
            "nova": _YES, "cinder": _YES, "glance": _YES, "neutron": _NO, "swift": _NO, "horizon": _NO,
        },
        "enforce_scope": {"nova": _YES},
        "compute": {
            "image_ref": images[0],
            "image_ref_alt": images[1],
            "flavor_ref": flavors[0],
            "flavor_ref_alt": flavors[1],
            "min_compute_nodes": "2",
            "max_microversion": "latest",
            "build_timeout": _WAIT_S,
            "build_interval": "1",
        },
        "compute-feature-enabled": _FEATURES,
        "image": {"disk_formats": "raw", "container_formats": "bare"},
        "image-feature-enabled": {"import_image": _YES},
        "network-feature-enabled": {"floating_ips": _NO, "port_security": _NO},
        # Nobody logs in to a guest that is imitated.
        "validation": {"run_validation": _NO},
        "volume": {
            "catalog_type": "block-storage",
            "volume_type": VOLUME_TYPE,
            "volume_type_multiattach": MULTIATTACH,
            "storage_protocol": "pretended",
            "max_microversion": "latest",
            "build_timeout": _WAIT_S,
        },
        "volume-feature-enabled": {"backup": _NO, "snapshot": _YES, "extend_attached_volume": _YES},
    }  # fmt: skip


_FEATURES = {
    **dict.fromkeys(
        (
            "block_migration_for_live_migration",
            "change_password",
            "cold_migration",
            "config_drive",
            "console_output",
            "interface_attach",
            "live_migrate_back_and_forth",
            "live_migration",
            "pause",
            "personality",
            "rescue",
            "resize",
            "shelve",
            "shelve_migrate",
            "snapshot",
            "stable_rescue",
            "suspend",
            "swap_volume",
            "vnc_console",
            "volume_backed_live_migration",
            "volume_multiattach",
        ),
        _YES,
    ),
    # Hosts of different cells share nothing a guest could be moved by.
    "can_migrate_between_any_hosts": _NO,
    "metadata_service": _NO,
    # Its only test hands its websocket text where that wants bytes.
    "serial_console": _NO,
    "scheduler_enabled_filters": "SameHostFilter,DifferentHostFilter,ServerGroupAffinityFilter,"
    "ServerGroupAntiAffinityFilter",
    "nova_policy_roles": "admin,manager,member,reader,service",
}
