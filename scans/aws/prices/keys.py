"""How a price is named, the same in the database and in the built-in table."""

from __future__ import annotations

from scans.aws.prices.figures import PriceMissingError

EC2 = "ec2"  # "m5.large:linux"
EBS = "ebs"  # "gp3", "gp3:iops", "gp3:throughput", "io1:iops"; "snapshot"
RDS = "rds"  # "db.m5.large:mysql:single"
RDS_STORAGE = "rds_storage"  # "gp2:single", "io1:iops:multi", "aurora:single"; "snapshot"
LOAD_BALANCER = "elb"  # "application"
NAT = "nat"  # "hour"
ADDRESS = "ipv4"  # "hour"
S3 = "s3"  # "standard"

LINUX, WINDOWS = "linux", "windows"
SINGLE_AZ, MULTI_AZ = "single", "multi"

_SYSTEMS = {"": LINUX, "linux": LINUX, "linux/unix": LINUX, "windows": WINDOWS}
_ENGINES = {
    "mysql": "mysql",
    "mariadb": "mariadb",
    "postgres": "postgres",
    "postgresql": "postgres",
    "aurora": "aurora",
    "aurora-mysql": "aurora",
    "aurora mysql": "aurora",
    "aurora-postgresql": "aurora",
    "aurora postgresql": "aurora",
}


def instance_key(instance_type: str, platform: str) -> str:
    """Raises `PriceMissingError` for a licensed platform: its price is the licence's too."""
    system = _SYSTEMS.get(platform.lower())
    if system is None:
        raise PriceMissingError(f"There is no list price for the platform {platform!r}.")
    return f"{instance_type}:{system}"


def database_key(instance_class: str, engine: str, *, multi_az: bool) -> str:
    """Raises `PriceMissingError` for a licensed engine."""
    known = _ENGINES.get(engine.lower())
    if known is None:
        raise PriceMissingError(f"There is no list price for the engine {engine!r}.")
    # Aurora has no standby: each replica is an instance of its own.
    zones = MULTI_AZ if multi_az and known != "aurora" else SINGLE_AZ
    return f"{instance_class}:{known}:{zones}"


def storage_key(storage_type: str, *, multi_az: bool) -> str:
    return f"{storage_type}:{MULTI_AZ if multi_az else SINGLE_AZ}"
