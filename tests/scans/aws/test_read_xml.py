"""Our reading of XML answers beside botocore's own: the same, whatever is in them."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.parsers import ResponseParserError, ResponseParserFactory

from scans.aws.answers import instant
from scans.aws.collectors.all import COLLECTORS
from scans.aws.service_models import OPERATIONS, cut_down
from scans.aws.xml_answers import AnswerParsers

SESSION = botocore.session.get_session()
EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
INSTANCES = f"""<DescribeInstancesResponse xmlns="{EC2}"><requestId>r-1</requestId>
<reservationSet>
 <item><reservationId>r-2</reservationId><instancesSet>
  <item><instanceId>i-1</instanceId><instanceType>m5.large</instanceType><ebsOptimized>true</ebsOptimized>
   <instanceState><code>16</code><name>running</name></instanceState><reason/>
   <launchTime>2026-11-26T12:00:00.000Z</launchTime><newerThanWeKnow><a>1</a></newerThanWeKnow>
   <blockDeviceMapping>
    <item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId></ebs></item>
    <item><deviceName>/dev/xvdb</deviceName><ebs><volumeId>vol-2</volumeId></ebs></item>
   </blockDeviceMapping>
   <tagSet><item><key>Name</key><value>&lt;b&gt; ü
 line</value></item><item><key>empty</key><value/></item></tagSet>
  </item>
  <item><instanceId>i-2</instanceId><tagSet/><blockDeviceMapping/></item>
 </instancesSet></item>
</reservationSet><nextToken>more</nextToken></DescribeInstancesResponse>"""
# Not as AWS writes it: botocore takes the first of a structure, and so do we.
TWICE = f"""<DescribeInstancesResponse xmlns="{EC2}"><reservationSet><item><instancesSet><item>
<instanceId>i-1</instanceId><placement><availabilityZone>a</availabilityZone></placement>
<placement><availabilityZone>b</availabilityZone></placement></item></instancesSet></item>
</reservationSet></DescribeInstancesResponse>"""
DATABASES = """<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/">
<DescribeDBInstancesResult><Marker>next</Marker><DBInstances><DBInstance>
 <DBInstanceIdentifier>one</DBInstanceIdentifier><AllocatedStorage>100</AllocatedStorage>
 <MultiAZ>false</MultiAZ><InstanceCreateTime>2026-11-26T12:00:00Z</InstanceCreateTime>
 <ReadReplicaDBInstanceIdentifiers><ReadReplicaDBInstanceIdentifier>two</ReadReplicaDBInstanceIdentifier>
 </ReadReplicaDBInstanceIdentifiers><TagList><Tag><Key>a</Key><Value>b</Value></Tag></TagList>
</DBInstance></DBInstances></DescribeDBInstancesResult>
<ResponseMetadata><RequestId>r-3</RequestId></ResponseMetadata></DescribeDBInstancesResponse>"""
BALANCERS = """<DescribeLoadBalancersResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">
<DescribeLoadBalancersResult><LoadBalancers><member><LoadBalancerArn>arn</LoadBalancerArn>
 <State><Code>active</Code></State><AvailabilityZones><member><ZoneName>a</ZoneName></member></AvailabilityZones>
</member></LoadBalancers></DescribeLoadBalancersResult></DescribeLoadBalancersResponse>"""
REFUSED = b"""<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message>
</Error></Errors><RequestID>r-4</RequestID></Response>"""
REFUSED_BY_RDS = b"""<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error>
<Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>r-5</RequestId>
</ErrorResponse>"""


def both(service: str, call: str, body: bytes, status: int = 200) -> tuple[Any, Any]:
    model = SESSION.get_service_model(service)
    shape = model.operation_model(call).output_shape
    answer = {"body": body, "headers": {"A": "b"}, "status_code": status, "context": {}}
    theirs = ResponseParserFactory()
    theirs.set_parser_defaults(timestamp_parser=instant)
    protocol = model.resolved_protocol
    ours = AnswerParsers()
    return (
        ours.create_parser(protocol).parse(answer, shape),
        theirs.create_parser(protocol).parse(answer, shape),
    )


@pytest.mark.parametrize(
    ("service", "call", "body"),
    [
        ("ec2", "DescribeInstances", INSTANCES),
        ("ec2", "DescribeInstances", TWICE),
        ("ec2", "DescribeInstances", INSTANCES.replace(f' xmlns="{EC2}"', "")),
        ("rds", "DescribeDBInstances", DATABASES),
        ("elbv2", "DescribeLoadBalancers", BALANCERS),
        ("cloudwatch", "ListMetrics", '{"Metrics": [{"Namespace": "CWAgent"}]}'),
    ],
)
def test_reads_what_botocore_reads(service: str, call: str, body: str) -> None:
    ours, theirs = both(service, call, body.encode())
    assert ours == theirs
    assert set(ours) - {"ResponseMetadata"}


@pytest.mark.parametrize(
    ("service", "call", "body"),
    [
        ("ec2", "DescribeInstances", REFUSED),
        ("rds", "DescribeDBInstances", REFUSED_BY_RDS),
        ("ec2", "DescribeInstances", b""),
    ],
)
def test_reads_refusals_as_botocore_does(service: str, call: str, body: bytes) -> None:
    status = 403 if body else 503
    ours, theirs = both(service, call, body, status)
    assert ours == theirs
    assert ours["Error"]["Code"] in {"UnauthorizedOperation", "AccessDenied", "503"}


def test_half_an_answer_is_none() -> None:
    with pytest.raises(ResponseParserError):
        both("ec2", "DescribeInstances", INSTANCES[:400].encode())


def test_reads_a_second_answer_like_the_first() -> None:
    model = SESSION.get_service_model("ec2")
    shape = model.operation_model("DescribeInstances").output_shape
    parser = AnswerParsers().create_parser("ec2")
    answer = {"body": INSTANCES.encode(), "headers": {}, "status_code": 200, "context": {}}
    assert parser.parse(answer, shape) == parser.parse(answer, shape)


@pytest.mark.parametrize("service", sorted(OPERATIONS))
def test_a_service_that_is_cut_down_answers_as_the_whole_one(service: str) -> None:
    session = botocore.session.get_session()
    cut_down(session, service)
    cut_down(session, service)
    less, whole = session.get_service_model(service), SESSION.get_service_model(service)
    assert set(less.operation_names) == OPERATIONS[service]
    for name in less.operation_names:
        assert shapes_of(less, name) == shapes_of(whole, name)


def shapes_of(model: Any, operation: str) -> dict[str, Any]:
    """All that an operation takes and answers, by path."""
    found: dict[str, Any] = {}
    asked = model.operation_model(operation)
    waiting = [("in", asked.input_shape), ("out", asked.output_shape)]
    while waiting:
        path, shape = waiting.pop()
        if shape is None or path.count(".") > 12:
            continue
        found[path] = (shape.name, shape.type_name, shape.serialization, shape.metadata)
        members = shape.members if shape.type_name == "structure" else {}
        inner = {**members, "[]": shape.member} if shape.type_name == "list" else members
        waiting += [(f"{path}.{name}", member) for name, member in inner.items()]
    return found


def test_every_collectors_call_is_left() -> None:
    for collector in COLLECTORS:
        names = {collector.call, *(detail.call for detail in collector.details)}
        assert names <= OPERATIONS.get(collector.service, names), collector.call
