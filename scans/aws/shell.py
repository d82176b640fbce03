"""The AWS login of the shell a command was started in: used in its process, kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hostmaster.core.jobs.retry import PermanentError
from scans.aws.clients import CallerIdentity, open_session
from scans.aws.errors import NO_CREDENTIALS_ERRORS, CredentialsRefusedError, refusal_reason

_is_lent: ContextVar[bool] = ContextVar("shell_login_is_lent", default=False)


class ShellLoginGoneError(PermanentError):
    """This scan uses the AWS login of the shell it was started in: start it there again, with
    manage.py run_scan --current-credentials."""


@contextmanager
def lent_shell_login() -> Iterator[None]:
    """A scan run within may use this process's AWS login. A worker never lends its own: it may be
    logged in to an account of somebody else."""
    token = _is_lent.set(True)
    try:
        yield
    finally:
        _is_lent.reset(token)


def ensure_lent() -> None:
    """Raises `ShellLoginGoneError`."""
    if not _is_lent.get():
        raise ShellLoginGoneError(" ".join(str(ShellLoginGoneError.__doc__).split()))


def shell_identity() -> CallerIdentity:
    """Whom this shell is logged in to AWS as. Raises `CredentialsRefusedError`, or AWS's error
    when AWS could not be asked."""
    try:
        with open_session(None, name="shell") as session:
            return session.caller_identity()
    except NO_CREDENTIALS_ERRORS as error:  # a profile that does not exist, before AWS is asked
        raise CredentialsRefusedError(refusal_reason(error)) from None
