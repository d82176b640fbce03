from __future__ import annotations

import os
from datetime import timedelta

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import AppRegistry, JobKind

LANE = Lane(os.environ["BENCHMARK_LANE"])

REGISTRY = AppRegistry(
    jobs=(
        JobKind(
            model="ours.Noop",
            kind="noop",
            handler="benchmarks.ours.work.handle_noop",
            lane=LANE,
            deadline=timedelta(seconds=60),
        ),
    )
)
