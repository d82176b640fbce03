"""An AWS account on this machine, for trying the product and for its tests; costs nothing.

`start_simulator()` starts the server (moto, from requirements-simulator.txt) as a process of its
own, `seed_demo()` puts a small account into it, the same one each time.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from django.conf import settings

from scans.aws.clients import AwsClient
from scans.aws.credentials import AwsCredentials
from scans.aws.simulator_costs import COSTS_PATH

# Any keys open the simulator, and these open nothing else.
SIMULATED_KEYS = AwsCredentials("SIMULATEDACCOUNT0001", "simulated-secret-of-no-real-account")
SIMULATED_ACCOUNT_ID = "123456789012"
DEMO_REGIONS = ("us-east-1", "eu-west-1", "eu-central-1")
DEMO_AGE = timedelta(days=30)
_DAY = timedelta(days=1)

START_SECONDS = 60  # moto imports for 2 s on a quiet machine
_IMAGE_ID = "ami-0abcdef1234567890"
# Its environment holds nothing of ours: no database, no keys.
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")


class SimulatorError(Exception):
    """The AWS simulator does not run."""


class Simulator:
    """A running simulator. It ends with `stop()`, or with the process that started it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._port = port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def reset(self) -> None:
        """Forget everything in every account."""
        _post(self.endpoint_url, "/moto-api/reset")

    def wait_until_ready(self, seconds: float) -> None:
        """Raises `SimulatorError`."""
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            if self._process.poll() is not None:
                raise SimulatorError(
                    f"The AWS simulator ended with code {self._process.returncode} at once."
                )
            try:
                self.reset()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise SimulatorError(f"The AWS simulator did not answer within {seconds:.0f} s.")


def start_simulator(port: int = 0, *, age: timedelta = DEMO_AGE) -> Simulator:
    """Start a simulator on loopback, on a free port by default, and wait until it answers.

    What is created in it looks `age` old. Raises `SimulatorError`.
    """
    if find_spec("moto") is None:
        raise SimulatorError(
            "The AWS simulator is not installed: pip install -r requirements-simulator.txt"
        )
    port = port or _free_port()
    process = subprocess.Popen(  # noqa: S603 our own module and numbers
        [sys.executable, "-m", "scans.aws.simulator_server", str(port), str(age / _DAY)],
        cwd=settings.BASE_DIR,
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        | {"MOTO_EC2_LOAD_DEFAULT_AMIS": "false"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # a line a request
    )
    simulator = Simulator(process, port)
    try:
        simulator.wait_until_ready(START_SECONDS)
    except BaseException:
        simulator.stop()
        raise
    return simulator


@dataclass(frozen=True)
class Machine:
    """One instance of the demo, with its root volume."""

    name: str
    instance_type: str
    volume_type: str
    size_gb: int


@dataclass(frozen=True)
class Seeded:
    """How much of each there is."""

    instances: int
    volumes: int
    unattached_volumes: int
    addresses: int
    unassociated_addresses: int


_MACHINES = {
    "us-east-1": (
        *(Machine(f"web-{n}", "t3.medium", "gp3", 30) for n in range(1, 5)),
        *(Machine(f"api-{n}", "m5.large", "gp2", 100) for n in range(1, 4)),
        Machine("database", "r5.2xlarge", "gp2", 1000),
        Machine("build", "c5.4xlarge", "gp2", 200),
    ),
    "eu-west-1": (
        *(Machine(f"shop-{n}", "t3.large", "gp2", 50) for n in range(1, 5)),
        Machine("search-1", "m6g.xlarge", "gp3", 500),
        Machine("search-2", "m6g.xlarge", "gp3", 500),
        Machine("bastion", "t3.micro", "gp2", 8),
    ),
    "eu-central-1": (
        Machine("reports", "r6i.xlarge", "gp2", 300),
        Machine("staging-web", "t3.small", "gp2", 20),
        Machine("staging-db", "m5.xlarge", "gp2", 200),
        Machine("experiment", "c6i.2xlarge", "gp3", 100),
    ),
}
_STOPPED = frozenset({"experiment", "build"})
# Left behind: name, type and size.
_LEFT_VOLUMES = {
    "us-east-1": (("old-database", "gp2", 500), ("build-cache", "gp3", 200)),
    "eu-west-1": (("shop-backup", "gp2", 250), ("migration", "io1", 100)),
    "eu-central-1": (("reports-2024", "st1", 1000),),
}
_LEFT_ADDRESSES = {"us-east-1": 2, "eu-west-1": 1, "eu-central-1": 1}
_ADDRESS_OF = {"us-east-1": "web-1", "eu-west-1": "bastion", "eu-central-1": "staging-web"}


def seed_demo(endpoint_url: str) -> Seeded:
    """Empty the simulator and put the demo account into it, with the same ids each time, so that
    the next start finds the resources the last scan stored."""
    _post(endpoint_url, "/moto-api/reset")
    _post(endpoint_url, COSTS_PATH)
    core = botocore.session.get_session()
    core.set_credentials(SIMULATED_KEYS.access_key_id, SIMULATED_KEYS.secret_access_key)
    for number, region in enumerate(DEMO_REGIONS):
        # No session of a scan: its clients only read.
        config = Config(proxies={})
        client = core.create_client("ec2", region, endpoint_url=endpoint_url, config=config)
        # A region makes its default network when first asked, with ids of the same source.
        client.describe_vpcs()
        _post(endpoint_url, f"/moto-api/seed?a={7 + number}")
        _seed_region(client, region)
        client.close()
    machines = sum(len(_MACHINES[region]) for region in DEMO_REGIONS)
    left_volumes = sum(len(_LEFT_VOLUMES[region]) for region in DEMO_REGIONS)
    left_addresses = sum(_LEFT_ADDRESSES[region] for region in DEMO_REGIONS)
    return Seeded(
        instances=machines,
        volumes=machines + left_volumes,
        unattached_volumes=left_volumes,
        addresses=left_addresses + len(_ADDRESS_OF),
        unassociated_addresses=left_addresses,
    )


def _seed_region(client: AwsClient, region: str) -> None:
    ids = {machine.name: _run(client, machine) for machine in _MACHINES[region]}
    if stopped := [instance_id for name, instance_id in ids.items() if name in _STOPPED]:
        client.stop_instances(InstanceIds=stopped)
    for name, volume_type, size_gb in _LEFT_VOLUMES[region]:
        client.create_volume(
            AvailabilityZone=f"{region}a",
            VolumeType=volume_type,
            Size=size_gb,
            TagSpecifications=_name_tag("volume", name),
            **({"Iops": 3000} if volume_type == "io1" else {}),
        )
    address = client.allocate_address(Domain="vpc")
    client.associate_address(
        InstanceId=ids[_ADDRESS_OF[region]], AllocationId=address["AllocationId"]
    )
    for _ in range(_LEFT_ADDRESSES[region]):
        client.allocate_address(Domain="vpc")


def _run(client: AwsClient, machine: Machine) -> str:
    disk = {"VolumeSize": machine.size_gb, "VolumeType": machine.volume_type}
    answer = client.run_instances(
        ImageId=_IMAGE_ID,
        InstanceType=machine.instance_type,
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": disk}],
        TagSpecifications=_name_tag("instance", machine.name),
    )
    return str(answer["Instances"][0]["InstanceId"])


def _name_tag(resource_type: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": resource_type, "Tags": [{"Key": "Name", "Value": name}]}]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _post(endpoint_url: str, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=30)
    try:
        connection.request("POST", path)
        connection.getresponse().read()
    finally:
        connection.close()
