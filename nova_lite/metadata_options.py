"""Every option of what guests are told; ``config.py`` has the others, and registers these with them."""

from oslo_config import cfg, types

DRIVE_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "force_config_drive",
        default=False,
        help="Whether every new server gets a config drive, asked for or not. The API reads it.",
    ),
    cfg.StrOpt(
        "config_drive_format",
        default="iso9660",
        choices=[
            ("iso9660", "an ISO image, which guests see as a cdrom"),
            ("vfat", "a VFAT file system of 64 MiB on a disk, for guests that know no other; needs dosfstools, mtools"),
        ],
        help="What the config drives of a host's new guests are. The same for all hosts, for they keep it on moves.",
    ),
]

#: In ``[api]``, where operators look for them; compute agents read those of vendordata, of names and of versions, too.
METADATA_OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        "vendordata_providers",
        default=["StaticJSON"],
        item_type=types.String(choices=["StaticJSON", "DynamicJSON"]),
        help="Where what operators tell guests is from: StaticJSON (vendordata_jsonfile_path), DynamicJSON "
        "(vendordata_dynamic_targets).",
    ),
    cfg.StrOpt("vendordata_jsonfile_path", help="Path of a JSON file that every guest is told."),
    cfg.ListOpt(
        "vendordata_dynamic_targets",
        default=[],
        help="Services that are asked what to tell a guest, as name@url: each by a POST with the server's project-id, "
        "instance-id, image-id, user-data, hostname, metadata and boot-roles.",
    ),
    cfg.StrOpt("vendordata_dynamic_ssl_certfile", default="", help="Path of the CA certificates of these services."),
    cfg.IntOpt(
        "vendordata_dynamic_connect_timeout", default=5, min=3, help="Seconds to connect to one of these services."
    ),
    cfg.IntOpt("vendordata_dynamic_read_timeout", default=5, min=0, help="Seconds such a service may be silent."),
    cfg.BoolOpt(
        "vendordata_dynamic_failure_fatal",
        default=False,
        help="Whether a service that does not answer fails the build, or the guest's request; else it says nothing.",
    ),
    cfg.StrOpt("dhcp_domain", default="novalocal", help="Domain of guests' host names; empty is none."),
    cfg.StrOpt(
        "config_drive_skip_versions",
        default="1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01",
        help="Versions of EC2's layout that are not on config drives, with spaces between them.",
    ),
    cfg.IntOpt(
        "metadata_cache_expiration",
        default=15,
        min=0,
        help="Seconds for which the metadata service remembers a server; 0 is not at all.",
    ),
    cfg.BoolOpt(
        "local_metadata_per_cell",
        default=False,
        help="Whether the metadata service is of one cell: it reads [database] connection, and nothing above its cell.",
    ),
]

NEUTRON_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "service_metadata_proxy",
        default=False,
        help="Whether guests reach the metadata service through proxies that say, and sign, who asks. Without it none "
        "is found, for there are no addresses to find servers by.",
    ),
    cfg.StrOpt(
        "metadata_proxy_shared_secret",
        default="",
        secret=True,
        help="Secret that these proxies sign with, the same as theirs. Without it the metadata service does not start.",
    ),
]

#: In ``[quota]``.
INJECTION_OPTS: list[cfg.Opt] = [
    cfg.IntOpt("injected_files", default=5, min=-1, help="Files a user may put into a server as it is made."),
    cfg.IntOpt(
        "injected_file_content_bytes", default=10240, min=-1, help="Bytes one of these files may have; -1: unlimited."
    ),
    cfg.IntOpt("injected_file_path_length", default=255, min=-1, help="Bytes the path of one may have; -1: unlimited."),
]
