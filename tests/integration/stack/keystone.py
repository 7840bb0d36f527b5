"""A real Keystone under uWSGI, with the users, projects and catalog of a deployment."""

import base64
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.stack.kept import Kept
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Program, StackError, wait_until
from tests.integration.stack.site import ADDRESS, PASSWORD, Site, environment, run
from tests.integration.stack.venv import REQUIREMENTS, neighbours_venv

REGION = "RegionOne"


@dataclass(frozen=True, slots=True)
class Account:
    """A user with its roles in one project. The password is the same for all."""

    user: str
    project: str
    roles: tuple[str, ...]


ADMIN = Account("admin", "admin", ("admin",))
NOVA = Account("nova", "service", ("admin", "service"))
PLACEMENT = Account("placement", "service", ("admin", "service"))
GLANCE = Account("glance", "service", ("admin", "service"))
DEMO = Account("demo", "demo", ("member", "reader"))
OTHER = Account("other", "other", ("member", "reader"))
READER = Account("reader", "demo", ("reader",))
_SEEDED = (NOVA, PLACEMENT, GLANCE, DEMO, OTHER, READER)


class Keystone:
    """An identity service; what it knows is in MariaDB and survives ``stop`` and ``start``."""

    def __init__(self, site: Site, mariadb: MariaDB) -> None:
        self._site = site
        self._mariadb = mariadb
        self.port = site.port("keystone")
        self.url = f"http://{site.address}:{self.port}/v3"

    def start(self) -> None:
        """Start Keystone, its database and users made on the first time; return once it issues tokens."""
        venv = neighbours_venv()
        configuration = self._write_configuration()
        manage = [str(venv / "bin" / "keystone-manage"), "--config-file", str(configuration)]
        seeded = self._site.path("data", "keystone", "seeded")
        kept = Kept(self._mariadb, "keystone", [*REQUIREMENTS, Path(__file__).read_text()], self.url)
        has_users = seeded.exists()
        if not has_users:
            self._make_keys()
            self._mariadb.create(["keystone"])
            has_users = kept.load("keystone")
        if not has_users:
            self._bootstrap(manage)
        variables = environment(OS_KEYSTONE_CONFIG_FILES=str(configuration))
        # One process: it keeps what it has read in its memory, and nobody beside it changes that.
        argv = uwsgi(venv, self.port, "keystone.wsgi.api", 1, 8, address=self._site.address)
        self._site.processes.start(Program("keystone", argv, env=variables))
        hint = f"Log: {self._site.processes.log('keystone')}"
        wait_until(self._answers, "Keystone answering", timeout_s=60, hint=hint)
        if not has_users:
            self._seed()
            kept.save("keystone")
        seeded.write_text("")

    def stop(self) -> None:
        """Stop Keystone; tokens it issued stay good when it is back."""
        self._site.processes.stop("keystone")

    def token(self, account: Account) -> str:
        """Return a fresh token of ``account``, scoped to its project."""
        return self._authenticate(account)

    def system_token(self, account: Account) -> str:
        """Return a fresh token of ``account`` for the whole system, where it has a role."""
        return self._authenticate(account, {"system": {"all": True}})

    def project_id(self, name: str) -> str:
        """Return the id of a project by its name."""
        found = self._call("GET", f"/projects?name={name}", token=self.token(ADMIN))["projects"]
        return str(found[0]["id"])

    def cloud(self, account: Account) -> dict[str, Any]:
        """Return the ``clouds.yaml`` entry with which clients act as ``account``."""
        auth = {
            "auth_url": self.url,
            "username": account.user,
            "password": PASSWORD,
            "project_name": account.project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        return {"auth": auth, "region_name": REGION, "identity_api_version": 3}

    def credentials(self, account: Account, *, marker: str = "") -> str:
        """Return the options of a configuration group with which a service acts as ``account``."""
        lines = [
            "auth_type = password",
            f"auth_url = {self.url}",
            f"username = {account.user}",
            f"password = {PASSWORD}",
            f"project_name = {account.project}",
            "user_domain_name = Default",
            "project_domain_name = Default",
            f"region_name = {REGION}",
        ]
        return "\n".join([*lines, marker]) + "\n"

    def add_account(self, account: Account) -> None:
        """Make a user with its roles, and its project where there is none."""
        token = self.token(ADMIN)
        roles = {role["name"]: role["id"] for role in self._call("GET", "/roles", token=token)["roles"]}
        found = self._call("GET", f"/projects?name={account.project}", token=token)["projects"]
        if not found:
            project = {"project": {"name": account.project, "domain_id": "default"}}
            found = [self._call("POST", "/projects", project, token)["project"]]
        user = {"user": {"name": account.user, "password": PASSWORD, "domain_id": "default"}}
        user_id = self._call("POST", "/users", user, token)["user"]["id"]
        for role in account.roles:
            self._call("PUT", f"/projects/{found[0]['id']}/users/{user_id}/roles/{roles[role]}", token=token)

    def has_user(self, name: str) -> bool:
        """Tell whether there is a user of this name."""
        return bool(self._call("GET", f"/users?name={name}", token=self.token(ADMIN))["users"])

    def revoke(self, token: str) -> None:
        """Make a token worthless before its time."""
        request = urllib.request.Request(f"{self.url}/auth/tokens", method="DELETE")
        request.add_header("X-Auth-Token", self.token(ADMIN))
        request.add_header("X-Subject-Token", token)
        with urllib.request.urlopen(request, timeout=480):
            pass

    def add_endpoint(self, kind: str, name: str, url: str) -> None:
        """Put a service with one URL for all interfaces into the catalog."""
        token = self.token(ADMIN)
        service = self._call("POST", "/services", {"service": {"type": kind, "name": name}}, token)["service"]["id"]
        for interface in ("public", "internal", "admin"):
            endpoint = {"service_id": service, "interface": interface, "region_id": REGION, "url": url}
            self._call("POST", "/endpoints", {"endpoint": endpoint}, token)

    def _write_configuration(self) -> Path:
        keys = self._site.folder("data", "keystone")
        text = f"""\
[database]
connection = {self._mariadb.url("keystone")}
[cache]
enabled = true
backend = dogpile.cache.memory_pickle
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = {keys}/fernet
[fernet_receipts]
key_repository = {keys}/fernet
[credential]
key_repository = {keys}/credential
[identity]
password_hash_rounds = 4
[oslo_messaging_notifications]
driver = noop
"""
        return self._site.write(text, "etc", "keystone.conf")

    def _make_keys(self) -> None:
        """Make the keys of tokens and of credentials, as its own two commands do, which take seconds each."""
        for kind in ("fernet", "credential"):
            for number in ("0", "1"):
                key = self._site.path("data", "keystone", kind, number)
                key.parent.chmod(0o700)
                key.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
                key.chmod(0o600)

    def _bootstrap(self, manage: Sequence[str]) -> None:
        """Make the schema and the administrator."""
        log = self._site.path("log", "keystone-manage.log")
        run([*manage, "db_sync"], log=log)
        # The middleware that checks tokens asks the internal interface, so the catalog must have one.
        urls = [f"--bootstrap-{interface}-url={self.url}" for interface in ("public", "internal", "admin")]
        secret = f"--bootstrap-password={PASSWORD}"
        run([*manage, "bootstrap", secret, f"--bootstrap-region-id={REGION}", *urls], log=log)

    def _seed(self) -> None:
        for account in _SEEDED:
            self.add_account(account)

    def _answers(self) -> bool:
        self._site.processes.require("keystone")
        try:
            self._authenticate(ADMIN)
        except (StackError, OSError):
            return False
        return True

    def _authenticate(self, account: Account, scope: object = None) -> str:
        user = {"name": account.user, "domain": {"id": "default"}, "password": PASSWORD}
        scope = scope or {"project": {"name": account.project, "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        return self._send("POST", "/auth/tokens", {"auth": {"identity": identity, "scope": scope}}, None)[1]

    def _call(self, method: str, path: str, body: object = None, token: str | None = None) -> Any:
        return self._send(method, path, body, token)[0]

    def _send(self, method: str, path: str, body: object, token: str | None) -> tuple[Any, str]:
        """Send one request; return the decoded body and the token that came with it."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Content-Type", "application/json")
        if token is not None:
            request.add_header("X-Auth-Token", token)
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=480) as answer:
                text = answer.read()
                return (json.loads(text) if text else None), answer.headers.get("X-Subject-Token", "")
        except urllib.error.HTTPError as exc:
            with exc:
                raise StackError(f"Keystone answered {exc.code} to {method} {path}: {exc.read()[:500]!r}") from exc


def uwsgi(
    venv: Path, port: int, module: str, processes: int, threads: int, *extra: str, address: str = ADDRESS
) -> tuple[str, ...]:
    """Return the command that serves a neighbour's WSGI application on ``port``."""
    options = (
        f"--http-socket={address}:{port}",
        f"--module={module}:application",
        f"--virtualenv={venv}",
        "--master",
        f"--processes={processes}",
        f"--threads={threads}",
        "--enable-threads",
        "--lazy-apps",
        "--need-app",
        "--die-on-term",
        # As DevStack has it. What it delays, workers that end of themselves, none does here: they are killed.
        "--thunder-lock",
        "--buffer-size=65535",
        "--http-chunked-input",
        "--disable-logging",
        # Its HTTP socket closes each connection without saying so; saying so keeps clients from reusing one.
        "--add-header=Connection: close",
    )
    return (str(venv / "bin" / "uwsgi"), *options, *extra)


def side_by_side(jobs: Sequence[Callable[[], None]]) -> None:
    """Run ``jobs`` in threads, wait for all, raise the first failure."""
    failures: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as exc:  # noqa: BLE001 - raised again below, in the caller's thread
            failures.append(exc)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
