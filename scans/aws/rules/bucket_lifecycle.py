"""s3.no_lifecycle: a large bucket that keeps everything in its dearest class for ever."""

from __future__ import annotations

from decimal import Decimal

from scans.aws.collectors.rows import BUCKET
from scans.aws.rules.finding import METRICS, Context, Finding, Item, Rule, label, usd
from scans.aws.rules.knowledge import NotKnownError, tells_unknown
from scans.aws.rules.saving import basis_of
from scans.models import Confidence, Effort

RULE_ID = "s3.no_lifecycle"
GIB = 1024**3
NEEDED = "s3:GetLifecycleConfiguration"


@tells_unknown(RULE_ID)
def judge(bucket: Item, context: Context) -> Finding | None:
    """A finding for a bucket of at least `min_size_gb` without any lifecycle rule.

    What a rule would save depends on how its objects are read, so the saving is a range from
    nothing to `max_saving_share` of the price: all of it in Standard-IA, and never read.
    """
    rules = bucket.spec.get("lifecycle_rules")
    if rules is None:
        raise NotKnownError("Its lifecycle rules could not be read.", NEEDED)
    if rules:
        return None
    size_gb = Decimal(str(_latest_size(context))) / GIB
    if size_gb < context.usd("min_size_gb"):
        return None
    price = context.prices.s3_gb(bucket.region)
    uploads = bucket.spec.get("incomplete_uploads")
    return Finding(
        rule=RULE_ID,
        region=bucket.region,
        resource_id=bucket.resource_id,
        title=f"Bucket {label(bucket)} has no lifecycle rules",
        saving_low_usd=Decimal(0),
        saving_high_usd=usd(size_gb * price.usd * context.usd("max_saving_share")),
        confidence=Confidence.LOW,
        exclusive_group=bucket.resource_id,
        action="Add rules: end incomplete uploads after a week, move what is rarely read to a "
        "cheaper class, delete what nobody needs.",
        risk="Reading from cheaper classes costs by the gigabyte, and each has a least age.",
        effort=Effort.MEDIUM,
        is_upper_bound=True,
        evidence={
            "size_gb": float(round(size_gb, 1)),
            "incomplete_uploads": "unknown" if uploads is None else uploads,
            "usd_per_gb": str(price.usd),
            "saving_share_at_most": str(context.params["max_saving_share"]),
            **basis_of(price),
        },
    )


def _latest_size(context: Context) -> float:
    """Bytes in all storage classes, on the last day that CloudWatch knows."""
    figures = context.metrics.get("bucket_size_bytes")
    if figures is None or not figures.datapoints:
        reason = context.unseen.get(METRICS) or "CloudWatch has no datapoints of bucket size."
        raise NotKnownError(reason, "one day of bucket size")
    days = [value for value in figures.daily or () if value is not None]
    size = days[-1] if days else figures.average
    if size is None:
        raise NotKnownError("The summary of bucket size is incomplete.")
    return size


RULE = Rule(
    id=RULE_ID,
    kind=BUCKET,
    title="Large bucket without lifecycle rules",
    judge=judge,
    # Standard-IA costs 0.0125 where Standard costs 0.023.
    defaults={"min_size_gb": 100, "max_saving_share": 0.45},
)
