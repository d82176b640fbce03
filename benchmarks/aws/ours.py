"""One scan by the product, as a worker runs it: `python -m benchmarks.aws.ours VERB`.

`prepare` makes the tables and the account. `four` scans the same four kinds as the other
contestants, without metrics and Cost Explorer; `everything` is the scan as it is. Both go from a
waiting row through the engine, with storing, rules and settling; they answer in JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import django


def main(verb: str) -> None:
    started, cpu_started = time.monotonic(), time.process_time()
    if verb != "prepare":
        sys.argv[1:] = ["qcluster"]  # a worker loads neither the admin's pages nor the API
    django.setup()
    if verb == "prepare":
        prepare()
        return
    if verb == "four":
        leave_out_the_rest()
    answer = scan()
    answer["startup_seconds"] = time.monotonic() - started - answer["seconds"]
    answer["startup_cpu_seconds"] = time.process_time() - cpu_started - answer["cpu_seconds"]
    json.dump(answer, sys.stdout)


def prepare() -> None:
    from django.core.management import call_command

    from benchmarks.aws.estate import REGIONS
    from hostmaster.core.tenants.services import create_tenant
    from scans.aws.services import add_account
    from scans.aws.simulator import SIMULATED_KEYS

    call_command("migrate", verbosity=0)
    add_account(
        create_tenant("benchmark"),
        name="benchmark",
        access_key_id=SIMULATED_KEYS.access_key_id,
        secret_access_key=SIMULATED_KEYS.secret_access_key,
        regions=REGIONS,
    )


def leave_out_the_rest() -> None:
    """The handler is the product's own; only its list of collectors and its stages are shorter."""
    from scans.aws import runner, tasks
    from scans.aws.collectors import addresses, databases, instances, volumes

    class Inventory(runner.Scan):
        def _read_usage(self, regions: Any) -> None:
            """Custodian reads no metrics either."""

        def _read_costs(self) -> None:
            """Nor costs."""

    four = (instances.COLLECTOR, volumes.COLLECTOR, addresses.COLLECTOR, databases.COLLECTOR)
    vars(tasks).update(COLLECTORS=four, Scan=Inventory)


def scan() -> dict[str, Any]:
    from hostmaster.core.jobs import engine
    from scans.aws.services import request_scan
    from scans.models import Account, Instance, MetricSummary, Resource, ScanUnit

    job = request_scan(Account.objects.get(), requested_by="benchmark", ring=False)
    started, cpu_started = time.monotonic(), time.process_time()
    engine.run_job(job._meta.label, str(job.pk))
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    job.refresh_from_db()
    if job.state != job.State.COMPLETED:
        sys.exit(f"the scan is {job.state}: {job.errors}")
    units = ScanUnit.objects.filter(job=job).exclude(outcome="ok")
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "resources": Instance.objects.present().count() + Resource.objects.present().count(),
        "metrics": MetricSummary.objects.count(),
        "findings": job.summary["recommendations"]["open"],
        "not_ok": sorted({f"{unit.call}: {unit.outcome} {unit.error_code}" for unit in units}),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
