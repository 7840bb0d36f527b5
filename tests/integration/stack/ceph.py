"""A real Ceph cluster of one monitor, one manager and one store, which is a sparse file: RBD images with real data.

It needs no device, no kernel module and no volume manager. Its users are an administrator, who has a key of its own,
and ``USER``, whose key block storage and hypervisors have.
"""

import json
import subprocess
import uuid as uuids
from pathlib import Path
from typing import Any

from tests.integration.stack.processes import Missing, Program, wait_until
from tests.integration.stack.site import Site, environment, tool, wait_listening

#: Who block storage and hypervisors are in the cluster, and the pools that are theirs.
USER, POOLS = "cinder", ("volumes", "others")
#: What libvirt calls the key of ``USER``.
SECRET = "2f9b5c0e-57c5-4d1c-8f2d-0a4b7f6b9d11"
_PACKAGES = {"ceph-mon": "ceph-mon", "ceph-mgr": "ceph-mgr", "ceph-osd": "ceph-osd", "ceph": "ceph-common"}
_PROCESSES = ("ceph-mon", "ceph-mgr", "ceph-osd")
_STORE_BYTES = 16 << 30


class Ceph:
    """A cluster. ``stop`` keeps what is in it; ``start`` after it goes on."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._data = site.path("data", "ceph")
        self._port = site.port("ceph-mon")

    @property
    def configuration(self) -> Path:
        """Return the file by which ``USER`` reaches the cluster."""
        return self._data / "client.conf"

    def start(self) -> None:
        """Start the cluster, made on the first time; return once it stores data. Raises Missing."""
        for program, package in _PACKAGES.items():
            tool(program, package=package)
        if not any(Path("/usr/lib").glob("*/qemu/block-rbd.so")):
            raise Missing("QEMU has no RBD (apt-get install qemu-block-extra)")
        made = self._data / "made"
        if not made.exists():
            self._make()
        for name, number in (("mon", "a"), ("mgr", "x"), ("osd", "0")):
            argv = (
                tool(f"ceph-{name}", package=f"ceph-{name}"),
                "-f",
                "-c",
                str(self._data / "ceph.conf"),
                "-i",
                number,
            )
            self._site.processes.start(Program(f"ceph-{name}", argv, env=environment()))
            if name == "mon":
                wait_listening(self._site, "ceph-mon", self._port)
                if not made.exists():
                    self._introduce()
        if not made.exists():
            self._make_pool()
            made.write_text("")
        wait_until(self._stores, "Ceph storing data", timeout_s=60, interval_s=0.2, hint=str(self._data / "log"))

    def stop(self) -> None:
        """Stop the cluster; what is in it stays."""
        for name in reversed(_PROCESSES):
            self._site.processes.stop(name, timeout_s=20)

    def prepare(self, venv: Path) -> None:
        """Have Cinder's environment import Debian's bindings of Ceph, which no package registry has; raises Missing."""
        link_bindings(venv)

    def backend(self, pool: str) -> str:
        """Return the group of Cinder's configuration for a pool. Its store is sparse, and shared with nobody."""
        return f"""\
[{pool}]
volume_driver = cinder.volume.drivers.rbd.RBDDriver
volume_backend_name = {pool}
rbd_pool = {pool}
rbd_user = {USER}
rbd_ceph_conf = {self.configuration}
rbd_secret_uuid = {SECRET}
rados_connect_timeout = 10
max_over_subscription_ratio = 1000
"""

    def key(self) -> str:
        """Return the key of ``USER``, in base64."""
        lines = (self._data / "client.keyring").read_text().splitlines()
        return next(line.partition("=")[2].strip() for line in lines if line.strip().startswith("key"))

    def ask(self, *words: str) -> Any:
        """Run a ``ceph`` command as the administrator; return what it says, decoded."""
        return json.loads(self._ceph(*words, "-f", "json") or "null")

    def images(self) -> list[str]:
        """Return the names of the images in all pools."""
        return [name for pool in POOLS for name in self._rbd("ls", pool)]

    def watchers(self, image: str) -> int:
        """Return how many clients have an image open."""
        (pool,) = [pool for pool in POOLS if image in self._rbd("ls", pool)]
        return len(self._rbd("status", f"{pool}/{image}")["watchers"])

    def _make(self) -> None:
        """Make the keys and the data of every daemon. All of them are local: nothing runs yet."""
        fsid, data, address = str(uuids.uuid4()), self._data, self._site.address
        for name in ("mon", "mgr", "osd", "run", "log"):
            (data / name).mkdir(parents=True, exist_ok=True)
        settings = {
            "fsid": fsid,
            "mon_initial_members": "a",
            "mon_host": f"v2:{address}:{self._port}/0",
            "public_addr": address,
            "cluster_addr": address,
            "auth_allow_insecure_global_id_reclaim": "false",
            "osd_pool_default_size": "1",
            "osd_pool_default_min_size": "1",
            "osd_crush_chooseleaf_type": "0",
            "mon_allow_pool_size_one": "true",
            "mon_warn_on_pool_no_redundancy": "false",
            # A test machine's disk may be fuller than a store likes its own to be.
            "mon_data_avail_warn": "2",
            "mon_data_avail_crit": "1",
            "run_dir": f"{data}/run",
            "admin_socket": f"{data}/run/$cluster-$name.asok",
            "pid_file": f"{data}/run/$type.$id.pid",
            "crash_dir": f"{data}/run",
            "log_file": f"{data}/log/$type.$id.log",
            "mon_data": f"{data}/mon",
            "mgr_data": f"{data}/mgr",
            "osd_data": f"{data}/osd",
            "keyring": f"{data}/keyring",
            "mgr_initial_modules": "",
            "osd_objectstore": "bluestore",
            "bluestore_block_size": str(_STORE_BYTES),
            "bluestore_block_path": "",
            "bluestore_cache_autotune": "false",
            "bluestore_cache_size": str(64 << 20),
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (data / "ceph.conf").write_text(f"[global]\n{lines}")
        keyring, monmap = str(data / "keyring"), str(data / "monmap")
        whose = {
            "mon.": {"mon": "allow *"},
            "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
            "mgr.x": {"mon": "allow profile mgr", "osd": "allow *"},
            "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
        }
        Path(keyring).unlink(missing_ok=True)
        for name, may in whose.items():
            rights = [word for what, right in may.items() for word in ("--cap", what, right)]
            new = ("--create-keyring",) if name == "mon." else ()
            self._run("ceph-authtool", *new, keyring, "--gen-key", "-n", name, *rights)
        where = f"[v2:{address}:{self._port}]"
        self._run("monmaptool", "--create", "--clobber", "--addv", "a", where, "--fsid", fsid, monmap)
        self._run("ceph-mon", "-c", f"{data}/ceph.conf", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)

    def _introduce(self) -> None:
        """Tell the monitor of the others, and make the store."""
        store = str(uuids.uuid4())
        self._ceph("auth", "import", "-i", str(self._data / "keyring"))
        self._ceph("osd", "new", store)
        self._run("ceph-osd", "-c", str(self._data / "ceph.conf"), "-i", "0", "--mkfs", "--osd-uuid", store)

    def _make_pool(self) -> None:
        for pool in POOLS:
            self._ceph("osd", "pool", "create", pool, "8")
            self._ceph("osd", "pool", "application", "enable", pool, "rbd")
        rights = ("mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd")
        keyring = self._data / "client.keyring"
        keyring.write_text(self._ceph("auth", "get-or-create", f"client.{USER}", *rights))
        where = f"[global]\nmon_host = v2:{self._site.address}:{self._port}/0\nclient_mount_timeout = 15\n"
        self.configuration.write_text(f"{where}keyring = {keyring}\n")

    def _stores(self) -> bool:
        for name in _PROCESSES:
            self._site.processes.require(name)
        said = self.ask("status")
        return bool(said["osdmap"]["num_up_osds"] and said["mgrmap"]["available"] and said["pgmap"]["bytes_total"])

    def _rbd(self, *words: str) -> Any:
        return json.loads(self._run("rbd", "-c", str(self._data / "ceph.conf"), *words, "--format", "json"))

    def _ceph(self, *words: str) -> str:
        return self._run("ceph", "-c", str(self._data / "ceph.conf"), *words)

    def _run(self, program: str, *arguments: str) -> str:
        """Run a command; return what it says. What went wrong is in the site's ``log/ceph.log``."""
        done = subprocess.run(
            [*self._site.within, tool(program, package="ceph-common"), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment(),
            timeout=240,
            check=False,
        )
        with self._site.path("log", "ceph.log").open("a") as log:
            log.write(f"{program} {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
        done.check_returncode()
        return done.stdout


def link_bindings(venv: Path) -> None:
    """Have an environment import Debian's bindings of Ceph, which no package registry has; raises Missing."""
    for name in ("rados", "rbd"):
        for packages in venv.glob("lib/python3*/site-packages"):
            tag = packages.parent.name.replace("python", "cpython-").replace(".", "")
            found = next(iter(Path("/usr/lib/python3/dist-packages").glob(f"{name}.{tag}-*.so")), None)
            if found is None:
                raise Missing(f"Ceph's bindings for this Python are not installed (apt-get install python3-{name})")
            link = packages / found.name
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(found)
