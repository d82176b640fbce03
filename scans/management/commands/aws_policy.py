"""`manage.py aws_policy`: what an AWS account has to grant us, to read or to hand to AWS."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hostmaster.core.tenants.models import Tenant
from hostmaster.core.tenants.services import (
    TenantChoiceError,
    add_tenant_argument,
    default_tenant,
)
from scans.aws.policy import Document, Onboarding, as_json, onboarding_of
from scans.models import Account

WRONG_USE = 2

EXAMPLES = """
examples:
  manage.py aws_policy --account Production
  manage.py aws_policy --account Production --format cloudformation > hostmaster.json
  aws cloudformation deploy --stack-name hostmaster --template-file hostmaster.json \\
    --capabilities CAPABILITY_NAMED_IAM --parameter-overrides PrincipalArn=arn:aws:iam::...

formats:
  json            everything, as one object
  trust           the role's trust policy: our identity, with this account's external id
  policy          what the role may do (with --execution: what the second role may)
  cloudformation  a template that makes the role (with --execution: both)
"""


class Command(BaseCommand):
    help = "Print the role an AWS account has to make for us. Asks and changes nothing in AWS."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # keeps the examples' lines
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--account",
            required=True,
            metavar="NAME",
            help="an account, by name, UUID or AWS account number",
        )
        add_tenant_argument(parser)
        parser.add_argument(
            "--execution",
            action="store_true",
            help="also a second role, which may change what is tagged for it",
        )
        parser.add_argument(
            "--format", choices=tuple(FORMATS), default="json", help="default: json"
        )

    def handle(self, **options: Any) -> None:
        try:
            account = find_account(default_tenant(options["tenant"]), options["account"])
        except TenantChoiceError as error:
            raise CommandError(str(error), returncode=WRONG_USE) from error
        setup = onboarding_of(account, with_execution=options["execution"])
        # Stdout is for AWS or a file; what people should mind goes elsewhere.
        for note in setup.notes:
            self.stderr.write(note)
        self.stdout.write(as_json(FORMATS[options["format"]](setup)))


def find_account(tenant: Tenant, name: str) -> Account:
    """The tenant's account of this name, UUID or AWS account number. Raises `CommandError`."""
    own = Account.objects.filter(tenant=tenant)
    if (found := own.filter(name=name).first()) is not None:
        return found
    if (pk := as_uuid(name)) is not None and (found := own.filter(pk=pk).first()) is not None:
        return found
    numbered = list(own.filter(aws_account_id=name)[:2]) if name.strip() else []
    if len(numbered) == 1:
        return numbered[0]
    if numbered:
        message = f"Several accounts have the number {name}: give a name or a UUID."
        raise CommandError(message, returncode=WRONG_USE)
    names = ", ".join(repr(known) for known in own.values_list("name", flat=True)[:20])
    message = f"There is no account {name!r}. There is: {names or 'none yet'}."
    raise CommandError(message, returncode=WRONG_USE)


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def everything(setup: Onboarding) -> Document:
    documents = {
        "trust_policy": setup.trust_policy,
        "read_policy": setup.read_policy,
        "execution_policy": setup.execution_policy,
        "cloudformation": setup.cloudformation,
    }
    return {name: document for name, document in documents.items() if document is not None}


FORMATS: dict[str, Callable[[Onboarding], Document]] = {
    "json": everything,
    "trust": lambda setup: setup.trust_policy,
    "policy": lambda setup: setup.execution_policy or setup.read_policy,
    "cloudformation": lambda setup: setup.cloudformation,
}
