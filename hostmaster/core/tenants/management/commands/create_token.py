"""`manage.py create_token`: a new API token, printed once."""

from __future__ import annotations

import json
from argparse import RawDescriptionHelpFormatter
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hostmaster.core.tenants.models import ApiToken, Role
from hostmaster.core.tenants.services import (
    TenantChoiceError,
    add_tenant_argument,
    create_token,
    default_tenant,
)

EXAMPLE = """
example:
  manage.py create_token CI --role operator --expires-days 90
  curl -H "Authorization: Bearer hm_…" http://127.0.0.1:8000/api/v1/accounts
"""


class Command(BaseCommand):
    help = "Create an API token and print it once; only its hash is kept."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLE, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # keeps the example's lines
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What will use it, such as CI.")
        add_tenant_argument(parser)
        parser.add_argument(
            "--role",
            choices=Role.values,
            default=Role.VIEWER.value,
            help="viewer reads, operator also writes, admin also forgets accounts "
            "(default: viewer).",
        )
        parser.add_argument("--expires-days", type=int, metavar="N", help="Default: never.")
        parser.add_argument("--json", action="store_true", help="One JSON object on stdout.")

    def handle(self, *args: Any, **options: Any) -> None:
        token = self._create(options)
        if options["json"]:
            self.stdout.write(json.dumps(_as_dict(token)))
            return
        self.stdout.write(token.plain_text)
        expiry = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "for ever"
        self.stderr.write(
            f"Token {token.name!r} of tenant {token.tenant.name!r}, role {token.role}, {expiry}. "
            "It is shown this once; keep it safe."
        )

    def _create(self, options: dict[str, Any]) -> ApiToken:
        days = options["expires_days"]
        if days is not None and not 1 <= days <= 36500:
            raise CommandError("--expires-days must be between 1 and 36500.", returncode=2)
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        try:
            tenant = default_tenant(options["tenant"])
            return create_token(tenant, options["name"], options["role"], expires_at=expires_at)
        except TenantChoiceError as error:
            raise CommandError(str(error), returncode=2) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages), returncode=2) from error


def _as_dict(token: ApiToken) -> dict[str, str | None]:
    return {
        "token": token.plain_text,
        "name": token.name,
        "tenant": token.tenant.name,
        "role": str(token.role),
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
    }
