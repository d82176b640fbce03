"""Sessions: shared clients, roles, refused credentials, and no secret anywhere."""

from __future__ import annotations

import logging
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from scans.aws import service_models
from scans.aws.clients import open_session, role_session_name
from scans.aws.credentials import AwsCredentials, RoleToAssume
from scans.aws.errors import AWS_ERRORS, CredentialsRefusedError
from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS, Simulator
from tests.aws_simulator.fault_proxy import Fault, FaultProxy

CANARY = AwsCredentials("AKIAZZZZCANARY000001", "canary-secret-access-key", "canary-session-token")
CANARIES = ("AKIAZZZZCANARY000001", "canary-secret-access-key", "canary-session-token")
ROLE = RoleToAssume("arn:aws:iam::111122223333:role/hostmaster", "hm-external-id")


def test_threads_share_one_client_a_region() -> None:
    with open_session(SIMULATED_KEYS) as session, ThreadPoolExecutor(16) as pool:
        regions = ["us-east-1", "eu-west-1"] * 16
        clients = list(pool.map(lambda region: session.client("ec2", region), regions))
    assert len({id(client) for client in clients}) == 2
    assert {client.meta.region_name for client in clients} == {"us-east-1", "eu-west-1"}


def test_limits_of_a_client() -> None:
    with open_session(SIMULATED_KEYS) as session:
        config = session.client("ec2").meta.config
    assert (config.connect_timeout, config.read_timeout) == (5, 30)
    assert config.max_pool_connections == 16
    assert config.retries["mode"] == "adaptive"
    assert "hostmaster" in config.user_agent


@pytest.mark.services
def test_loopback_endpoint_goes_through_no_proxy(
    aws_simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with open_session(SIMULATED_KEYS) as session:
        assert session.caller_identity().account_id == SIMULATED_ACCOUNT_ID


@pytest.mark.services
def test_role_is_assumed_with_its_external_id_and_a_telling_name(
    fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch)
    with open_session(ROLE, name="job-7") as session:
        identity = session.caller_identity()
    assert identity.account_id == "111122223333"
    assert identity.arn.endswith("role/hostmaster/hm-scan-job-7")
    (assumed,) = [call for call in fault_proxy.calls if call.action == "AssumeRole"]
    assert assumed.parameters["ExternalId"] == "hm-external-id"
    assert assumed.parameters["DurationSeconds"] == "3600"
    assert assumed.region == "us-east-1"


@pytest.mark.services
def test_role_that_may_not_be_assumed_names_the_trust_policy(
    fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch)
    fault_proxy.deny("AssumeRole", service="sts")
    with pytest.raises(CredentialsRefusedError, match="trust policy"):
        open_session(ROLE)


@pytest.mark.services
def test_shell_login_is_used_when_no_credentials_are_given(
    aws_simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch)
    with open_session(None) as session:
        assert session.caller_identity().account_id == SIMULATED_ACCOUNT_ID


def test_shell_without_login_says_how_to_log_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nowhere = str(tmp_path_factory.mktemp("nowhere") / "file")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
    monkeypatch.setenv("AWS_CONFIG_FILE", nowhere)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with (
        open_session(None, endpoint_url="http://127.0.0.1:9") as session,
        pytest.raises(CredentialsRefusedError, match="AWS_PROFILE"),
    ):
        session.caller_identity()


@pytest.mark.services
@pytest.mark.parametrize("code", ["InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_no_secret_in_repr_log_or_exception(
    code: str, fault_proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    told = f"Credential={CANARIES[0]} x-amz-security-token:{CANARIES[2]} {CANARIES[1]}"
    fault_proxy.add(Fault(code=code, message=told))
    session = open_session(CANARY)
    with caplog.at_level(logging.DEBUG), session, pytest.raises(CredentialsRefusedError) as caught:
        session.caller_identity()
    texts = [
        repr(CANARY),
        repr(ROLE),
        repr(session),
        str(CANARY),
        caplog.text,
        "".join(traceback.format_exception(caught.value)),
    ]
    for canary in (*CANARIES, "hm-external-id"):
        assert not [text for text in texts if canary in text]


def test_identity_answers_within_seconds_when_nobody_is_there() -> None:
    with open_session(SIMULATED_KEYS, endpoint_url="http://127.0.0.1:9") as session:
        started = time.monotonic()
        with pytest.raises(AWS_ERRORS, match="Could not connect"):
            session.caller_identity()
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    ("name", "session_name"),
    [
        ("7", "hm-scan-7"),
        ("a b/c|ü", "hm-scan-a-b-c--"),
        ("x" * 100, "hm-scan-" + "x" * 56),
    ],
)
def test_session_name_has_only_what_aws_allows(name: str, session_name: str) -> None:
    assert role_session_name(name) == session_name


def test_account_of_a_role_is_read_from_its_arn() -> None:
    assert ROLE.account_id == "111122223333"
    assert RoleToAssume("nonsense", "x").account_id == ""


def log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SIMULATED_KEYS.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SIMULATED_KEYS.secret_access_key)


@pytest.mark.parametrize("service", sorted(service_models.OPERATIONS))
def test_errors_of_a_cut_down_service_are_known(service: str) -> None:
    """botocore looks through all shapes of a service for what an error of it may tell."""
    with open_session(SIMULATED_KEYS) as session:
        model = session.client(service).meta.service_model
        assert set(model.operation_names) == service_models.OPERATIONS[service]
        assert model.shape_for_error_code("AccessDenied") is None
