"""Sealed values open where they belong and nowhere else."""

from __future__ import annotations

import base64
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import FieldDoesNotExist
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from hostmaster.core import crypto
from hostmaster.core.crypto import (
    EncryptionKeyError,
    SealBrokenError,
    SealContext,
    UnknownKeyError,
    context_for,
    current_prefix,
    seal,
)
from scans.models import Account

HERE = SealContext(tenant="t1", table="accounts", pk="1", field="credentials_sealed")
CREDENTIALS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalr/secret+ké"}
FIRST, SECOND = "ab" * 32, "cd" * 32

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(json_values)
def test_opens_to_what_was_sealed(value: str) -> None:
    assert crypto.open(seal(value, context=HERE), context=HERE) == value


@pytest.mark.parametrize("part", ["tenant", "table", "pk", "field"])
def test_moved_value_does_not_open(part: str) -> None:
    token = seal(CREDENTIALS, context=HERE)
    with pytest.raises(SealBrokenError):
        crypto.open(token, context=replace(HERE, **{part: "other"}))


def test_parts_of_the_place_do_not_run_into_each_other() -> None:
    token = seal("x", context=replace(HERE, table="ab", pk="c"))
    with pytest.raises(SealBrokenError):
        crypto.open(token, context=replace(HERE, table="a", pk="bc"))


@given(st.data())
def test_no_flipped_bit_goes_unnoticed(data: st.DataObject) -> None:
    token = seal(CREDENTIALS, context=HERE)
    raw = bytearray(base64.urlsafe_b64decode(token.removeprefix("v1:")))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises((SealBrokenError, UnknownKeyError)):
        crypto.open("v1:" + base64.urlsafe_b64encode(bytes(raw)).decode(), context=HERE)


@given(st.text() | st.text(alphabet="ABCabc012_-=").map("v1:".__add__))
def test_text_that_was_never_sealed_is_broken_not_a_crash(text: str) -> None:
    with pytest.raises((SealBrokenError, UnknownKeyError)):
        crypto.open(text, context=HERE)


def test_cut_value_is_broken() -> None:
    token = seal(CREDENTIALS, context=HERE)
    for end in range(len(token)):
        with pytest.raises(SealBrokenError):
            crypto.open(token[:end], context=HERE)


def test_same_value_is_sealed_differently_each_time() -> None:
    assert len({seal("x", context=HERE) for _ in range(100)}) == 100


def test_token_and_errors_show_nothing_of_the_secret() -> None:
    token = seal(CREDENTIALS, context=HERE)
    with pytest.raises(SealBrokenError) as moved:
        crypto.open(token, context=replace(HERE, pk="2"))
    for secret in CREDENTIALS.values():
        assert secret not in token
        assert secret not in str(moved.value)
    assert moved.value.__suppress_context__


def test_old_key_opens_and_the_current_one_seals(settings: Settings) -> None:
    settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEYS_OLD = FIRST, []
    old = seal("x", context=HERE)
    settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEYS_OLD = SECOND, [FIRST]
    assert crypto.open(old, context=HERE) == "x"
    new = seal("x", context=HERE)
    settings.ENCRYPTION_KEYS_OLD = []
    assert crypto.open(new, context=HERE) == "x"
    with pytest.raises(UnknownKeyError, match="ENCRYPTION_KEYS_OLD"):
        crypto.open(old, context=HERE)


def test_prefix_tells_the_current_key(settings: Settings) -> None:
    settings.ENCRYPTION_KEY = FIRST
    old = seal("x", context=HERE)
    assert old.startswith(current_prefix())
    settings.ENCRYPTION_KEY = SECOND
    assert not old.startswith(current_prefix())
    assert seal("y" * 500, context=HERE).startswith(current_prefix())


@pytest.mark.parametrize("key", ["", "ab", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 32 + "\n"])
def test_unusable_key_is_named_with_its_fix(key: str, settings: Settings) -> None:
    settings.ENCRYPTION_KEY = key
    with pytest.raises(EncryptionKeyError, match=r"^ENCRYPTION_KEY .*token_hex\(32\)") as error:
        seal("x", context=HERE)
    assert not key.strip() or key.strip() not in str(error.value)


def test_unusable_old_key_is_named_without_its_text(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS_OLD = ["secret-but-wrong"]
    with pytest.raises(EncryptionKeyError, match="ENCRYPTION_KEYS_OLD") as error:
        crypto.check_keys()
    assert "secret-but-wrong" not in str(error.value)


def test_place_of_a_row() -> None:
    pk, tenant_id = uuid4(), uuid4()
    account = Account(pk=pk, tenant_id=tenant_id)
    assert context_for(account, "credentials_sealed") == SealContext(
        str(tenant_id), "accounts", str(pk), "credentials_sealed"
    )


def test_place_is_the_same_however_the_key_is_written() -> None:
    pk, tenant_id = UUID(int=7), UUID(int=9)
    as_text = Account(pk=pk.hex, tenant_id=tenant_id.hex)
    assert context_for(as_text, "credentials_sealed") == context_for(
        Account(pk=pk, tenant_id=tenant_id), "credentials_sealed"
    )


def test_row_without_key_tenant_or_field_has_no_place() -> None:
    for account in (Account(pk=None, tenant_id=uuid4()), Account()):
        with pytest.raises(ValueError, match=r"scans\.Account"):
            context_for(account, "credentials_sealed")
    with pytest.raises(FieldDoesNotExist):
        context_for(Account(tenant_id=uuid4()), "credentials")


def test_format_of_a_sealed_value_stays(settings: Settings) -> None:
    """Rows sealed by an earlier release must open: a change of format needs a new version byte."""
    settings.ENCRYPTION_KEY = FIRST
    token = "v1:AZotsuI_FQTNspEGTwp_P0dowPDPnc1dZNRdasa2fjnw9--I8xMurJ-vWzjgGiNk4GtGyPsRJBG0FZ1j"
    assert crypto.open(token, context=HERE) == {"a": [1, "é", None]}
