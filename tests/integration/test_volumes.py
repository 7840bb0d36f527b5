"""Volumes of a real Cinder, asked with real tokens of a real Keystone, service tokens among them."""

from pathlib import Path

import pytest

from nova_lite import config, errors
from nova_lite.clients.volumes import Volumes, is_configured, newest_version
from tests.contract.volumes.suite import Storage, VolumesSuite
from tests.integration.stack.cinder import Cinder
from tests.integration.stack.glance import Glance
from tests.integration.stack.keystone import DEMO, NOVA, OTHER, Keystone


@pytest.fixture(scope="module")
def configuration(cinder: Cinder, keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cinder") / "nova_lite.conf"
    path.write_text(f"[cinder]\n{keystone.credentials(NOVA)}[service_user]\n{keystone.credentials(NOVA)}")
    return path


@pytest.fixture(scope="module")
def storage(
    cinder: Cinder,
    keystone: Keystone,
    glance: Glance,
    configuration: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Storage:
    source = tmp_path_factory.mktemp("image") / "small.raw"
    source.write_bytes(b"content " * 1000)
    image_id = glance.upload("volumes-contract", source, disk_format="raw")
    tokens = {account: keystone.token(account) for account in (DEMO, OTHER)}
    volumes = Volumes(config.load(files=[str(configuration)]))
    return Storage(volumes, lambda: tokens[DEMO], lambda: tokens[OTHER], image_id, cinder.call)


class TestCinder(VolumesSuite):
    """The real one."""


def test_its_newest_version_is_told(configuration: Path) -> None:
    conf = config.load(files=[str(configuration)])
    assert is_configured(conf)
    assert newest_version(conf) == (3, 71)


def test_wrong_credentials_are_said_to_be_wrong(configuration: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.conf"
    wrong.write_text(configuration.read_text().replace("password = secret", "password = wrong"))
    with pytest.raises((errors.Unavailable, errors.Misconfigured)):
        newest_version(config.load(files=[str(wrong)]))
