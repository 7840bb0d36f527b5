"""How the block storage service says that a volume is reached, for each kind that QEMU reaches by itself."""

RBD: dict[str, object] = {
    "driver_volume_type": "rbd",
    "name": "volumes/volume-1",
    "hosts": ["192.0.2.1", "[2001:db8::2]"],
    "ports": ["6789", "6790"],
    "auth_enabled": True,
    "auth_username": "cinder",
    "secret_uuid": "457eb676-33da-42ec-9a8c-9293d545c337",
    "discard": True,
}
ISCSI: dict[str, object] = {
    "driver_volume_type": "iscsi",
    "target_iqn": "iqn.2010-10.org.openstack:volume-1",
    "target_portal": "[2001:db8::1]:3260",
    "target_lun": 1,
    "auth_method": "CHAP",
    "auth_username": "user",
    "auth_password": "very secret",
    "attachment_id": "a-1",
}
NBD: dict[str, object] = {"driver_volume_type": "nbd", "host": "192.0.2.7", "port": 10809, "export": "one"}
