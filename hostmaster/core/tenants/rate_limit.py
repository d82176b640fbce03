"""How often an API token may be used: a token bucket kept in the token's own row.

The bucket is one instant, `bucket_full_at`: each request takes one drop and so moves the instant
on by `60 / API_RATE_PER_MINUTE` seconds; time fills it by passing. A request is refused when the
instant lies so far ahead that no drop is left. One UPDATE decides and takes, on either database
and for any number of web processes; the database's clock is the only one asked.
"""

from __future__ import annotations

import math
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from hostmaster.core.clock import DatabaseNow, database_now
from hostmaster.core.tenants.models import ApiToken


class RateLimitedError(Exception):
    """Too many requests with this token; `retry_after` seconds from now there is room again."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"Too many requests with this token; try again in {retry_after} s.")


def spend_request(token: ApiToken) -> None:
    """Take one request from the token's bucket and note its use. Raises `RateLimitedError`."""
    per_minute = int(settings.API_RATE_PER_MINUTE)
    drop = timedelta(seconds=60 / per_minute)
    # With a burst of one minute's requests, a drop is left while the bucket lacks at most n - 1.
    lacking_at_most = drop * (per_minute - 1)
    taken = ApiToken.objects.filter(
        pk=token.pk, bucket_full_at__lte=database_now(lacking_at_most)
    ).update(
        bucket_full_at=Greatest(F("bucket_full_at"), DatabaseNow()) + drop,
        last_used_at=DatabaseNow(),
    )
    if not taken:
        raise RateLimitedError(_seconds_until_a_drop(token, lacking_at_most))


def _seconds_until_a_drop(token: ApiToken, lacking_at_most: timedelta) -> int:
    token.refresh_from_db(fields=["bucket_full_at"])
    wait = token.bucket_full_at - lacking_at_most - timezone.now()
    return max(1, math.ceil(wait.total_seconds()))
