"""What a common EC2 or RDS type offers, from a small table of our own.

Source: AWS's pages on instance types, as of 2026-11. Network and storage figures are what each
vCPU of the family has at least at all times, without bursts. A type the table lacks is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TYPES_AS_OF = "2026-11"


class TypeUnknownError(Exception):
    """Nothing is known about this instance type."""


@dataclass(frozen=True)
class Family:
    """Types that differ by size alone. `successor` and `graviton` are families that do the same
    work: on the same processors, and on AWS's own ARM ones."""

    name: str
    gib_per_vcpu: float
    sizes: tuple[str, ...]
    arch: str = "x86_64"
    is_current: bool = True
    is_burstable: bool = False
    has_instance_store: bool = False
    network_gbps_per_vcpu: float = 0.25
    storage_iops_per_vcpu: int = 800
    successor: str = ""
    graviton: str = ""
    other_vcpus: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceType:
    """One type. `baseline_percent`: CPU a burstable type may use for ever, of all its vCPUs."""

    name: str
    family: Family
    size: str
    vcpus: int
    memory_gib: float
    network_gbps: float
    storage_iops: int
    baseline_percent: float = 100.0


_UP_TO_24 = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")
_UP_TO_32 = (*_UP_TO_24, "32xlarge")
_UP_TO_48 = (*_UP_TO_24, "48xlarge")
_C5 = ("large", "xlarge", "2xlarge", "4xlarge", "9xlarge", "12xlarge", "18xlarge", "24xlarge")
_GRAVITON = ("medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_BURSTABLE = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge")
_UP_TO_8 = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge")
_UP_TO_16 = (*_UP_TO_8, "16xlarge")
_FLEX = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_M_AND_R = (("m", 4), ("r", 8))


def _modern(letter: str, gib: float) -> Iterator[Family]:
    """The fifth generation and younger of m, c or r."""
    fifth = _C5 if letter == "c" else _UP_TO_24
    yield Family(f"{letter}5", gib, fifth, graviton=f"{letter}6g")
    yield Family(f"{letter}5d", gib, fifth, has_instance_store=True, graviton=f"{letter}6g")
    yield _of_amd(f"{letter}5a", gib, graviton=f"{letter}6g")
    yield _of_amd(f"{letter}5ad", gib, has_instance_store=True, graviton=f"{letter}6g")
    yield Family(f"{letter}6i", gib, _UP_TO_32, graviton=f"{letter}7g")
    yield Family(f"{letter}6a", gib, (*_UP_TO_32, "48xlarge"), graviton=f"{letter}7g")
    yield Family(f"{letter}7i", gib, _UP_TO_48, graviton=f"{letter}7g")
    yield Family(f"{letter}7a", gib, ("medium", *_UP_TO_32, "48xlarge"), graviton=f"{letter}8g")
    yield Family(f"{letter}6id", gib, _UP_TO_32, has_instance_store=True)
    yield _networked(f"{letter}6in", gib, _UP_TO_32, network_gbps_per_vcpu=1.5)
    for arm in (f"{letter}6g", f"{letter}7g"):
        yield Family(arm, gib, _GRAVITON, arch="arm64")
        yield Family(f"{arm}d", gib, _GRAVITON, arch="arm64", has_instance_store=True)
    yield Family(f"{letter}8g", gib, (*_GRAVITON, "24xlarge", "48xlarge"), arch="arm64")


def _of_amd(name: str, gib: float, **more: Any) -> Family:
    """The fifth generation of AMD has less of network and storage."""
    iops = 400 if name[0] == "c" else 600
    return Family(
        name, gib, _UP_TO_24, network_gbps_per_vcpu=0.18, storage_iops_per_vcpu=iops, **more
    )


def _networked(
    name: str, gib: float, sizes: tuple[str, ...], *, network_gbps_per_vcpu: float, **more: Any
) -> Family:
    """What somebody pays for is its network, so that a smaller size must do by that."""
    return Family(name, gib, sizes, network_gbps_per_vcpu=network_gbps_per_vcpu, **more)


def _old(name: str, gib: float, sizes: tuple[str, ...], successor: str, **more: object) -> Family:
    fields = {
        "is_current": False,
        "network_gbps_per_vcpu": 0.125,
        "graviton": f"{successor[:1]}6g" if successor[:1] != "t" else "t4g",
        **more,
    }
    return Family(name, gib, sizes, successor=successor, **fields)  # type: ignore[arg-type]  # by name


_FAMILIES = {
    family.name: family
    for family in (
        *_modern("m", 4),
        *_modern("c", 2),
        *_modern("r", 8),
        *(_networked(f"{n}5n", g, _UP_TO_24, network_gbps_per_vcpu=0.78) for n, g in _M_AND_R),
        *(
            _networked(f"{n}5dn", g, _UP_TO_24, network_gbps_per_vcpu=0.78, has_instance_store=True)
            for n, g in _M_AND_R
        ),
        _networked(
            "c5n",
            2.625,
            ("large", "xlarge", "2xlarge", "4xlarge", "9xlarge", "18xlarge"),
            network_gbps_per_vcpu=0.9,
        ),
        _networked("c6gn", 2, _GRAVITON, network_gbps_per_vcpu=1.5, arch="arm64"),
        Family("r5b", 8, _UP_TO_24, storage_iops_per_vcpu=2700),
        Family("m7i-flex", 4, _FLEX, network_gbps_per_vcpu=0.19, storage_iops_per_vcpu=625),
        Family("c7i-flex", 2, _FLEX, network_gbps_per_vcpu=0.19, storage_iops_per_vcpu=625),
        Family("t2", 4, _BURSTABLE, is_burstable=True, successor="t3", graviton="t4g"),
        Family("t3", 4, _BURSTABLE, is_burstable=True, graviton="t4g"),
        Family("t3a", 4, _BURSTABLE, is_burstable=True, graviton="t4g"),
        Family("t4g", 4, _BURSTABLE, is_burstable=True, arch="arm64"),
        _old("t1", 0.613, ("micro",), "t3", is_burstable=True),
        _old("m1", 3.75, ("medium", "large", "xlarge"), "m6i", has_instance_store=True),
        _old("m3", 3.75, ("medium", "large", "xlarge", "2xlarge"), "m6i", has_instance_store=True),
        _old("m4", 4, ("large", "xlarge", "2xlarge", "4xlarge", "10xlarge", "16xlarge"), "m6i"),
        _old("c3", 1.875, _UP_TO_8, "c6i", has_instance_store=True),
        _old("c4", 1.875, _UP_TO_8, "c6i", other_vcpus={"8xlarge": 36}),
        _old("r3", 7.625, _UP_TO_8, "r6i", has_instance_store=True),
        _old("r4", 7.625, _UP_TO_16, "r6i"),
    )
}
ALL_FAMILIES = tuple(_FAMILIES.values())

# GiB, CPU percent for ever, Gbit/s and IOPS for ever: of all burstable families alike.
_BURSTABLE_SIZES = {
    "nano": (0.5, 5.0, 0.032, 250),
    "micro": (1.0, 10.0, 0.064, 500),
    "small": (2.0, 20.0, 0.128, 1000),
    "medium": (4.0, 20.0, 0.256, 2000),
    "large": (8.0, 30.0, 0.512, 4000),
    "xlarge": (16.0, 40.0, 1.024, 4000),
    "2xlarge": (32.0, 40.0, 2.048, 4000),
}
_T2_GBPS = {"xlarge": 0.75, "2xlarge": 1.0}
_T2_BASELINE = {"small": 20.0, "large": 30.0, "xlarge": 22.5, "2xlarge": 17.0}


def type_of(name: str) -> InstanceType:
    """An EC2 type, or an RDS class without its `db.`. Raises `TypeUnknownError`."""
    family_name, _, size = name.removeprefix("db.").partition(".")
    family = _FAMILIES.get(family_name)
    if family is None or size not in family.sizes:
        raise TypeUnknownError(f"Nothing is known about the type {name[:40]!r}.")
    if family.is_burstable:
        return _burstable(family, size)
    vcpus = family.other_vcpus.get(size) or _vcpus(size)
    return InstanceType(
        name=f"{family.name}.{size}",
        family=family,
        size=size,
        vcpus=vcpus,
        # c4.8xlarge has more vCPUs than memory would tell.
        memory_gib=_vcpus(size) * family.gib_per_vcpu,
        network_gbps=vcpus * family.network_gbps_per_vcpu,
        storage_iops=vcpus * family.storage_iops_per_vcpu,
    )


def smaller_than(of: InstanceType) -> list[InstanceType]:
    """The same family's smaller sizes, the largest first."""
    place = of.family.sizes.index(of.size)
    return [type_of(f"{of.family.name}.{size}") for size in reversed(of.family.sizes[:place])]


def in_family(of: InstanceType, family_name: str) -> InstanceType:
    """The smallest type of another family with as many vCPUs and as much memory, within a tenth:
    early families count their memory in a unit of their own. Raises `TypeUnknownError`."""
    family = _FAMILIES.get(family_name)
    for size in family.sizes if family else ():
        candidate = type_of(f"{family_name}.{size}")
        if candidate.vcpus >= of.vcpus and candidate.memory_gib >= 0.9 * of.memory_gib:
            return candidate
    raise TypeUnknownError(f"Nothing in {family_name} is as large as {of.name}.")


def _vcpus(size: str) -> int:
    """What the size has in all families that do not burst."""
    if size == "medium":
        return 1
    if size == "large":
        return 2
    return 4 * int(size.removesuffix("xlarge") or 1)


def _burstable(family: Family, size: str) -> InstanceType:
    memory_gib, baseline, network_gbps, iops = _BURSTABLE_SIZES[size]
    vcpus = _vcpus(size) if size.endswith("xlarge") else 2
    if family.name in ("t1", "t2") and size in ("nano", "micro", "small"):
        vcpus = 1
    if family.name == "t2":
        baseline = _T2_BASELINE.get(size, baseline)
        network_gbps = _T2_GBPS.get(size, network_gbps)
    return InstanceType(
        f"{family.name}.{size}", family, size, vcpus, memory_gib, network_gbps, iops, baseline
    )
