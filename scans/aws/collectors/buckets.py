"""S3 buckets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import (
    BUCKET,
    PAGE_SIZE,
    Collector,
    Detail,
    Details,
    ResourceRow,
    instant_text,
    tags_of,
)
from scans.aws.errors import error_code

ENABLED = "Enabled"
UPLOADS_COUNTED = 1000  # one page of S3; more are "at least so many"

LIFECYCLE = Detail("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration")
UPLOADS = Detail("ListMultipartUploads", "s3:ListBucketMultipartUploads")
TAGS = Detail("GetBucketTagging", "s3:GetBucketTagging")


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's buckets, one list a page.

    S3 lists all regions' buckets to who asks at large; asked for a region by that region's own
    endpoint it answers for that alone, so buckets are units like everything else, and a region
    that is denied hides no other.

    Spec: region, created_at, and from the details, each null while unknown: lifecycle_rules (how
    many are enabled), aborts_uploads (a rule ends incomplete uploads), incomplete_uploads (at
    most 1,000 are counted), oldest_upload_at.
    """
    pages = client.get_paginator("list_buckets").paginate(
        BucketRegion=region, PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        if rows := [bucket_row(bucket, region) for bucket in page.get("Buckets") or ()]:
            yield rows


def bucket_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    name = str(described["Name"])
    return ResourceRow(
        region=region,
        resource_id=name,
        kind=BUCKET,
        name=name,
        state="available",
        spec={
            "region": region,
            "created_at": instant_text(described.get("CreationDate")),
            "lifecycle_rules": None,
            "aborts_uploads": None,
            "incomplete_uploads": None,
            "oldest_upload_at": None,
        },
    )


def enrich(
    client: AwsClient, rows: Sequence[ResourceRow], details: Details
) -> Sequence[ResourceRow]:
    """The rows with their tags, lifecycle and incomplete uploads."""
    return [_enriched(client, row, details) for row in rows]


def _enriched(client: AwsClient, row: ResourceRow, details: Details) -> ResourceRow:
    bucket = row.resource_id
    rules = details.ask(LIFECYCLE, partial(_lifecycle_rules, client, bucket))
    uploads = details.ask(UPLOADS, partial(_oldest_first, client, bucket))
    tags = details.ask(TAGS, partial(_bucket_tags, client, bucket))
    known: dict[str, Any] = {}
    if rules is not None:
        known["lifecycle_rules"] = len(rules)
        known["aborts_uploads"] = any("AbortIncompleteMultipartUpload" in r for r in rules)
    if uploads is not None:
        known["incomplete_uploads"] = len(uploads)
        known["oldest_upload_at"] = instant_text(uploads[0]) if uploads else None
    return replace(row, tags=tags or {}, spec=row.spec | known)


def _lifecycle_rules(client: AwsClient, bucket: str) -> list[Mapping[str, Any]]:
    try:
        answer = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    except ClientError as error:
        if error_code(error) == "NoSuchLifecycleConfiguration":
            return []
        raise
    return [rule for rule in answer.get("Rules", ()) if rule.get("Status") == ENABLED]


def _oldest_first(client: AwsClient, bucket: str) -> list[datetime]:
    answer = client.list_multipart_uploads(Bucket=bucket, MaxUploads=UPLOADS_COUNTED)
    return sorted(upload["Initiated"] for upload in answer.get("Uploads") or ())


def _bucket_tags(client: AwsClient, bucket: str) -> dict[str, str]:
    try:
        answer = client.get_bucket_tagging(Bucket=bucket)
    except ClientError as error:
        if error_code(error) == "NoSuchTagSet":
            return {}
        raise
    return tags_of({"Tags": answer["TagSet"]})


COLLECTOR = Collector(
    service="s3",
    call="ListBuckets",
    kind=BUCKET,
    iam_action="s3:ListAllMyBuckets",
    collect=collect,
    details=(LIFECYCLE, UPLOADS, TAGS),
    enrich=enrich,
)
