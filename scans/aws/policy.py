"""What a customer's AWS account has to grant us: printed, never applied by ourselves."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.conf import settings

from scans.aws.collectors.all import COLLECTORS
from scans.aws.costs.explorer import QUESTIONS
from scans.aws.prices.store import IAM_ACTION as PRICES_ACTION
from scans.aws.regions import DESCRIBE_REGIONS
from scans.aws.usage import IAM_ACTIONS as METRICS_ACTIONS
from scans.models import Account

Document: TypeAlias = dict[str, Any]  # what JSON can hold

VERSION = "2012-10-17"
READ_ROLE, EXECUTION_ROLE = "hostmaster-scan", "hostmaster-execution"
# AWS takes a policy with this in it for malformed: nobody is let in by mistake.
NO_PRINCIPAL = "PUT-THE-ARN-OF-HOSTMASTERS-OWN-ROLE-HERE"
PRINCIPAL_PATTERN = r"arn:aws[a-z-]*:(iam::\d{12}:(role|user)/[\w+=,.@/-]+|iam::\d{12}:root)"

SNAPSHOT = "ec2:CreateSnapshot"
_RESIZE = ("ec2:ModifyInstanceAttribute", "ec2:StartInstances", "ec2:StopInstances")
# What carrying out a rule's recommendation takes, by rule. Scans never need it and never get it:
# their sessions are limited to reading. Left out: what a tag cannot limit (buckets' lifecycles),
# what binds for years (commitments), what needs another image (Graviton).
CHANGES: dict[str, tuple[str, ...]] = {
    "ec2.idle": ("ec2:StopInstances",),
    "ec2.stopped_ebs": (SNAPSHOT, "ec2:DeleteVolume"),
    "ec2.rightsize": _RESIZE,
    "ec2.schedule": ("ec2:StartInstances", "ec2:StopInstances"),
    "prev_gen": _RESIZE,
    "ebs.unattached": (SNAPSHOT, "ec2:DeleteVolume"),
    "ebs.low_io": ("ec2:ModifyVolume",),
    "ebs.gp2_gp3": ("ec2:ModifyVolume",),
    "ebs.snapshot_old": ("ec2:DeleteSnapshot",),
    "eip.unassociated": ("ec2:ReleaseAddress",),
    "rds.idle": ("rds:StopDBInstance",),
    "rds.oversize": ("rds:ModifyDBInstance",),
    "rds.snapshot": ("rds:DeleteDBSnapshot",),
    "nat.idle": ("ec2:DeleteNatGateway",),
    "elb.idle": ("elasticloadbalancing:DeleteLoadBalancer",),
}
# Only what its owner marked may be changed.
CONSENT_TAG, CONSENT_VALUE = "hostmaster", "managed"


@dataclass(frozen=True)
class Onboarding:
    """Everything to set up in one account, and what to mind about it."""

    trust_policy: Document
    read_policy: Document
    cloudformation: Document
    execution_policy: Document | None
    notes: tuple[str, ...]


def onboarding_of(account: Account, *, with_execution: bool = False) -> Onboarding:
    """What the account's owner has to set up. `with_execution`: a second role, for changes."""
    changes = execution_policy(_partition(account)) if with_execution else None
    return Onboarding(
        trust_policy=trust_policy(account.external_id),
        read_policy=read_policy(),
        cloudformation=cloudformation(account.external_id, changes),
        execution_policy=changes,
        notes=_notes(with_execution=with_execution),
    )


def required_actions() -> tuple[str, ...]:
    """Each IAM action a scan's calls need, in order: the one list of them."""
    return tuple(
        sorted(
            {
                *(action for collector in COLLECTORS for action in collector.iam_actions),
                *(question.iam_action for question in QUESTIONS),
                *METRICS_ACTIONS,
                DESCRIBE_REGIONS,
                PRICES_ACTION,
            }
        )
    )


def read_policy() -> Document:
    """Least privilege. Lists and descriptions of a whole account know no narrower resource."""
    return _allow("HostmasterReads", required_actions())


def execution_policy(partition: str = "aws") -> Document:
    """What carrying recommendations out takes, on resources tagged for it."""
    actions = sorted({action for actions in CHANGES.values() for action in actions})
    tagged = {"StringEquals": {f"aws:ResourceTag/{CONSENT_TAG}": CONSENT_VALUE}}
    policy = _allow("HostmasterChangesWhatIsTagged", [a for a in actions if a != SNAPSHOT])
    policy["Statement"][0]["Condition"] = tagged
    # A new snapshot has no tag yet; its volume does.
    arn = f"arn:{partition}:ec2:*"
    policy["Statement"] += [
        {
            "Sid": "HostmasterKeepsASnapshot",
            "Effect": "Allow",
            "Action": [SNAPSHOT],
            "Resource": f"{arn}:*:volume/*",
            "Condition": tagged,
        },
        {
            "Sid": "HostmasterMakesSnapshots",
            "Effect": "Allow",
            "Action": [SNAPSHOT],
            "Resource": f"{arn}::snapshot/*",
        },
    ]
    return policy


def trust_policy(external_id: str, *, principal: Any = None) -> Document:
    """Our identity alone may assume the role, and only for the account of this external id."""
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": principal or principal_arn() or NO_PRINCIPAL},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
            }
        ],
    }


def principal_arn() -> str:
    """Whom the roles let in: `AWS_PRINCIPAL_ARN`, or an empty text when it is not one."""
    arn = str(settings.AWS_PRINCIPAL_ARN)
    return arn if re.fullmatch(PRINCIPAL_PATTERN, arn, re.ASCII) else ""


def cloudformation(external_id: str, changes: Document | None = None) -> Document:
    """A template that makes the role, with `changes` a second one, and tells the ARN to enter."""
    parameter: Document = {
        "Type": "String",
        "AllowedPattern": PRINCIPAL_PATTERN,
        "Description": "The role or user hostmaster itself runs as in AWS.",
    }
    if arn := principal_arn():
        parameter["Default"] = arn
    template: Document = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Lets hostmaster read what this account holds, uses and costs.",
        "Parameters": {"PrincipalArn": parameter},
        "Resources": {"ScanRole": _role(READ_ROLE, external_id, read_policy())},
        "Outputs": {"ScanRoleArn": {"Value": {"Fn::GetAtt": ["ScanRole", "Arn"]}}},
    }
    if changes is not None:
        role = _role(EXECUTION_ROLE, external_id, changes)
        template["Resources"]["ExecutionRole"] = role
        output = {"Value": {"Fn::GetAtt": ["ExecutionRole", "Arn"]}}
        template["Outputs"]["ExecutionRoleArn"] = output
    return template


def as_json(document: Document) -> str:
    return json.dumps(document, indent=2)


def _partition(account: Account) -> str:
    """Of arn:aws-us-gov:iam::…: `aws-us-gov`."""
    return (account.role_arn or principal_arn() or "arn:aws").split(":")[1]


def _allow(sid: str, actions: Any) -> Document:
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"Version": VERSION, "Statement": [statement]}


def _role(name: str, external_id: str, policy: Document) -> Document:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "MaxSessionDuration": 3600,
            "AssumeRolePolicyDocument": trust_policy(
                external_id, principal={"Ref": "PrincipalArn"}
            ),
            "Policies": [{"PolicyName": name, "PolicyDocument": policy}],
        },
    }


def _notes(*, with_execution: bool) -> tuple[str, ...]:
    notes = []
    if not principal_arn():
        notes.append(
            "AWS_PRINCIPAL_ARN is not set, so nobody is let in yet: put the ARN of the role or "
            f"user hostmaster runs as in AWS in the place of {NO_PRINCIPAL}; the CloudFormation "
            "template asks for it as PrincipalArn."
        )
    if with_execution:
        notes.append(
            "Nothing is changed by this version: scans are limited to reading. The execution role "
            f"may change only what is tagged {CONSENT_TAG}={CONSENT_VALUE}."
        )
    return tuple(notes)
