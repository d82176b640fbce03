"""List prices: `PriceBook` asks the database's rows first and the built-in table second."""

from __future__ import annotations

from scans.aws.prices.book import BUILT_IN_BOOK, PriceBook
from scans.aws.prices.figures import (
    ADDRESS_MONTHLY_USD,
    FALLBACK_REGION,
    GP2_HIGHEST_IOPS,
    GP2_IOPS_PER_GB,
    GP3_FREE_IOPS,
    GP3_FREE_THROUGHPUT_MBPS,
    HOURS_PER_MONTH,
    PRICES_AS_OF,
    Basis,
    Price,
    PriceMissingError,
    VolumePrices,
    gp2_baseline_iops,
    gp3_extras_usd,
)

volume_prices = BUILT_IN_BOOK.volume
volume_monthly_usd = BUILT_IN_BOOK.volume_monthly_usd
instance_monthly_usd = BUILT_IN_BOOK.instance_monthly_usd

__all__ = [
    "ADDRESS_MONTHLY_USD",
    "BUILT_IN_BOOK",
    "FALLBACK_REGION",
    "GP2_HIGHEST_IOPS",
    "GP2_IOPS_PER_GB",
    "GP3_FREE_IOPS",
    "GP3_FREE_THROUGHPUT_MBPS",
    "HOURS_PER_MONTH",
    "PRICES_AS_OF",
    "Basis",
    "Price",
    "PriceBook",
    "PriceMissingError",
    "VolumePrices",
    "gp2_baseline_iops",
    "gp3_extras_usd",
    "instance_monthly_usd",
    "volume_monthly_usd",
    "volume_prices",
]
