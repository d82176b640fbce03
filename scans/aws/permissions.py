"""What a scan asks AWS for, as IAM names it."""

from __future__ import annotations

import json
from functools import cache

# Every kind of read a scan makes, in few words: AWS takes 2,048 characters of session policy.
# A session may do what the role's own policy allows and this lists, so these wildcards add
# nothing to the role; they take writes away from a role that was given too much.
_READS = (
    "ec2:Describe*",
    "rds:Describe*",
    "rds:ListTagsForResource",
    "elasticloadbalancing:Describe*",
    "s3:ListAllMyBuckets",
    "s3:GetBucketLocation",
    "s3:GetBucketTagging",
    "s3:GetLifecycleConfiguration",
    "s3:ListBucketMultipartUploads",
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "ce:Describe*",
    "ce:Get*",
    "ce:List*",
    "pricing:DescribeServices",
    "pricing:GetAttributeValues",
    "pricing:GetProducts",
    "savingsplans:Describe*",
    "budgets:ViewBudget",
    "iam:SimulatePrincipalPolicy",
    "sts:GetCallerIdentity",
)

NOTHING_ALLOWED = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}],
    },
    separators=(",", ":"),
)


@cache
def session_policy() -> str:
    """The policy an assumed session is limited to: reading, whatever else the role may do."""
    statement = {"Effect": "Allow", "Action": list(_READS), "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return json.dumps(policy, separators=(",", ":"))
