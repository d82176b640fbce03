"""Sessions and clients of AWS.

One botocore Session a scan, its clients made under a lock and shared by all threads: clients are
thread-safe, making them is not, and a Session a thread costs 0.8 s a client and five times the
memory (measured, 16 threads).
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialResolver
from django.conf import settings

from scans.aws import answers
from scans.aws.credentials import AwsCredentials, RoleToAssume
from scans.aws.errors import (
    AWS_ERRORS,
    DENIED_CODES,
    CredentialsRefusedError,
    OwnIdentityError,
    error_code,
    is_refusal,
    refusal_reason,
)
from scans.aws.permissions import NOTHING_ALLOWED, session_policy
from scans.aws.renewal import RenewableCredentials, Renewal
from scans.aws.service_models import cut_down
from scans.aws.throttle import Throttle, throttle_of
from scans.aws.xml_answers import AnswerParsers

# At DEBUG botocore writes whole requests, session token and signature included.
logging.getLogger("botocore").setLevel(logging.INFO)

DEFAULT_REGION = "us-east-1"
POOL_SIZE = 16  # threads of a scan; 32 were no faster
RETRY_MODE = "adaptive"
ROLE_SECONDS, SHORTEST_ROLE_SECONDS = 3600, 900
USER_AGENT = "hostmaster"

# botocore ships no types; the name says what the value is.
AwsClient: TypeAlias = Any

_SHARED = {
    "connect_timeout": 5,
    "max_pool_connections": POOL_SIZE,
    "user_agent_extra": USER_AGENT,
}
# Somebody waits for the answer to "are these keys good", so it comes within seconds.
_AWAITED = Config(
    read_timeout=10,
    retries={"mode": "standard", "max_attempts": 2},
    **_SHARED,
)
# A request to Cost Explorer costs 0.01 USD, each retry again; what fails is asked again by the next
# scan, or the next hour's look at prices.
_BILLED = Config(
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 2},
    **_SHARED,
)


@dataclass(frozen=True)
class CallerIdentity:
    """Whom AWS takes us for."""

    account_id: str
    arn: str


class AwsSession:
    """Clients of one AWS account, shared by the threads of a scan. Close it when done.

    `account_id` is known once `caller_identity()` was asked.
    """

    def __init__(
        self,
        session: botocore.session.Session,
        *,
        region: str,
        endpoint_url: str,
        throttle: Throttle,
        renewal: Renewal | None = None,
        is_awaited: bool = False,
    ) -> None:
        self.region = region
        self.account_id = ""
        self.throttle = throttle
        self._renewal = renewal
        self._session = session
        self._endpoint_url = endpoint_url
        self._is_awaited = is_awaited
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], AwsClient] = {}

    def __repr__(self) -> str:
        return f"AwsSession({self.region})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def client(self, service: str, region: str = "") -> AwsClient:
        """The shared client of a service in a region, this session's own by default."""
        region = region or self.region
        with self._lock:
            if (service, region) not in self._clients:
                client = _make_client(
                    self._session, service, region, self._endpoint_url, self._is_awaited
                )
                answers.attach(client)
                self.throttle.attach(client, region, service)
                if self._renewal is not None:
                    self._renewal.attach(client)
                self._clients[service, region] = client
            return self._clients[service, region]

    def caller_identity(self) -> CallerIdentity:
        """Whom AWS takes us for. Raises `CredentialsRefusedError`."""
        try:
            answer = self.client("sts").get_caller_identity()
        except AWS_ERRORS as error:
            if is_refusal(error):
                raise CredentialsRefusedError(refusal_reason(error)) from None
            raise
        self.account_id = str(answer["Account"])
        return CallerIdentity(account_id=self.account_id, arn=str(answer["Arn"]))

    def close(self) -> None:
        """Close all connections and forget the clients, and with them the credentials."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()


def open_session(
    source: AwsCredentials | RoleToAssume | None,
    *,
    region: str = DEFAULT_REGION,
    name: str = "check",
    account_id: str = "",
    endpoint_url: str = "",
    is_awaited: bool = False,
) -> AwsSession:
    """A session for keys, for a role (assumed here), or, with `None`, for whom the shell is
    logged in as.

    `name` ends the session name in the customer's CloudTrail, `account_id` lets all sessions of
    an account share one throttle. `is_awaited`: somebody waits, so calls give up within
    seconds. Raises `CredentialsRefusedError`.
    """
    endpoint_url = endpoint_url or settings.AWS_ENDPOINT_URL
    renewal = None
    if isinstance(source, RoleToAssume):
        account_id = account_id or source.account_id
        assume = partial(_assume, source, region=region, name=name, endpoint_url=endpoint_url)
        credentials = RenewableCredentials(assume())
        renewal = Renewal(credentials, assume)
        session = _core_session(credentials, region)
    else:
        session = _core_session(RenewableCredentials(source) if source else None, region)
    return AwsSession(
        session,
        region=region,
        endpoint_url=endpoint_url,
        throttle=throttle_of(account_id),
        renewal=renewal,
        is_awaited=is_awaited,
    )


def _core_session(
    credentials: RenewableCredentials | None, region: str
) -> botocore.session.Session:
    """A session of these credentials, or of whoever the shell is logged in as."""
    core = botocore.session.get_session()
    core.register_component("response_parser_factory", AnswerParsers())
    if credentials is not None:
        given = CredentialResolver([credentials.as_provider()])
        core.register_component("credential_provider", given)
    core.set_config_variable("region", region)
    return core


def _assume(role: RoleToAssume, *, region: str, name: str, endpoint_url: str) -> AwsCredentials:
    sts = _make_client(_core_session(None, region), "sts", region, endpoint_url)
    try:
        answer = sts.assume_role(
            RoleArn=role.role_arn,
            RoleSessionName=role_session_name(name),
            ExternalId=role.external_id,
            DurationSeconds=ROLE_SECONDS,
            Policy=session_policy(),
        )["Credentials"]
    except AWS_ERRORS as error:
        raise _assume_refused(role, error) from None
    finally:
        sts.close()
    return AwsCredentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])


def demands_external_id(
    role: RoleToAssume, *, region: str = DEFAULT_REGION, endpoint_url: str = ""
) -> bool:
    """Whether the role turns away who comes without its external id. One that does not lets in
    whoever gets us to ask. Raises the AWS error of a call that proves nothing."""
    endpoint_url = endpoint_url or settings.AWS_ENDPOINT_URL
    sts = _make_client(_core_session(None, region), "sts", region, endpoint_url)
    try:
        # The session is of no use to anybody: it may nothing, and ends soonest.
        sts.assume_role(
            RoleArn=role.role_arn,
            RoleSessionName=role_session_name("trust-check"),
            DurationSeconds=SHORTEST_ROLE_SECONDS,
            Policy=NOTHING_ALLOWED,
        )
    except AWS_ERRORS as error:
        if error_code(error) in DENIED_CODES:
            return True
        raise
    finally:
        sts.close()
    return False


def _assume_refused(role: RoleToAssume, error: Exception) -> Exception:
    if error_code(error) in DENIED_CODES:
        return CredentialsRefusedError(
            f"AWS does not let us assume {role.role_arn}. Its trust policy must name our account "
            "and this account's external id."
        )
    if is_refusal(error):
        return OwnIdentityError(" ".join(str(OwnIdentityError.__doc__).split()))
    return error


def role_session_name(name: str) -> str:
    """`hm-scan-<name>` in the letters AWS allows, at most 64."""
    return re.sub(r"[^\w+=,.@-]", "-", f"hm-scan-{name}", flags=re.ASCII)[:64]


def _make_client(
    session: botocore.session.Session,
    service: str,
    region: str,
    endpoint_url: str,
    is_awaited: bool = False,
) -> AwsClient:
    config = {"sts": _AWAITED, "ce": _BILLED, "pricing": _BILLED}.get(service) or (
        _AWAITED if is_awaited else _scan_config()
    )
    if _is_loopback(endpoint_url):
        # A proxy of the environment cannot reach the simulator on this machine.
        config = config.merge(Config(proxies={}))
    cut_down(session, service)
    return session.create_client(
        service, region_name=region, endpoint_url=endpoint_url or None, config=config
    )


def _scan_config() -> Config:
    return Config(
        read_timeout=settings.AWS_READ_TIMEOUT_SECONDS,
        retries={"mode": RETRY_MODE, "total_max_attempts": settings.AWS_ATTEMPTS},
        **_SHARED,
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
