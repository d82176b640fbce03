"""No secret gets into a log line or a stored error, wherever it stood."""

from __future__ import annotations

import json
import logging
import logging.config
import string
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from hostmaster.core.logs import (
    JsonFormatter,
    MaskingStreamHandler,
    TextFormatter,
    exception_text,
    log_context,
    log_run,
    log_transition,
    logging_settings,
    mask,
    masked_value,
)
from tests.projects import ROOT, project_environment

UPPER = string.ascii_uppercase + string.digits
BASE64 = string.ascii_letters + string.digits + "+/"
URL_SAFE = string.ascii_letters + string.digits + "-_"


def text_of(alphabet: str, length: int, longest: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=length, max_size=longest or length)


# Each secret with a face of its own: found without any name beside it.
bare_secrets = {
    "access key": text_of(UPPER, 16).map("AKIA".__add__),
    "temporary access key": text_of(UPPER, 16).map("ASIA".__add__),
    "secret key": text_of(BASE64, 37).map(lambda text: "aB1" + text),
    "session token": text_of(BASE64, 100, 400).map("IQoJb3JpZ2lu".__add__),
    "opaque token": text_of(BASE64, 110, 400).map(lambda text: "aB" + text),
    "encryption key": text_of(string.hexdigits, 64),
}


@given(st.sampled_from(sorted(bare_secrets)), st.data(), st.sampled_from([" ", "", '"', "'", ": "]))
def test_secret_with_a_face_never_survives(kind: str, data: st.DataObject, around: str) -> None:
    secret = data.draw(bare_secrets[kind])
    masked = mask(f"before {around}{secret}{around} after")
    assert secret[4:] not in masked
    assert masked.startswith("before ")
    assert masked.endswith("after")


NAMES = [
    *("password", "PASSWORD", "passwd", "secret_access_key", "aws_secret_access_key"),
    *("SecretAccessKey", "aws_session_token", "SessionToken", "X-Amz-Security-Token", "api_key"),
    *("apiKey", "ENCRYPTION_KEY", "SECRET_KEY", "access_token", "client_secret", "Authorization"),
    *("Cookie", "private_key", "token", "METRICS_TOKEN", "signature", "credentials"),
]
WRITTEN: list[Callable[[str, str], str]] = [
    lambda name, value: f"{name}={value}",
    lambda name, value: f"{name} = {value}",
    lambda name, value: f"{name}='{value}'",
    lambda name, value: f"?a=1&{name}={value}&b=2",
    lambda name, value: json.dumps({name: value, "other": 1}),
    lambda name, value: json.dumps(json.dumps({name: value})),
    lambda name, value: repr({name: value}),
    lambda name, value: repr({name: value.encode()}),
    lambda name, value: repr([(name, value)]),
    lambda name, value: f"{name}: {value}",
    lambda name, value: f"{name} => {value}",
]
values = text_of(BASE64 + "-_.!%*~$@#", 8, 60).map("s3".__add__)


@given(st.sampled_from(NAMES), st.sampled_from(WRITTEN), values)
def test_secret_beside_its_name_never_survives(
    name: str, written: Callable[[str, str], str], secret: str
) -> None:
    assert secret not in mask(f"before {written(name, secret)} after")


quoted: list[Callable[[str, str], str]] = [
    lambda name, value: json.dumps({name: value, "other": 1}),
    lambda name, value: json.dumps({"inner": json.dumps({name: value})}),
    lambda name, value: repr({name: value}),
    lambda name, value: repr({name: value.encode()}),
    lambda name, value: repr([(name, value)]),
    lambda name, value: f"{name}={[value, value]!r}",
]


@given(
    st.sampled_from(NAMES),
    st.sampled_from(quoted),
    text_of(string.ascii_letters + string.digits + " \"',;:=(){}&<>", 0, 40),
)
def test_quoted_secret_never_survives_whatever_it_holds(
    name: str, written: Callable[[str, str], str], inside: str
) -> None:
    masked = mask(f"before {written(name, f's3{inside}cr3t')} after")
    assert "s3" not in masked
    assert "cr3t" not in masked


# Whole forms: what surrounds the secret, and the secret.
forms = {
    "api token": ("hm_a1b2c3_{}", text_of(URL_SAFE, 43)),
    "bearer": ("Authorization: Bearer {}", text_of(URL_SAFE, 8, 80)),
    "bearer in prose": ("sent bearer {}", text_of(URL_SAFE, 20, 80)),
    "basic": (
        "Authorization: Basic {}",
        st.binary(min_size=9).map(lambda b: b64encode(b).decode()),
    ),
    "url password": ("postgresql://me:{}@db.example/name", text_of(URL_SAFE + ":!$/?#", 8, 30)),
    "url user": ("https://{}@sentry.example/1", text_of(URL_SAFE, 8, 40)),
    "discord": ("https://discord.com/api/webhooks/123456789/{}", text_of(URL_SAFE, 68)),
    "slack": ("https://hooks.slack.com/services/T01/B02/{}", text_of(string.ascii_letters, 24)),
    "slack path": ("url: /services/T01/B02/{} (Caused", text_of(string.ascii_letters, 24)),
    "teams": ("https://x.webhook.office.com/webhookb2/{}/a", text_of(URL_SAFE, 30)),
    "telegram": ("https://api.telegram.org/bot123:{}/sendMessage", text_of(URL_SAFE, 35)),
    "heartbeat": ("GET /api/v1/heartbeats/{} HTTP/1.1", text_of(URL_SAFE, 43)),
    "urllib3": ("Max retries exceeded with url: /in/{} (Caused by X)", text_of(URL_SAFE, 12)),
    "signed url": ("https://b.example/k?X-Amz-Signature={}&x=1", text_of(string.hexdigits, 64)),
    "jwt": ("got eyJhbGciOiJIUzI1NiJ9.{}.c2ln", text_of(URL_SAFE, 20, 90)),
    "pem": ("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", text_of(BASE64, 64)),
    "webhook secret": ("whsec_{}", text_of(BASE64, 32)),
}


@given(st.sampled_from(sorted(forms)), st.data())
def test_secret_inside_a_known_form_never_survives(kind: str, data: st.DataObject) -> None:
    form, secrets = forms[kind]
    secret = data.draw(secrets)
    assert secret not in mask(f"before {form.format(secret)} after")


@given(st.text() | st.sampled_from(sorted(forms)).map(lambda kind: forms[kind][0]))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "An error occurred (InvalidClientTokenId) when calling the GetCallerIdentity operation: "
        "The security token included in the request is invalid.",
        "ExpiredToken: The security token included in the request is expired",
        "EncryptionKeyError: ENCRYPTION_KEY is not set.",
        "the credentials: expired, enter them again",
        "scans.ScanJob 8f14e45f-ceea-467f-a0e6-11b2c3d4e5f6: QUEUED → FETCHING",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
        'File "/Users/Anna/Projects2/hostmaster/scans/aws/collectors/ec2.py", line 12, in collect',
        "GET http://shop.example:8080/cart?mail=a@b.example → 200 in 31 ms",
        "job=checks processed=45 succeeded=43 failed=2 duration_seconds=1.500",
        "arn:aws:iam::123456789012:role/hostmaster is not authorised to ec2:DescribeInstances",
    ],
)
def test_plain_text_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_token_keeps_its_id_and_a_url_its_host() -> None:
    assert mask("hm_a1b2_" + "x" * 43) == "hm_a1b2_***"
    assert mask("redis://:hunter2@cache.example:6379/0") == "redis://***@cache.example:6379/0"
    assert mask("https://discord.com/api/webhooks/1/abc") == "https://discord.com/api/webhooks/***"


def test_values_of_our_own_settings_are_known(settings: Settings) -> None:
    settings.SECRET_KEY = "any words a person may have chosen"
    assert mask(f"key is {settings.SECRET_KEY}!") == "key is ***!"
    assert django_settings.ENCRYPTION_KEY not in mask(django_settings.ENCRYPTION_KEY)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece",
    [
        *("token=", "://", "a=b:", "'secret': '", "hm_", "Bearer ", "aB1/", "z", "zZ", "eyJ"),
        *("eyJaaaaaaaa.", "://hooks.", "/hook/", "x:y@", "token\\\\'", "-----BEGIN PRIVATE KEY"),
        *("token=[", "token=['", "\\'", "token ", "a" * 41 + "-", "://a:b/"),
    ],
)
def test_hostile_text_is_masked_in_linear_time(piece: str) -> None:
    mask("token=['" + piece * (100_000 // len(piece)))
    mask(piece * (100_000 // len(piece)))  # quadratic: minutes


def test_exception_text_names_the_type_and_masks_the_message() -> None:
    assert exception_text(ValueError("password=hunter2")) == "ValueError: password=***"
    assert exception_text(ValueError()) == "ValueError"


@given(st.text())
def test_exception_text_is_masked_text(message: str) -> None:
    assert exception_text(ValueError(message)).startswith("ValueError")


def test_structures_are_masked_at_every_depth_and_under_secret_names() -> None:
    assert masked_value({"a": [{"password": 12345}, "token=abc1"], "n": 1, "ok": True}) == {
        "a": [{"password": "***"}, "token=***"],
        "n": 1,
        "ok": True,
    }


SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Holder:
    """An object whose repr tells too much."""

    def __repr__(self) -> str:
        return f"Holder(secret_access_key={SECRET!r})"


Log = Callable[[logging.Logger], None]


def log_exception(logger: logging.Logger) -> None:
    try:
        try:
            raise ValueError(f"refused {SECRET}")
        except ValueError as error:
            error.add_note(f"tried {SECRET}")
            raise RuntimeError(f"password={SECRET}") from error
    except RuntimeError:
        logger.exception("scan failed")


LOGGED: dict[str, Log] = {
    "message": lambda logger: logger.info(f"key {SECRET}"),
    "argument": lambda logger: logger.info("key %s", SECRET),
    "object": lambda logger: logger.info("keys %s %r", Holder(), {"token": SECRET}),
    "named argument": lambda logger: logger.info("%(token)s", {"token": SECRET}),
    "dict message": lambda logger: logger.info({"message": "x", "api_key": SECRET}),
    "extra": lambda logger: logger.info("x", extra={"token": "short", "key": SECRET}),
    "nested extra": lambda logger: logger.info("x", extra={"a": [{"b": (SECRET, Holder())}]}),
    "extra key": lambda logger: logger.info("x", extra={"a": {SECRET: 1}}),
    "exception": log_exception,
    "stack": lambda logger: logger.info("x", stack_info=True),
    "wrong arguments": lambda logger: logger.info("%d", SECRET),
}


@pytest.fixture(params=[JsonFormatter, TextFormatter])
def lines(request: pytest.FixtureRequest) -> Callable[[Log], str]:
    """Runs a logging call and gives what it wrote."""
    logger = logging.Logger("tests.logs")  # without parents: no handler but ours
    stream = StringIO()
    handler = MaskingStreamHandler(stream)
    handler.setFormatter(request.param())
    logger.addHandler(handler)

    def written(log: Log) -> str:
        log(logger)
        return stream.getvalue()

    return written


@pytest.mark.parametrize("where", sorted(LOGGED))
def test_no_secret_reaches_a_line_from(
    where: str, lines: Callable[[Log], str], capsys: pytest.CaptureFixture[str]
) -> None:
    written = lines(LOGGED[where]) + capsys.readouterr().err
    assert written
    assert SECRET not in written
    assert "MDENG" not in written


def json_lines(log: Log) -> list[dict[str, Any]]:
    logger = logging.Logger("tests.logs")
    stream = StringIO()
    handler = MaskingStreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    log(logger)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_line_has_its_fields() -> None:
    (line,) = json_lines(lambda logger: logger.warning("hi %s", "you", extra={"count": 3}))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "tests.logs",
        "message": "hi you",
        "count": 3,
    }


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3))
def test_json_line_is_one_line_of_json_whatever_it_holds(text: str, extra: dict[str, Any]) -> None:
    (line,) = json_lines(lambda logger: logger.info("%s", text, extra={"details": extra}))
    assert set(line) == {"time", "level", "logger", "message", "details"}


def test_line_carries_its_context_and_forgets_it() -> None:
    def log(logger: logging.Logger) -> None:
        with log_context(job_id=7, tenant="acme"):
            with log_context(correlation_id="c1"):
                logger.info("inner")
            logger.info("outer")
        logger.info("after")

    inner, outer, after = json_lines(log)
    assert (inner["job_id"], inner["tenant"], inner["correlation_id"]) == ("7", "acme", "c1")
    assert "correlation_id" not in outer
    assert "job_id" not in after


def test_stranger_cannot_forge_a_second_text_line() -> None:
    record = logging.makeLogRecord({"msg": "name %s", "args": ("x\n2026-01-01 ERROR all lost",)})
    assert len(TextFormatter().format(record).splitlines()) == 1


def test_transition_is_one_info_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_transition("scans.ScanJob", 5, "QUEUED", "FETCHING", tenant="t1", attempt=2)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == "scans.ScanJob 5: QUEUED → FETCHING"
    fields = record.__dict__
    assert (fields["from_state"], fields["to_state"]) == ("QUEUED", "FETCHING")
    assert (fields["tenant"], fields["attempt"]) == ("t1", 2)


def test_run_ends_with_its_counts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_run("health_check", 45, 43, 2, 1.2345)
    (record,) = caplog.records
    assert record.getMessage() == (
        "job=health_check processed=45 succeeded=43 failed=2 duration_seconds=1.234"
    )
    assert record.__dict__["succeeded"] == 43


@pytest.mark.parametrize(
    ("log_format", "level", "expected"),
    [("json", "debug", logging.DEBUG), ("text", "ERROR", 40), ("xml", "LOUD", logging.INFO)],
)
def test_settings_are_valid_for_any_value(log_format: str, level: str, expected: int) -> None:
    config = logging_settings(log_format, level)
    logging.config.DictConfigurator(config)
    assert config["root"]["level"] == expected
    for name in ("botocore", "urllib3", "requests", "django.db.backends", "django-q"):
        assert config["loggers"][name]["level"] >= logging.INFO


def test_process_logs_json_to_stderr_and_botocore_stays_quiet() -> None:
    script = (
        "import django, logging; django.setup();"
        f"logging.getLogger('scans').debug('token={SECRET}');"
        f"logging.getLogger('botocore.auth').debug('{SECRET}');"
        f"logging.getLogger('django-q').info('{SECRET}');"
        f"logging.getLogger('django.request').error('{SECRET}')"
    )
    environment = project_environment("sqlite://:memory:") | {
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    loggers = [line["logger"] for line in lines]
    assert [name for name in loggers if name in {"scans", "django-q", "django.request"}] == [
        *("scans", "django-q", "django.request")
    ]
    assert "botocore.auth" not in loggers
    assert SECRET not in done.stderr
    assert done.stdout == ""
