"""``nova-lite up`` as a process: what it prints, its exit codes, how it stops."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nova_lite import config
from nova_lite.embedded import state
from nova_lite.embedded.http import HOST
from nova_lite.testing import cloud as clouds
from nova_lite.testing import up as processes
from nova_lite.testing.cloud import ComputeUser


def up(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``nova-lite up`` where it is expected to end by itself."""
    command = [sys.executable, "-m", "nova_lite.cmd.cloud", "up", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=480, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_says_what_to_do_next_and_stops_when_told(tmp_path: Path, number: signal.Signals) -> None:
    image = tmp_path / "own.raw"
    image.write_bytes(bytes(512))
    command = [sys.executable, "-m", "nova_lite.cmd.cloud", "up", "--driver", "fake", "--port-base", "0"]
    command += ["--state-dir", str(tmp_path / "cloud"), "--image", f"mine={image}", "--cells", "1", "--hosts", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Stop it"):
                break
        said = "".join(lines)
        assert "1 cells with 1 hosts each; guests are imitated (--driver fake)" in said
        assert f"OS_CLIENT_CONFIG_FILE={tmp_path}/cloud/clouds.yaml" in said
        assert "--image mine --nic none" in said
        assert re.search(r"^    metadata   http://127\.0\.0\.1:\d+    ", said, re.MULTILINE)
        assert re.search(r"^    consoles   http://127\.0\.0\.1:\d+$", said, re.MULTILINE)
        process.send_signal(number)
        out, err = process.communicate(timeout=480)
    assert (process.returncode, out.strip(), err) == (0, "stopping", "")


def test_a_taken_port_is_3(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        done = up("--driver", "fake", "--state-dir", str(tmp_path / "cloud"), "--port-base", port)
    assert done.returncode == 3
    assert f"Port {port}" in done.stderr
    assert "--port-base" in done.stderr


def test_a_state_directory_in_use_is_4(tmp_path: Path) -> None:
    with clouds.running(tmp_path, cells=1, hosts=1):
        done = up("--driver", "fake", "--state-dir", str(tmp_path), "--port-base", "0")
    assert (done.returncode, done.stdout) == (4, "")
    assert "is in use by the cloud with pid" in done.stderr


def test_a_state_directory_that_cannot_be_written_is_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = up("--driver", "fake", "--port-base", "0", "--state-dir", str(tmp_path / "file" / "cloud"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be written: Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_libvirt_is_5(tmp_path: Path) -> None:
    nowhere = f"qemu+unix:///system?socket={tmp_path}/no"
    done = up(
        "--driver", "libvirt", "--state-dir", str(tmp_path / "cloud"), "--port-base", "0", "--libvirt-uri", nowhere
    )
    assert done.returncode == 5
    assert "--driver fake" in done.stderr


def test_a_newer_state_directory_is_6(tmp_path: Path) -> None:
    (tmp_path / "cloud.json").write_text(f'{{"format": {state.FORMAT + 1}}}')
    done = up("--driver", "fake", "--state-dir", str(tmp_path), "--port-base", "0")
    assert done.returncode == 6
    assert "newer release" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--cells", "0"], id="no cells"),
        pytest.param(["--hosts", "many"], id="no number"),
        pytest.param(["--port-base", "70000"], id="no port"),
        pytest.param(["--port-base", "65530"], id="no room for all ports"),
        pytest.param(["--driver", "xen"], id="unknown driver"),
        pytest.param(["--image", "name=/does/not/exist"], id="no image file"),
        pytest.param(["--set", "reclaim_instance_interval"], id="an option without a value"),
        pytest.param(["--set", "reclaim_instance_interval=soon"], id="no value of the option"),
        pytest.param(["--set", "moon=1"], id="no option"),
        pytest.param(["--set", "moon.lease=1"], id="no group"),
        pytest.param(["--set", "conductor=1"], id="a group"),
        pytest.param(["--set", "database.connection=sqlite://"], id="an option the cloud needs for itself"),
    ],
)
def test_a_wrong_command_line_is_2(tmp_path: Path, arguments: list[str]) -> None:
    done = up("--state-dir", str(tmp_path / "cloud"), *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert not (tmp_path / "cloud").exists()


def test_options_are_set_for_every_process(tmp_path: Path) -> None:
    asked = ("--set", "conductor.threads=7", "--set", "reclaim_instance_interval=60")
    with processes.running(tmp_path, "--cells", "1", "--hosts", "1", *asked):
        pass
    for name in ("api", "cell1-conductor", "cell1-host1"):
        written = config.load(files=[str(tmp_path / "etc" / f"{name}.conf")])
        assert (written.conductor.threads, written.reclaim_instance_interval) == (7, 60)


def test_a_cloud_killed_while_it_boots_servers_loses_none(tmp_path: Path) -> None:
    one_cell = ("--cells", "1", "--hosts", "2")
    with processes.running(tmp_path, *one_cell) as process:
        urls = processes.urls(tmp_path)
        images = ComputeUser(f"{urls['image']}/v2")
        image = images.ask("GET", "/images").json["images"][0]["id"]
        images.close()
        user = ComputeUser(urls["compute"])
        ids = {user.boot(f"vm{number}", image) for number in range(6)}
        deleted = ids.pop()
        assert user.ask("DELETE", f"/servers/{deleted}").status == 204
        process.kill()
        process.wait(timeout=480)
        user.close()
    with processes.running(tmp_path, *one_cell):
        user = ComputeUser(processes.urls(tmp_path)["compute"])
        for server_id in ids:
            user.wait(server_id, "ACTIVE")
        user.wait_gone(deleted)
        guests = [file.stem for file in tmp_path.glob("hosts/*/instances/*.json")]
        assert sorted(guests) == sorted(ids)
        user.close()
