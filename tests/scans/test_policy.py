"""What we ask a customer to grant: exactly what a scan calls, to us alone, by his external id."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django.fixtures import Settings

from hostmaster.core.jobs import engine
from scans.aws.clients import open_session
from scans.aws.permissions import session_policy
from scans.aws.policy import (
    CHANGES,
    NO_PRINCIPAL,
    PRINCIPAL_PATTERN,
    cloudformation,
    execution_policy,
    onboarding_of,
    read_policy,
    required_actions,
    trust_policy,
)
from scans.aws.prices.store import refresh_prices
from scans.aws.rules.all import RULES_BY_ID
from scans.aws.simulator import SIMULATED_KEYS, Simulator
from scans.models import Account
from scans.services import add_account, request_scan
from tests.api.caller import Caller
from tests.aws_simulator import estate
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.factories import make_account, make_tenant

REGION = "eu-west-1"
PRINCIPAL = "arn:aws:iam::210987654321:role/hostmaster"

# How IAM names a call, where it is not by the call's own name. From AWS's "Actions, resources, and
# condition keys" of each service.
SERVICES = {"monitoring": "cloudwatch", "elb": "elasticloadbalancing"}
SERVICES |= {"elbv2": "elasticloadbalancing"}
NAMES = {
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
# Every identity may ask who it is, whatever its policies say.
FREE = {"sts:GetCallerIdentity"}


def actions_of(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def iam_names(proxy: FaultProxy) -> set[str]:
    """What was called since the proxy last forgot, as IAM names it."""
    called = {f"{SERVICES.get(c.service, c.service)}:{c.action}" for c in proxy.calls}
    return {NAMES.get(call, call) for call in called} - FREE


def covers(patterns: Iterable[str], action: str) -> bool:
    return any(
        action == p or (p.endswith("*") and action.startswith(p.removesuffix("*")))
        for p in patterns
    )


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_the_policy_holds_every_call_of_a_scan_and_nothing_else(
    aws_simulator: Simulator, fault_proxy: FaultProxy
) -> None:
    estate.build(aws_simulator.endpoint_url, REGION)
    account = add_account(
        make_tenant(),
        name="a",
        access_key_id=SIMULATED_KEYS.access_key_id,
        secret_access_key=SIMULATED_KEYS.secret_access_key,
        regions=[REGION],
    )
    fault_proxy.forget_calls()
    job = request_scan(account, ring=False)
    assert engine.claim(job)
    engine.execute(job)
    job.refresh_from_db()
    assert job.state == "COMPLETED"
    with open_session(SIMULATED_KEYS) as session:
        refresh_prices(session, REGION)
    assert iam_names(fault_proxy) == actions_of(read_policy())


def test_sessions_are_limited_to_no_less_than_the_policy_grants() -> None:
    (statement,) = json.loads(session_policy())["Statement"]
    assert [a for a in required_actions() if not covers(statement["Action"], a)] == []


def test_the_read_policy_names_every_action_and_only_reads() -> None:
    for action in actions_of(read_policy()):
        assert re.fullmatch(r"[a-z0-9]+:(Describe|Get|List)[A-Za-z]+", action)


def test_the_trust_policy_lets_in_us_alone_for_this_account_alone(settings: Settings) -> None:
    settings.AWS_PRINCIPAL_ARN = PRINCIPAL
    assert trust_policy("hm-1") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": PRINCIPAL},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "hm-1"}},
            }
        ],
    }


@pytest.mark.parametrize("arn", ["", "*", "arn:aws:iam::*:root", "hostmaster"])
def test_without_a_principal_nobody_is_let_in_and_a_note_says_so(
    settings: Settings, arn: str
) -> None:
    settings.AWS_PRINCIPAL_ARN = arn
    setup = onboarding_of(Account(external_id="hm-1"))
    assert setup.trust_policy["Statement"][0]["Principal"] == {"AWS": NO_PRINCIPAL}
    assert not re.fullmatch(PRINCIPAL_PATTERN, NO_PRINCIPAL)
    assert "Default" not in setup.cloudformation["Parameters"]["PrincipalArn"]
    assert [note for note in setup.notes if "AWS_PRINCIPAL_ARN" in note]


def test_the_execution_role_changes_what_is_tagged_and_no_scan_gets_it() -> None:
    assert set(CHANGES) <= set(RULES_BY_ID)
    policy = execution_policy("aws-cn")
    assert actions_of(policy) == {action for actions in CHANGES.values() for action in actions}
    untagged = [s for s in policy["Statement"] if "Condition" not in s]
    assert [(s["Action"], s["Resource"]) for s in untagged] == [
        (["ec2:CreateSnapshot"], "arn:aws-cn:ec2:*::snapshot/*")
    ]
    (statement,) = json.loads(session_policy())["Statement"]
    assert not [a for a in actions_of(policy) if covers(statement["Action"], a)]
    assert not actions_of(read_policy()) & actions_of(policy)


@pytest.mark.services
def test_cloudformation_makes_the_roles(aws_simulator: Simulator) -> None:
    template = cloudformation("hm-1", execution_policy())
    stacks = estate.outside(aws_simulator.endpoint_url, "cloudformation", REGION)
    stacks.create_stack(
        StackName="hostmaster",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "PrincipalArn", "ParameterValue": PRINCIPAL}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (stack,) = stacks.describe_stacks(StackName="hostmaster")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    told = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert told["ScanRoleArn"].endswith(":role/hostmaster-scan")
    iam = estate.outside(aws_simulator.endpoint_url, "iam", REGION)
    role = iam.get_role(RoleName="hostmaster-scan")["Role"]
    assert role["AssumeRolePolicyDocument"] == trust_policy("hm-1", principal=PRINCIPAL)
    granted = iam.get_role_policy(RoleName="hostmaster-scan", PolicyName="hostmaster-scan")
    # The simulator writes an inline policy down as Python does.
    assert ast.literal_eval(granted["PolicyDocument"]) == read_policy()
    changes = iam.get_role_policy(
        RoleName="hostmaster-execution", PolicyName="hostmaster-execution"
    )
    assert ast.literal_eval(changes["PolicyDocument"]) == execution_policy()


def printed(*arguments: str) -> tuple[dict[str, Any], str]:
    out, notes = StringIO(), StringIO()
    call_command("aws_policy", *arguments, stdout=out, stderr=notes)
    return json.loads(out.getvalue()), notes.getvalue()


@pytest.mark.django_db
@pytest.mark.both_databases
def test_the_command_prints_what_aws_takes_and_notes_beside_it() -> None:
    account = make_account(name="Production", aws_account_id="123456789012")
    everything, notes = printed("--account", "Production")
    assert set(everything) == {"trust_policy", "read_policy", "cloudformation"}
    assert "AWS_PRINCIPAL_ARN is not set" in notes
    for known_as in (str(account.pk), "123456789012"):
        trust, _ = printed("--account", known_as, "--format", "trust")
        assert trust == trust_policy(account.external_id)
    policy, _ = printed("--account", "Production", "--format", "policy")
    assert policy == read_policy()
    template, notes = printed(
        *("--account", "Production", "--format", "cloudformation", "--execution")
    )
    assert set(template["Resources"]) == {"ScanRole", "ExecutionRole"}
    assert "Nothing is changed by this version" in notes
    changes, _ = printed("--account", "Production", "--format", "policy", "--execution")
    assert changes == execution_policy()


@pytest.mark.django_db
def test_the_command_knows_the_tenants_own_accounts_alone() -> None:
    mine, other = make_tenant(name="Mine"), make_tenant(name="Other")
    make_account(tenant=mine, name="Own")
    foreign = make_account(tenant=other, name="Foreign", aws_account_id="123456789012")
    with pytest.raises(CommandError, match="--tenant") as no_tenant:
        printed("--account", "Foreign")
    assert no_tenant.value.returncode == 2
    for name in ("Foreign", str(foreign.pk), "123456789012", ""):
        with pytest.raises(CommandError, match="There is: 'Own'") as unknown:
            printed("--account", name, "--tenant", "Mine")
        assert unknown.value.returncode == 2


@pytest.mark.django_db
def test_the_api_answers_the_policies_of_ones_own_account() -> None:
    caller = Caller()
    account = make_account(tenant=caller.tenant)
    told = caller.get(f"/accounts/{account.pk}/policy")
    assert told.status == 200
    assert told.body["trust_policy"] == trust_policy(account.external_id)
    assert (told.body["read_policy"], told.body["execution_policy"]) == (read_policy(), None)
    more = caller.get(f"/accounts/{account.pk}/policy?execution=true")
    assert more.body["execution_policy"] == execution_policy()
    assert caller.get(f"/accounts/{make_account(tenant=make_tenant()).pk}/policy").status == 404
