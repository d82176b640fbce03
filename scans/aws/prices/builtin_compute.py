"""On-demand prices of instances and databases: USD an hour for the size `large` of each family;
the other sizes are multiples of it, and where they are not they are listed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from scans.aws.prices.figures import FALLBACK_REGION
from scans.aws.prices.keys import MULTI_AZ, WINDOWS


def _table(figures: str) -> Mapping[str, Decimal]:
    """`name price name price …`"""
    words = figures.split()
    return {name: Decimal(usd) for name, usd in zip(words[::2], words[1::2], strict=True)}


# Linux in us-east-1.
_EC2_LARGE = _table(
    """
    t2 0.0928 t3 0.0832 t3a 0.0752 t4g 0.0672
    m1 0.175 m3 0.133 m4 0.10 m5 0.096 m5a 0.086 m5ad 0.103 m5d 0.113 m5n 0.119 m5dn 0.136
    m6gd 0.0904 m6id 0.11865 m6in 0.13923 m7gd 0.1068 m7i-flex 0.09576
    m6a 0.0864 m6g 0.077 m6i 0.096 m7a 0.11592 m7g 0.0816 m7i 0.1008 m8g 0.08976
    c3 0.105 c4 0.10 c5 0.085 c5a 0.077 c5ad 0.086 c5d 0.096 c5n 0.108
    c6gd 0.0768 c6gn 0.0864 c6id 0.1008 c6in 0.1134 c7gd 0.0907 c7i-flex 0.08479
    c6a 0.0765 c6g 0.068 c6i 0.085 c7a 0.10264 c7g 0.0725 c7i 0.08925 c8g 0.07976
    r3 0.166 r4 0.133 r5 0.126 r5a 0.113 r5ad 0.131 r5b 0.149 r5d 0.144 r5n 0.149 r5dn 0.167
    r6gd 0.1152 r6id 0.1512 r6in 0.17433 r7gd 0.1361
    r6a 0.1134 r6g 0.1008 r6i 0.126 r7a 0.15215 r7g 0.1071 r7i 0.1323 r8g 0.11782
    i3 0.156 i3en 0.226 i4i 0.172
    """
)
# Those that are no multiples, and families without a `large`.
_EC2_ODD = _table(
    """
    t1.micro 0.02
    m1.small 0.044 m1.medium 0.087 m2.xlarge 0.245 m2.2xlarge 0.49 m2.4xlarge 0.98
    m3.medium 0.067 c1.medium 0.13 c1.xlarge 0.52
    c4.xlarge 0.199 c4.2xlarge 0.398 c4.4xlarge 0.796 c4.8xlarge 1.591
    r3.xlarge 0.333 r3.2xlarge 0.665 r3.4xlarge 1.33 r3.8xlarge 2.66
    g4dn.xlarge 0.526 g4dn.2xlarge 0.752 g4dn.4xlarge 1.204 g4dn.8xlarge 2.176
    g4dn.12xlarge 3.912 g4dn.16xlarge 4.352
    g5.xlarge 1.006 g5.2xlarge 1.212 g5.4xlarge 1.624 g5.8xlarge 2.448 g5.12xlarge 5.672
    g5.16xlarge 4.096 g5.24xlarge 8.144 g5.48xlarge 16.288
    g6.xlarge 0.8048 g6.2xlarge 0.9776 g6.4xlarge 1.3232 g6.8xlarge 2.0144 g6.12xlarge 4.6016
    g6.16xlarge 3.3968 g6.24xlarge 6.6752 g6.48xlarge 13.3504
    p3.2xlarge 3.06 p3.8xlarge 12.24 p3.16xlarge 24.48
    x1.16xlarge 6.669 x1.32xlarge 13.338
    i2.xlarge 0.853 i2.2xlarge 1.705 i2.4xlarge 3.41 i2.8xlarge 6.82
    d2.xlarge 0.69 d2.2xlarge 1.38 d2.4xlarge 2.76 d2.8xlarge 5.52 g2.2xlarge 0.65 g2.8xlarge 2.60
    """
)
# The families most used, elsewhere: t3, m4, m5, c5, r5. Their Intel successors cost the same.
_EC2_LARGE_ELSEWHERE = {
    region: dict(zip(("t3", "m4", "m5", "c5", "r5"), map(Decimal, figures.split()), strict=True))
    for region, figures in {
        "us-east-2": "0.0832 0.10 0.096 0.085 0.126",
        "us-west-1": "0.0992 0.117 0.112 0.106 0.14",
        "us-west-2": "0.0832 0.10 0.096 0.085 0.126",
        "ca-central-1": "0.0928 0.111 0.107 0.093 0.138",
        "eu-west-1": "0.0912 0.111 0.107 0.096 0.141",
        "eu-west-2": "0.0944 0.116 0.111 0.101 0.148",
        "eu-west-3": "0.0944 0.117 0.112 0.101 0.148",
        "eu-central-1": "0.096 0.12 0.115 0.097 0.152",
        "eu-north-1": "0.0864 0.106 0.102 0.091 0.134",
        "ap-south-1": "0.0896 0.105 0.101 0.085 0.13",
        "ap-northeast-1": "0.1088 0.129 0.124 0.107 0.152",
        "ap-northeast-2": "0.104 0.123 0.118 0.096 0.152",
        "ap-southeast-1": "0.1056 0.125 0.12 0.098 0.152",
        "ap-southeast-2": "0.1056 0.125 0.12 0.111 0.151",
        "sa-east-1": "0.1344 0.159 0.153 0.131 0.201",
    }.items()
}
_SAME_PRICE = {"m6i": "m5", "c6i": "c5", "r6i": "r5"}
# All of these cost in Ohio and Oregon what they cost in Virginia.
_TWINS = frozenset({"us-east-2", "us-west-2"})

_SIZES = _table(
    """
    medium 0.5 large 1 xlarge 2 2xlarge 4 3xlarge 6 4xlarge 8 6xlarge 12 8xlarge 16 9xlarge 18
    10xlarge 20 12xlarge 24 16xlarge 32 18xlarge 36 24xlarge 48 32xlarge 64 48xlarge 96
    """
)
_SMALL_SIZES = _table("nano 0.0625 micro 0.125 small 0.25")
_BURSTABLE = frozenset({"t2", "t3", "t3a", "t4g"})

# Windows costs 0.046 USD a vCPU and hour more; `large` has two.
_WINDOWS_LARGE = Decimal("0.092")
_WITH_WINDOWS = frozenset(
    {
        *("m4", "m5", "m5a", "m5d", "m5n", "m6a", "m6i", "m7i"),
        *("c4", "c5", "c5a", "c5d", "c5n", "c6a", "c6i", "c7i"),
        *("r4", "r5", "r5a", "r5d", "r5n", "r6a", "r6i", "r7i"),
    }
)
_WINDOWS_T3 = _table(
    "nano 0.0046 micro 0.0092 small 0.0184 medium 0.0184 large 0.0276 xlarge 0.0736 2xlarge 0.1472"
)

# Databases of one zone in us-east-1, by class; MariaDB costs what MySQL costs.
_MYSQL_LARGE = _table(
    """
    db.t2 0.136 db.t3 0.136 db.t4g 0.129 db.m3 0.185 db.m4 0.175 db.m5 0.171 db.m6g 0.152
    db.m6i 0.171 db.m7g 0.168 db.r3 0.24 db.r4 0.24 db.r5 0.24 db.r6g 0.215 db.r6i 0.24
    db.r7g 0.239
    """
)
_POSTGRES_LARGE = _table(
    """
    db.t2 0.145 db.t3 0.145 db.t4g 0.129 db.m3 0.195 db.m4 0.182 db.m5 0.178 db.m6g 0.159
    db.m6i 0.178 db.m7g 0.168 db.r3 0.25 db.r4 0.25 db.r5 0.25 db.r6g 0.225 db.r6i 0.25
    db.r7g 0.239
    """
)
_AURORA_LARGE = _table(
    """
    db.t2 0.164 db.t3 0.164 db.t4g 0.146 db.r3 0.29 db.r4 0.29 db.r5 0.29 db.r6g 0.26
    db.r6i 0.29 db.r7g 0.276
    """
)
_DATABASE_LARGE = {
    "mysql": _MYSQL_LARGE,
    "mariadb": _MYSQL_LARGE,
    "postgres": _POSTGRES_LARGE,
    "aurora": _AURORA_LARGE,
}
_DATABASE_ODD = {
    "mysql": _table(
        """
        db.m3.medium 0.09 db.t4g.micro 0.016 db.t4g.small 0.032 db.t4g.medium 0.065
        db.t4g.2xlarge 0.517
        """
    ),
    "postgres": _table(
        """
        db.m3.medium 0.095 db.t2.medium 0.073 db.t3.medium 0.072 db.t4g.micro 0.016
        db.t4g.small 0.032 db.t4g.medium 0.065 db.t4g.2xlarge 0.517 db.t3.2xlarge 0.579
        """
    ),
}
_DATABASE_ODD["mariadb"] = _DATABASE_ODD["mysql"]


def instance_hourly(key: str, region: str) -> Decimal | None:
    """`key` is `m5.large:linux` or `…:windows`."""
    instance_type, _, system = key.partition(":")
    linux = _linux_hourly(instance_type, region)
    if linux is None or system != WINDOWS:
        return linux
    surcharge = _windows_hourly(instance_type)
    return None if surcharge is None else linux + surcharge


def database_hourly(key: str) -> Decimal | None:
    """`key` is `db.m5.large:mysql:single`; in us-east-1."""
    instance_class, engine, zones = key.split(":")
    usd = _single_zone_hourly(instance_class, engine)
    return usd * 2 if usd is not None and zones == MULTI_AZ else usd


def _linux_hourly(instance_type: str, region: str) -> Decimal | None:
    family, _, size = instance_type.partition(".")
    factor = _factor(family, size)
    own = _EC2_LARGE_ELSEWHERE.get(region, {}).get(_SAME_PRICE.get(family, family))
    if own is not None:
        return None if factor is None else own * factor
    if region != FALLBACK_REGION and region not in _TWINS:
        return None
    if instance_type in _EC2_ODD:
        return _EC2_ODD[instance_type]
    large = _EC2_LARGE.get(family)
    return None if large is None or factor is None else large * factor


def _windows_hourly(instance_type: str) -> Decimal | None:
    family, _, size = instance_type.partition(".")
    if family in {"t3", "t3a"}:
        return _WINDOWS_T3.get(size)
    factor = _factor(family, size)
    return None if factor is None or family not in _WITH_WINDOWS else _WINDOWS_LARGE * factor


def _single_zone_hourly(instance_class: str, engine: str) -> Decimal | None:
    odd = _DATABASE_ODD.get(engine, {}).get(instance_class)
    if odd is not None:
        return odd
    family, _, size = instance_class.rpartition(".")
    large = _DATABASE_LARGE.get(engine, {}).get(family)
    factor = _factor(family.removeprefix("db."), size)
    return None if large is None or factor is None else large * factor


def _factor(family: str, size: str) -> Decimal | None:
    if family in _BURSTABLE and size in _SMALL_SIZES:
        return _SMALL_SIZES[size]
    return _SIZES.get(size)
