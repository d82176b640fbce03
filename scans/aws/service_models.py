"""What botocore knows of a service, cut down to what we ask it.

It makes a method for each operation and each client: 780 of EC2 in each of 17 regions, which took
two thirds of the time of making the clients of a scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session

# Of the services with hundreds; a client of these has no other methods.
OPERATIONS = {
    "ec2": frozenset(
        {
            "DescribeAddresses",
            "DescribeImages",
            "DescribeInstances",
            "DescribeNatGateways",
            "DescribeRegions",
            "DescribeSnapshots",
            "DescribeVolumes",
        }
    ),
    "rds": frozenset({"DescribeDBInstances", "DescribeDBSnapshots"}),
}


def cut_down(session: botocore.session.Session, service: str) -> None:
    """Leave out of the session's model of a service what we never ask for."""
    asked = OPERATIONS.get(service)
    if asked is None:
        return
    # The loader keeps what it has read, and clients are made of what it keeps. It keeps it by how
    # it was called: asked otherwise than clients ask, it adds the extras of a service once more,
    # to shapes that are no longer there.
    loader = session.get_component("data_loader")
    model = loader.load_service_model(service, "service-2", api_version=None)
    if model["operations"].keys() <= asked:
        return
    model["operations"] = {name: model["operations"][name] for name in sorted(asked)}
    shapes = model["shapes"]
    model["shapes"] = {name: shapes[name] for name in _reachable(model["operations"], shapes)}


def _reachable(operations: Mapping[str, Any], shapes: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = set(_named(operations))
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting.update(set(_named(shapes[name])) - found)
    return found


def _named(described: Any) -> Iterator[str]:
    """Names of shapes in a part of a model."""
    if isinstance(described, dict):
        for key, value in described.items():
            if key == "shape" and isinstance(value, str):
                yield value
            else:
                yield from _named(value)
    elif isinstance(described, list):
        for value in described:
            yield from _named(value)
