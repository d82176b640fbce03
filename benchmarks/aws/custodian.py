"""Cloud Custodian in a virtual environment of its own, on policies like our four collectors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.aws.estate import REGIONS

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements-aws.txt"
INSTALL_SECONDS = 300

# All instances and databases; of volumes and addresses those that nobody uses.
POLICIES = """
policies:
  - name: instances
    resource: aws.ec2
  - name: volumes
    resource: aws.ebs
    filters: [{Attachments: []}]
  - name: addresses
    resource: aws.elastic-ip
    filters: [{AssociationId: absent}]
  - name: databases
    resource: aws.rds
"""


class CustodianMissingError(Exception):
    """Cloud Custodian could not be installed."""


def install(folder: Path) -> Path:
    """Its program. Raises `CustodianMissingError` with pip's words."""
    environment = folder / "custodian"
    pip = [str(environment / "bin" / "pip"), "install", "-q", "-r", str(REQUIREMENTS)]
    for command in ([sys.executable, "-m", "venv", str(environment)], pip):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise CustodianMissingError(f"{CustodianMissingError.__doc__} {error}") from None
        if done.returncode:
            raise CustodianMissingError(f"{CustodianMissingError.__doc__} {done.stderr[-500:]}")
    return environment / "bin" / "custodian"


def command(program: Path, folder: Path) -> list[str]:
    """One run over all regions that reads no cache of an earlier one and changes nothing."""
    policies = folder / "policies.yml"
    policies.write_text(POLICIES)
    regions = [word for region in REGIONS for word in ("--region", region)]
    options = ["--cache-period", "0", "--dryrun", "--quiet", "--output-dir", str(output(folder))]
    return [str(program), "run", *options, *regions, str(policies)]


def output(folder: Path) -> Path:
    return folder / "custodian-output"


def hits(folder: Path) -> int:
    """What its policies matched."""
    found = output(folder).glob("**/resources.json")
    return sum(len(json.loads(path.read_text())) for path in found)
