"""The verbs of the scans app, for admin, API, commands and other code."""

from __future__ import annotations

from scans.aws.costs.services import request_cost_refresh
from scans.aws.services import (
    add_account,
    connect_account,
    delete_account,
    edit_account,
    request_scan,
    request_scan_by_shell,
    request_scan_with_credentials,
)
from scans.urls.services import request_url_scan

__all__ = [
    "add_account",
    "connect_account",
    "delete_account",
    "edit_account",
    "request_cost_refresh",
    "request_scan",
    "request_scan_by_shell",
    "request_scan_with_credentials",
    "request_url_scan",
]
