"""Hostile and honest images: what is refused, and why. Every file here is made by the test."""

import struct
import subprocess
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.image_format import HEAD_BYTES, ImageFormat, inspect, judge

MIB = 1024**2
GIB = 1024**3
FILE_SIZE = 64 * MIB

_FIELDS = {
    "magic": ("4s", b"QFI\xfb"),
    "version": ("I", 3),
    "backing_offset": ("Q", 0),
    "backing_length": ("I", 0),
    "cluster_bits": ("I", 16),
    "virtual_size": ("Q", GIB),
    "encryption": ("I", 0),
    "l1_entries": ("I", 2),
    "l1_offset": ("Q", 3 * 65536),
    "refcount_offset": ("Q", 65536),
    "refcount_clusters": ("I", 1),
    "snapshots": ("I", 0),
    "snapshots_offset": ("Q", 0),
    "incompatible": ("Q", 0),
    "compatible": ("Q", 0),
    "autoclear": ("Q", 0),
    "refcount_order": ("I", 4),
    "header_length": ("I", 112),
    "compression": ("B", 0),
}


def qcow2(*, extensions: bytes = b"", at: dict[int, bytes] | None = None, **changes: object) -> bytes:
    """Return the head of a sound qcow2 image of 1 GiB, but for ``changes``, ``extensions`` and bytes ``at`` offsets."""
    assert changes.keys() <= _FIELDS.keys()
    head = bytearray(HEAD_BYTES)
    packed = b"".join(struct.pack(f">{kind}", changes.get(name, usual)) for name, (kind, usual) in _FIELDS.items())
    head[: len(packed)] = packed
    head[112 : 112 + len(extensions)] = extensions
    for offset, data in (at or {}).items():
        head[offset : offset + len(data)] = data
    return bytes(head)


def extension(kind: int, data: bytes, length: int | None = None) -> bytes:
    padded = data + bytes(-len(data) % 8)
    return struct.pack(">II", kind, len(data) if length is None else length) + padded


def starting(*parts: tuple[int, bytes]) -> bytes:
    """Return a head of zeroes with bytes at offsets."""
    head = bytearray(HEAD_BYTES)
    for offset, data in parts:
        head[offset : offset + len(data)] = data
    return bytes(head)


MBR = (510, b"\x55\xaa")

HOSTILE_QCOW2 = [
    pytest.param(
        qcow2(backing_offset=200, backing_length=11, at={200: b"/etc/shadow"}), "backing file", id="backing file"
    ),
    pytest.param(qcow2(backing_offset=200), "backing file", id="backing offset alone"),
    pytest.param(qcow2(backing_length=9), "backing file", id="backing length alone"),
    pytest.param(
        qcow2(version=2, backing_offset=200, backing_length=11, at={200: b"/etc/passwd"}),
        "backing file",
        id="v2 backing",
    ),
    pytest.param(
        qcow2(backing_offset=200, backing_length=40, at={200: b'json:{"driver":"file","filename":"/dev/vda"}'}),
        "backing file",
        id="backing json",
    ),
    pytest.param(
        qcow2(backing_offset=200, backing_length=30, at={200: b"nbd://169.254.169.254:10809/x"}),
        "backing file",
        id="backing nbd",
    ),
    pytest.param(qcow2(incompatible=0b100), "external data file", id="data file bit"),
    pytest.param(
        qcow2(incompatible=0b100, extensions=extension(0x44415441, b"/etc/shadow")),
        "external data file",
        id="data file",
    ),
    pytest.param(
        qcow2(extensions=extension(0x44415441, b"/etc/shadow")), "external data file", id="data file name alone"
    ),
    pytest.param(
        qcow2(extensions=extension(0x6803F857, bytes(48)) + extension(0x44415441, b"/etc/shadow")),
        "external data file",
        id="data file name after another extension",
    ),
    pytest.param(qcow2(autoclear=0b10), "external data file", id="raw data file bit"),
    pytest.param(qcow2(incompatible=0b110), "external data file", id="data file and corrupt"),
    pytest.param(qcow2(extensions=extension(0xE2792ACA, b"raw")), "backing file's format", id="backing format alone"),
    pytest.param(qcow2(incompatible=0b10), "corrupt", id="corrupt"),
    pytest.param(qcow2(incompatible=1 << 5), "unknown incompatible", id="unknown feature"),
    pytest.param(qcow2(incompatible=1 << 63), "unknown incompatible", id="unknown highest feature"),
    pytest.param(qcow2(encryption=1), "encrypted", id="aes"),
    pytest.param(qcow2(encryption=2), "encrypted", id="luks inside"),
    pytest.param(qcow2(version=2, encryption=1), "encrypted", id="v2 aes"),
    pytest.param(qcow2(extensions=extension(0x0537BE77, bytes(16))), "encrypted", id="encryption header alone"),
    pytest.param(qcow2(version=0), "version", id="version 0"),
    pytest.param(qcow2(version=1), "version", id="qcow"),
    pytest.param(qcow2(version=4), "version", id="version 4"),
    pytest.param(qcow2(cluster_bits=8), "clusters", id="tiny clusters"),
    pytest.param(qcow2(cluster_bits=22), "clusters", id="huge clusters"),
    pytest.param(qcow2(cluster_bits=0xFFFFFFFF), "clusters", id="impossible clusters"),
    pytest.param(qcow2(incompatible=0b10000, cluster_bits=13), "clusters", id="extended entries in small clusters"),
    pytest.param(qcow2(refcount_order=7), "reference counts", id="refcount order"),
    pytest.param(qcow2(header_length=72), "header of", id="short header"),
    pytest.param(qcow2(header_length=105), "header of", id="odd header"),
    pytest.param(qcow2(header_length=0xFFFFFFF8), "header of", id="endless header"),
    pytest.param(qcow2(compression=1), "compression", id="compression without its bit"),
    pytest.param(qcow2(incompatible=0b1000, compression=9), "compression", id="unknown compression"),
    pytest.param(qcow2(virtual_size=0), "unfolds", id="no size"),
    pytest.param(qcow2(virtual_size=2**64 - 1), "unfolds", id="endless size"),
    pytest.param(qcow2(l1_entries=1), "first-level", id="L1 too small"),
    pytest.param(qcow2(l1_entries=0), "first-level", id="no L1"),
    pytest.param(qcow2(l1_entries=0xFFFFFFFF), "first-level", id="endless L1"),
    pytest.param(qcow2(l1_offset=0), "first-level table", id="L1 in the header"),
    pytest.param(qcow2(l1_offset=65537), "first-level table", id="L1 not aligned"),
    pytest.param(qcow2(l1_offset=FILE_SIZE), "ends behind", id="L1 behind the end"),
    pytest.param(qcow2(l1_offset=2**64 - 65536), "ends behind", id="L1 wraps around"),
    pytest.param(qcow2(refcount_clusters=0), "reference table", id="no refcounts"),
    pytest.param(qcow2(refcount_clusters=0xFFFFFFFF), "reference table", id="endless refcounts"),
    pytest.param(qcow2(refcount_offset=0), "reference table", id="refcounts in the header"),
    pytest.param(qcow2(refcount_offset=2**40), "ends behind", id="refcounts behind the end"),
    pytest.param(qcow2(snapshots=70000, snapshots_offset=65536), "snapshots", id="too many snapshots"),
    pytest.param(qcow2(snapshots=1, snapshots_offset=0), "snapshot table", id="snapshots in the header"),
    pytest.param(
        qcow2(snapshots=65535, snapshots_offset=FILE_SIZE - 65536), "ends behind", id="snapshots behind the end"
    ),
    pytest.param(qcow2(extensions=extension(0x11111111, b"", length=0xFFFFFFF0)), "extension", id="endless extension"),
    pytest.param(qcow2(extensions=extension(0x11111111, b"") * 40), "extensions", id="too many extensions"),
]

HOSTILE_OTHERS = [
    pytest.param(starting((0, b"KDMV\x01\x00\x00\x00")), b"", "vmdk", id="vmdk sparse"),
    pytest.param(starting((0, b"KDMV\x03\x00\x00\x00")), b"", "vmdk", id="vmdk stream optimised"),
    pytest.param(starting((0, b"COWD\x01\x00\x00\x00")), b"", "vmdk", id="vmdk esx sparse"),
    pytest.param(starting((0, b"\xbe\xba\xfe\xca\x00\x00\x00\x00")), b"", "vmdk", id="vmdk se sparse"),
    pytest.param(
        starting((0, b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 9 FLAT "/etc/shadow" 0\n')),
        b"",
        "vmdk",
        id="vmdk monolithic flat",
    ),
    pytest.param(starting((0, b"# disk descriptorFILE\r\nversion=1\r\n")), b"", "vmdk", id="vmdk in other letters"),
    pytest.param(
        starting((0, b"#\n# a comment\n\n  version=1\nRW 9 FLAT x 0")), b"", "vmdk", id="vmdk behind comments"
    ),
    pytest.param(starting((0, b"\xef\xbb\xbf# Disk DescriptorFile\n")), b"", "vmdk", id="vmdk with byte order mark"),
    pytest.param(starting((0, b'createType="twoGbMaxExtentFlat"\n')), b"", "vmdk", id="vmdk create type first"),
    pytest.param(starting((0, b"vhdxfile")), b"", "vhdx", id="vhdx"),
    pytest.param(starting((0, b"conectix")), b"", "vhd", id="vhd dynamic"),
    pytest.param(starting(), b"conectix".ljust(512, b"\0"), "vhd", id="vhd fixed"),
    pytest.param(starting(), b"conectix".ljust(511, b"\0"), "vhd", id="vhd fixed, old"),
    pytest.param(starting((64, b"\x7f\x10\xda\xbe")), b"", "vdi", id="vdi"),
    pytest.param(starting((0, b"QED\0")), b"", "qed", id="qed"),
    pytest.param(starting((0, b"WithoutFreeSpace")), b"", "parallels", id="parallels"),
    pytest.param(starting((0, b"WithouFreSpacExt")), b"", "parallels", id="parallels, extended"),
    pytest.param(starting((0, b"Bochs Virtual HD Image")), b"", "bochs", id="bochs"),
    pytest.param(starting((0, b"#!/bin/sh\n#V2.0 Format\n")), b"", "cloop", id="cloop"),
    pytest.param(starting(), b"koly".ljust(512, b"\0"), "dmg", id="dmg"),
    pytest.param(starting((0, b"LUKS\xba\xbe\x00\x01")), b"", "luks", id="luks 1"),
    pytest.param(starting((0, b"LUKS\xba\xbe\x00\x02")), b"", "luks", id="luks 2"),
    pytest.param(starting((0x4000, b"SKUL\xba\xbe")), b"", "luks", id="luks 2, first header wiped"),
    pytest.param(starting((0x8001, b"CD001")), b"", "iso", id="iso"),
    pytest.param(starting((0x8001, b"CD001"), MBR), b"", "iso", id="iso that boots as a disk"),
    pytest.param(starting((0x8001, b"BEA01")), b"", "udf", id="udf"),
    pytest.param(starting((0, b"\x1f\x8b\x08")), b"", "gzip", id="gzip"),
    pytest.param(starting((0, b"\xfd7zXZ\0")), b"", "xz", id="xz"),
    pytest.param(starting((0, b"\x28\xb5\x2f\xfd")), b"", "zstd", id="zstd"),
    pytest.param(starting((0, b"PK\x03\x04")), b"", "zip", id="zip"),
    pytest.param(starting((0, b"KDMV"), MBR), b"", "vmdk", id="vmdk with a partition table"),
]

POLYGLOTS = [
    pytest.param(qcow2(at={0x8001: b"CD001"}), b"", id="qcow2 and iso"),
    pytest.param(qcow2(at={510: b"\x55\xaa"}), b"", id="qcow2 and mbr"),
    pytest.param(qcow2(at={512: b"EFI PART"}), b"", id="qcow2 and gpt"),
    pytest.param(qcow2(at={0x4000: b"SKUL\xba\xbe"}), b"", id="qcow2 and luks"),
    pytest.param(qcow2(), b"conectix".ljust(512, b"\0"), id="qcow2 and vhd"),
    pytest.param(qcow2(), b"koly".ljust(512, b"\0"), id="qcow2 and dmg"),
    pytest.param(starting((0, b"KDMV"), (0x8001, b"CD001")), b"", id="vmdk and iso"),
    pytest.param(starting((0, b"vhdxfile"), (64, b"\x7f\x10\xda\xbe")), b"", id="vhdx and vdi"),
]


def whole_tail(tail: bytes) -> bytes:
    return tail.rjust(1024, b"\0")


@pytest.mark.parametrize(("head", "reason"), HOSTILE_QCOW2)
@pytest.mark.parametrize("declared", ["qcow2", None])
def test_hostile_qcow2_is_refused(head: bytes, reason: str, declared: str | None) -> None:
    with pytest.raises(errors.GuestFailed, match=reason):
        judge(head, whole_tail(b""), FILE_SIZE, declared)


@pytest.mark.parametrize(("head", "tail", "name"), HOSTILE_OTHERS)
@pytest.mark.parametrize("declared", ["raw", "qcow2", None])
def test_other_formats_are_refused_whatever_they_are_called(
    head: bytes, tail: bytes, name: str, declared: str | None
) -> None:
    with pytest.raises(errors.GuestFailed, match=f"format {name};"):
        judge(head, whole_tail(tail), FILE_SIZE, declared)


@pytest.mark.parametrize(("head", "tail"), POLYGLOTS)
@pytest.mark.parametrize("declared", ["raw", "qcow2", None])
def test_polyglots_are_refused(head: bytes, tail: bytes, declared: str | None) -> None:
    with pytest.raises(errors.GuestFailed, match=r"more than one thing|declared as raw and is qcow2"):
        judge(head, whole_tail(tail), FILE_SIZE, declared)


def test_qcow2_declared_raw_is_refused() -> None:
    with pytest.raises(errors.GuestFailed, match="declared as raw and is qcow2"):
        judge(qcow2(), whole_tail(b""), FILE_SIZE, "raw")


def test_raw_declared_qcow2_is_refused() -> None:
    with pytest.raises(errors.GuestFailed, match="declared as qcow2 and is raw"):
        judge(starting(MBR), whole_tail(b""), FILE_SIZE, "qcow2")


@pytest.mark.parametrize("declared", ["vmdk", "iso", "vhd", "ami", "ploop", "", "QCOW2"])
def test_declarations_of_other_formats_are_refused(declared: str) -> None:
    with pytest.raises(errors.GuestFailed, match="only raw and qcow2"):
        judge(starting(MBR), whole_tail(b""), FILE_SIZE, declared)


@pytest.mark.parametrize("length", [0, 1, 511])
def test_less_than_a_sector_is_refused(length: int) -> None:
    with pytest.raises(errors.GuestFailed, match="less than one"):
        judge(bytes(length), bytes(length), length)


@pytest.mark.parametrize("length", [512, 520, 4096])
def test_a_cut_off_qcow2_is_refused(length: int) -> None:
    with pytest.raises(errors.GuestFailed, match="refused"):
        judge(qcow2()[:length], qcow2()[:length][-1024:], length)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(qcow2(), id="version 3"),
        pytest.param(qcow2(version=2), id="version 2"),
        pytest.param(qcow2(incompatible=0b1), id="not closed"),
        pytest.param(qcow2(incompatible=0b1000, compression=1), id="zstd"),
        pytest.param(qcow2(header_length=104), id="shortest header"),
        pytest.param(qcow2(snapshots=2, snapshots_offset=5 * 65536), id="snapshots"),
        pytest.param(qcow2(extensions=extension(0x6803F857, bytes(144))), id="feature names"),
        pytest.param(qcow2(extensions=extension(0x12345678, b"unknown")), id="unknown extension"),
    ],
)
@pytest.mark.parametrize("declared", ["qcow2", None])
def test_sound_qcow2_is_accepted(head: bytes, declared: str | None) -> None:
    assert judge(head, whole_tail(b""), FILE_SIZE, declared) == ImageFormat("qcow2", GIB)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(starting(MBR), id="mbr"),
        pytest.param(starting(MBR, (512, b"EFI PART")), id="gpt"),
        pytest.param(starting((1080, b"\x53\xef")), id="bare ext4"),
        pytest.param(starting(), id="zeroes"),
        pytest.param(starting((0, b"version of something else")), id="text"),
    ],
)
@pytest.mark.parametrize("declared", ["raw", None])
def test_raw_is_accepted(head: bytes, declared: str | None) -> None:
    assert judge(head, whole_tail(b""), FILE_SIZE, declared) == ImageFormat("raw", FILE_SIZE)


def test_directories_and_devices_are_refused() -> None:
    with pytest.raises(errors.GuestFailed, match="regular"):
        inspect(Path("/dev/null"))


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(bytes(510) + b"\x55\xaa")
    assert inspect(path, "raw") == ImageFormat("raw", 512)


@pytest.mark.parametrize(
    "options",
    ["compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=2M", "extended_l2=on", "compression_type=zstd"],
)
def test_what_qemu_makes_is_accepted(tmp_path: Path, options: str) -> None:
    path = tmp_path / "image"
    try:
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-o", options, str(path), "1G"], check=True, timeout=480
        )
    except FileNotFoundError:
        pytest.skip("qemu-img is not installed")
    assert inspect(path, "qcow2") == ImageFormat("qcow2", GIB)
