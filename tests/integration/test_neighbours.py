"""The servers that integration tests rely on: they start, survive a restart, and leave nothing running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import openstack
import pytest
import sqlalchemy as sa
from kombu import Connection  # type: ignore[attr-defined]  # it comes by a lazy import

from tests.integration.stack.glance import Glance
from tests.integration.stack.keystone import ADMIN, DEMO, Keystone
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.postgresql import PostgreSQL
from tests.integration.stack.processes import Processes, Program, StackError, birth
from tests.integration.stack.rabbitmq import RabbitMQ


def _sleeper(name: str, code: str = "import time; time.sleep(600)") -> Program:
    return Program(name, (sys.executable, "-c", code), env=dict(os.environ))


def test_a_stopped_process_leaves_nothing_of_its_session(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    stubborn = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    pid = processes.start(_sleeper("stubborn", stubborn))
    deadline = time.monotonic() + 480
    while "ready" not in processes.log("stubborn").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = processes.workers("stubborn")
    assert len(child) == 1

    processes.stop("stubborn", timeout_s=0.2)

    assert birth(pid) is None
    assert birth(child[0]) is None
    assert processes.names() == []


def test_another_run_of_the_script_ends_what_this_one_started(tmp_path: Path) -> None:
    mine = Processes(tmp_path)
    pid = mine.start(_sleeper("service"))

    other = Processes(tmp_path)
    assert other.pid("service") == pid
    other.stop("service")

    assert mine.pid("service") is None
    assert mine.exit_code("service") == -signal.SIGTERM


def test_a_reused_process_number_is_not_ours(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as stranger:
        record = f'{{"pid": {stranger.pid}, "birth": 1, "log": ""}}'
        (tmp_path / "run" / "service.json").write_text(record)

        assert processes.pid("service") is None
        processes.kill("service")

        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_ended_is_reported_with_its_log(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start(_sleeper("broken", "raise SystemExit('no such setting')"))
    processes.wait_ended("broken", timeout_s=20)

    with pytest.raises(StackError, match="no such setting"):
        processes.require("broken")
    assert processes.exit_code("broken") == 1


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_databases_come_and_go(kind: str, request: pytest.FixtureRequest) -> None:
    server: MariaDB | PostgreSQL = request.getfixturevalue(kind)
    server.create(["nl_scratch"])
    server.create(["nl_scratch"])
    engine = sa.create_engine(server.url("nl_scratch"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE words (word VARCHAR(20))"))
        connection.execute(sa.text("INSERT INTO words VALUES ('schön 🙂')"))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT word FROM words")).scalar_one() == "schön 🙂"
    engine.dispose()
    server.drop(["nl_scratch"])
    with pytest.raises(sa.exc.OperationalError), sa.create_engine(server.url("nl_scratch")).connect():
        pass


def test_durable_messages_survive_a_restart_of_the_broker(rabbitmq: RabbitMQ) -> None:
    def connection() -> Connection:
        return Connection(  # type: ignore[no-untyped-call]
            rabbitmq.url("cell1").replace("rabbit://", "amqp://")
        )

    with connection() as before, before.SimpleQueue("kept") as queue:
        queue.put({"number": 7})

    rabbitmq.restart()

    with connection() as after, after.SimpleQueue("kept") as queue:
        message = queue.get(timeout=480)
        message.ack()
    assert message.payload == {"number": 7}


def test_a_user_gets_images_through_the_catalog(keystone: Keystone, glance: Glance, tmp_path: Path) -> None:
    path = tmp_path / "blank.raw"
    path.write_bytes(b"\0" * 65536)
    image_id = glance.upload("blank", path, disk_format="raw")

    with openstack.connection.Connection(**keystone.cloud(DEMO)) as connection:
        image = connection.image.get_image(image_id)
        assert (image.status, image.size) == ("active", 65536)
        with pytest.raises(openstack.exceptions.ForbiddenException):
            connection.image.delete_image(image_id)
    with openstack.connection.Connection(**keystone.cloud(ADMIN)) as connection:
        connection.image.delete_image(image_id)


def test_tokens_outlive_a_restart_of_keystone(keystone: Keystone) -> None:
    token = keystone.token(DEMO)
    keystone.stop()
    keystone.start()
    auth = {"auth_url": keystone.url, "token": token, "project_name": "demo", "project_domain_name": "Default"}
    with openstack.connection.Connection(auth_type="token", auth=auth, region_name="RegionOne") as connection:
        assert connection.current_project.name == "demo"
