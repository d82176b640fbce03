"""Reads the XML of EC2, RDS and the load balancers as botocore does, in half the time.

botocore looks for each of the 60 things an instance may have; this goes through those it has.
Whatever is not plain (errors, attributes, headers, flattened or repeated elements) is left to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias
from xml.etree.ElementTree import Element

from botocore.parsers import EC2QueryParser, QueryParser, ResponseParserFactory

from scans.aws.answers import instant

# botocore's Shape: it ships no types.
Shape: TypeAlias = Any
Read: TypeAlias = Callable[[Shape, Element], Any]
# What an element's tag stands for: the member's name, its shape, how it is read.
Plan: TypeAlias = dict[str, tuple[str, Shape, Read] | None]


class _Planned(QueryParser):  # type: ignore[misc]  # botocore ships no types
    """Knows after the first element of a shape where all others have what."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._plans: dict[Shape, Plan | None] = {}
        self._reading = threading.Lock()

    def parse(self, response: dict[str, Any], shape: Shape) -> Any:
        # Python reads one at a time anyway; this way one alone is in memory, ten times its text.
        with self._reading:
            return super().parse(response, shape)

    def _handle_structure(self, shape: Shape, node: Any) -> Any:
        if shape not in self._plans:
            self._plans[shape] = self._plan(shape)
        plan = self._plans[shape]
        if plan is None or isinstance(node, list):
            return super()._handle_structure(shape, node)
        parsed: dict[str, Any] = {}
        for element in node:
            tag = element.tag
            if tag not in plan:
                plan[tag] = plan.get(self._node_tag(element))  # with its namespace
            member = plan[tag]
            if member is None:
                continue  # newer than botocore
            name, member_shape, read = member
            if name in parsed:
                return super()._handle_structure(shape, node)
            parsed[name] = read(member_shape, element)
        return parsed

    def _handle_list(self, shape: Shape, node: Any) -> Any:
        if shape.serialization.get("flattened"):
            return super()._handle_list(shape, node)
        member = shape.member
        read = self._reader(member)
        return [read(member, element) for element in node]

    def _plan(self, shape: Shape) -> Plan | None:
        """`None`: not plain."""
        if shape.metadata.get("exception") or shape.is_tagged_union:
            return None
        plan: Plan = {}
        for name, member in shape.members.items():
            how = member.serialization
            if how.keys() & {"location", "eventheader", "xmlAttribute", "flattened"}:
                return None
            plan[how.get("name", name)] = (name, member, self._reader(member))
        return plan

    def _reader(self, shape: Shape) -> Read:
        if shape.type_name in {"string", "character"}:
            return _text
        handle: Read = getattr(self, f"_handle_{shape.type_name}")
        return handle


def _text(_: Shape, element: Element) -> str:
    return element.text or ""


class _PlannedEc2(_Planned, EC2QueryParser):  # type: ignore[misc]  # botocore ships no types
    """The same in EC2's form of the protocol."""


class AnswerParsers(ResponseParserFactory):  # type: ignore[misc]  # botocore ships no types
    """The parsers of one session, one a protocol: botocore's own makes one for each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.set_parser_defaults(timestamp_parser=instant)
        self._made: dict[str, Any] = {}

    def create_parser(self, protocol_name: str) -> Any:
        if protocol_name not in self._made:
            planned = {"query": _Planned, "ec2": _PlannedEc2}.get(protocol_name)
            made = planned(**self._defaults) if planned else super().create_parser(protocol_name)
            self._made[protocol_name] = made
        return self._made[protocol_name]
