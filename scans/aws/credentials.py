"""What proves to AWS who we are: access keys, or a role to assume. Neither shows its secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class AwsCredentials:
    """An access key pair, with a session token when it is temporary."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return "AwsCredentials(***)"


@dataclass(frozen=True, repr=False)
class RoleToAssume:
    """A customer's role; `external_id` is ours, one an account, and guards against the confused
    deputy."""

    role_arn: str
    external_id: str

    def __repr__(self) -> str:
        return f"RoleToAssume({self.role_arn})"

    @property
    def account_id(self) -> str:
        """The account number in arn:aws:iam::123456789012:role/name, or an empty text."""
        parts = self.role_arn.split(":")
        return parts[4] if len(parts) > 4 else ""
