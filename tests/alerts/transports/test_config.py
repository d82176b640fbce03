"""What a channel may be told, and the sentence a person reads when it may not."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.channels import ChannelNameTakenError, add_channel, edit_channel
from alerts.models import AlertChannel
from alerts.transports.base import ConfigError
from alerts.transports.catalogue import channel_hint, transport_for
from tests.factories import make_tenant

GOOD: list[tuple[str, dict[str, Any], str]] = [
    ("webhook", {"url": "https://hooks.example.com/T1/secret?x=1"}, "https://hooks.example.com/…"),
    ("discord", {"url": "https://discord.com/api/webhooks/1/abc"}, "https://discord.com/…"),
    (
        "discord",
        {"webhook_url": "https://proxy.example.com:8443/d"},
        "https://proxy.example.com:8443/…",
    ),
    ("slack", {"url": "https://hooks.slack.com/services/T/B/x"}, "https://hooks.slack.com/…"),
    ("email", {"to": ["ada@example.com", "bob@example.org"]}, "a…@example.com, b…@example.org"),
    ("email", {"to": "ada@example.com, bob@example.org"}, "a…@example.com, b…@example.org"),
]
BAD: list[tuple[str, Any, str]] = [
    ("webhook", {}, "needs a 'url'"),
    ("webhook", [], "JSON object"),
    ("webhook", {"url": 5}, "must be text"),
    ("webhook", {"url": "https://x.example", "sekret": "a"}, "knows no 'sekret'"),
    ("webhook", {"url": "http://hooks.example.com/"}, "https://"),
    ("webhook", {"url": "ftp://hooks.example.com/"}, "https://"),
    ("webhook", {"url": "https://user:pw@hooks.example.com/"}, "user name"),
    ("webhook", {"url": "https://hooks.example.com/\nX: y"}, "control"),
    ("webhook", {"url": "https://hooks.example.com\\@127.0.0.1/"}, "backslash"),
    ("webhook", {"url": "https://[::1/"}, "not a URL"),
    ("webhook", {"url": "https://hooks.example.com:99999/"}, "not a URL"),
    ("webhook", {"url": "https://127.0.0.1/"}, "not allowed"),
    ("webhook", {"url": "https://2130706433/"}, "not allowed"),
    ("webhook", {"url": "https://[::ffff:169.254.169.254]/"}, "not allowed"),
    ("webhook", {"url": "https://hooks.example.com:6379/"}, "not allowed"),
    ("webhook", {"url": "https://hooks.example.com/" + "x" * 3000}, "longer than"),
    ("discord", {"url": ""}, "needs a 'url'"),
    ("slack", {"channel": "#ops"}, "knows no 'channel'"),
    ("email", {}, "list of addresses"),
    ("email", {"to": ["not an address"]}, "not an e-mail address"),
    ("email", {"to": ["a@example.com\nBcc: b@example.com"]}, "not an e-mail address"),
    ("email", {"to": [5]}, "list of addresses"),
    ("email", {"to": ["a@example.com"], "host": "mail.example.com"}, "knows no 'host'"),
    ("email", {"to": [f"a{n}@example.com" for n in range(21)]}, "at most 20"),
    ("pigeon", {}, "no type 'pigeon'"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("type_", "config", "hint"), GOOD)
def test_a_good_config_is_kept_sealed_and_shown_as_a_hint(
    type_: str, config: dict[str, Any], hint: str
) -> None:
    channel = add_channel(make_tenant(), name="on call", type=type_, config=config)
    stored = AlertChannel.objects.get(pk=channel.pk)
    assert channel_hint(stored) == hint
    assert stored.config == channel.config
    assert "example" not in (stored.config_sealed or "")
    assert "secret" not in f"{stored!r} {stored}"


@pytest.mark.django_db
@pytest.mark.parametrize(("type_", "config", "sentence"), BAD)
def test_a_bad_config_is_refused_with_a_sentence(type_: str, config: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        add_channel(make_tenant(), name="on call", type=type_, config=config)
    assert not AlertChannel.objects.exists()


def test_plain_http_is_the_operators_choice_inside_his_networks(loopback_allowed: None) -> None:
    transport = transport_for("webhook")
    assert transport.clean({"url": "http://127.0.0.1:9000/x"})["url"]
    with pytest.raises(ConfigError):
        transport.clean({"url": "http://10.0.0.1/x"})
    with pytest.raises(ConfigError):
        transport.clean({"url": "http://93.184.216.34/x"})


@pytest.mark.django_db
def test_a_change_of_the_url_keeps_the_secret() -> None:
    channel = add_channel(
        make_tenant(), name="a", type="webhook", config={"url": "https://one.example.com/"}
    )
    secret = channel.config["secret"]
    edit_channel(channel, config={"url": "https://two.example.com/"})
    stored = AlertChannel.objects.get(pk=channel.pk)
    assert stored.config == {"url": "https://two.example.com/", "secret": secret}


@pytest.mark.django_db
def test_a_name_is_taken_once_in_a_tenant() -> None:
    tenant = make_tenant()
    config = {"url": "https://one.example.com/"}
    add_channel(tenant, name="a", type="webhook", config=config)
    with pytest.raises(ChannelNameTakenError, match="'a'"):
        add_channel(tenant, name=" a ", type="webhook", config=config)
    add_channel(make_tenant(), name="a", type="webhook", config=config)


@pytest.mark.django_db
def test_a_row_made_by_plain_orm_may_hold_a_plain_config() -> None:
    config = {"webhook_url": "https://one.example.com/"}
    row = AlertChannel.objects.create(  # type: ignore[misc]  # a property, which Django takes
        tenant=make_tenant(), name="a", type="webhook", config=config
    )
    assert AlertChannel.objects.get(pk=row.pk).config == config
