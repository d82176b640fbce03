"""Credentials of an assumed role that end early: assumed once more, and the call repeated."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from botocore.credentials import CredentialProvider, Credentials, ReadOnlyCredentials

from scans.aws.credentials import AwsCredentials
from scans.aws.errors import AWS_ERRORS, EXPIRED_CODES, CredentialsRefusedError

_REPEATED = "hostmaster_repeated_for_expiry"


class RenewableCredentials(Credentials):  # type: ignore[misc] # botocore ships no types
    """Credentials that all clients of a session share, replaced in one step: a thread that signs
    meanwhile has either the old ones or the new ones, never half of each."""

    def __init__(self, credentials: AwsCredentials) -> None:
        self.replace(credentials)
        super().__init__(
            credentials.access_key_id,
            credentials.secret_access_key,
            credentials.session_token or None,
            method="hostmaster",
        )

    def __repr__(self) -> str:
        return "RenewableCredentials(***)"

    def replace(self, credentials: AwsCredentials) -> None:
        self._present = ReadOnlyCredentials(
            credentials.access_key_id,
            credentials.secret_access_key,
            credentials.session_token or None,
            None,
        )

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self._present

    def as_provider(self) -> CredentialProvider:
        return _Given(self)


class _Given(CredentialProvider):  # type: ignore[misc] # botocore ships no types
    """Where botocore finds the credentials it was given."""

    METHOD = "hostmaster"
    CANONICAL_NAME = "hostmaster"

    def __init__(self, credentials: RenewableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> RenewableCredentials:
        return self._credentials


class Renewal:
    """Assumes the role of a session once more when AWS says that its token has expired: once a
    session, and each call is repeated once, those included that were under way meanwhile."""

    def __init__(
        self, credentials: RenewableCredentials, assume: Callable[[], AwsCredentials]
    ) -> None:
        self._credentials = credentials
        self._assume = assume
        self._lock = threading.Lock()
        self._is_done = False
        self._is_refused = False

    def attach(self, client: Any) -> None:
        """Before botocore's own retries, which take an expired token for final."""
        client.meta.events.register_first("needs-retry", self._on_answer)

    def _on_answer(
        self, response: Any = None, request_dict: dict[str, Any] | None = None, **_: Any
    ) -> float | None:
        """Seconds to wait before the call is repeated; `None`: not because of us."""
        if response is None or request_dict is None:
            return None
        code = response[1].get("Error", {}).get("Code")
        context = request_dict["context"]
        if code not in EXPIRED_CODES or _REPEATED in context:
            return None
        context[_REPEATED] = True
        return 0.0 if self._renew() else None

    def _renew(self) -> bool:
        with self._lock:
            if not self._is_done:
                self._is_done = True
                try:
                    self._credentials.replace(self._assume())
                except (CredentialsRefusedError, *AWS_ERRORS):
                    self._is_refused = True  # the expiry itself says more to a person
            return not self._is_refused
