"""Monitors as a document: what is read, what is planned, what is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from hostmaster.core.tenants.models import Tenant
from monitors import documents, importing
from monitors.documents import DocumentError
from monitors.importing import ApplyError
from monitors.models import MaintenanceWindow, Monitor
from monitors.planning import Plan, key_of
from monitors.services import add_maintenance, add_monitor, edit_monitor, headers_of
from monitors.tokens import hash_of
from tests.factories import make_monitor, make_tenant

CANARY = "canary-header-0a1b2c3d"
TWO = """
version: 1
defaults:
  interval_seconds: 60
  tags: [eu]
monitors:
  - id: shop
    name: Shop
    url: https://shop.example/health
    headers: {Authorization: "Bearer ${SHOP_TOKEN}", Accept: text/plain}
    depends_on: [router]
  - id: router
    name: Router
    kind: tcp
    url: tcp://router.example:443
    interval_seconds: 10
maintenance:
  - id: sunday
    name: Sunday night
    starts_at: 2026-11-29T02:00:00
    timezone: Europe/Berlin
    duration_minutes: 90
    rrule: FREQ=WEEKLY;BYDAY=SU
    monitors: [shop]
"""


def plan_of(tenant: Tenant, text: str, *, is_pruning: bool = False, **environment: str) -> Plan:
    return importing.make_plan(tenant, documents.read(text), environment, is_pruning=is_pruning)


def apply(tenant: Tenant, text: str, **options: Any) -> Plan:
    plan = plan_of(tenant, text, **options)
    importing.apply_plan(plan)
    return plan


def told(plan: Plan) -> list[tuple[str, str]]:
    return [(change.verb, change.key) for change in plan.changes]


def problems_in(text: str) -> str:
    with pytest.raises(DocumentError) as refused:
        documents.read(text)
    return str(refused.value)


# Planning and applying


@pytest.mark.django_db
@pytest.mark.both_databases
def test_document_becomes_monitors_and_windows_and_then_nothing_is_to_do(tenant: Tenant) -> None:
    plan = apply(tenant, TWO, SHOP_TOKEN=CANARY)

    assert told(plan) == [("create", "shop"), ("create", "router"), ("create", "sunday")]
    shop, router = Monitor.objects.get(external_id="shop"), Monitor.objects.get(name="Router")
    assert headers_of(shop) == {"Authorization": f"Bearer {CANARY}", "Accept": "text/plain"}
    assert (shop.interval_seconds, shop.tags, shop.timeout_seconds) == (60, ["eu"], 10)
    assert (router.interval_seconds, router.kind) == (10, "tcp")
    assert list(shop.depends_on.all()) == [router]
    assert shop.is_scheduled
    window = MaintenanceWindow.objects.get()
    assert window.starts_at == datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
    assert (window.duration, list(window.monitors.all())) == (timedelta(minutes=90), [shop])

    again = plan_of(tenant, TWO, SHOP_TOKEN=CANARY)
    assert (told(again), again.unchanged) == ([], 3)
    assert Monitor.objects.get(external_id="shop").version == shop.version


@pytest.mark.django_db
def test_plan_names_each_field_and_never_a_headers_value(tenant: Tenant) -> None:
    apply(tenant, TWO, SHOP_TOKEN="old")
    text = TWO.replace("name: Shop", "name: The shop").replace("[eu]", "[eu, prod]")

    plan = plan_of(tenant, text, SHOP_TOKEN=CANARY)

    assert told(plan) == [("change", "shop"), ("change", "router")]
    changed = {one.name: (one.before, one.after) for one in plan.changes[0].fields}
    assert changed == {
        "name": ("Shop", "The shop"),
        "tags": (["eu"], ["eu", "prod"]),
        "headers": (
            ["Accept", "Authorization"],
            ["Accept", "Authorization (another value)"],
        ),
    }
    assert CANARY not in repr(plan)
    importing.apply_plan(plan)
    shop = Monitor.objects.get(external_id="shop")
    assert headers_of(shop)["Authorization"] == f"Bearer {CANARY}"
    assert shop.version == 2
    assert told(plan_of(tenant, text, SHOP_TOKEN=CANARY)) == []


@pytest.mark.django_db
def test_what_is_not_said_goes_back_to_its_default(tenant: Tenant) -> None:
    add_monitor(
        tenant,
        name="Shop",
        url="https://shop.example/",
        external_id="shop",
        retries=5,
        enabled=False,
        headers={"X": "1"},
    )

    apply(tenant, "monitors: [{id: shop, name: Shop, url: 'https://shop.example/'}]")

    shop = Monitor.objects.get()
    assert (shop.retries, shop.enabled, headers_of(shop)) == (1, True, {})


@pytest.mark.django_db
@pytest.mark.both_databases
def test_only_what_has_an_external_id_is_pruned_and_only_when_asked(tenant: Tenant) -> None:
    by_hand = make_monitor(tenant=tenant, name="By hand")
    other_tenants = make_monitor(external_id="old")
    add_monitor(tenant, name="Old", url="https://old.example/", external_id="old")
    text = "monitors: [{id: new, name: New, url: 'https://new.example/'}]"

    plan = apply(tenant, text)
    assert (told(plan), plan.left) == ([("create", "new")], ["monitor old"])

    plan = apply(tenant, text, is_pruning=True)
    assert told(plan) == [("delete", "old")]
    left = {monitor.name for monitor in Monitor.objects.filter(tenant=tenant)}
    assert left == {by_hand.name, "New"}
    assert Monitor.objects.filter(pk=other_tenants.pk).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("is_pruned", [False, True])
def test_what_somebody_changed_after_the_plan_is_left_to_him(
    tenant: Tenant, is_pruned: bool
) -> None:
    shop = add_monitor(tenant, name="Shop", url="https://shop.example/", external_id="shop")
    text = "monitors: []" if is_pruned else TWO
    plan = plan_of(tenant, text, is_pruning=is_pruned, SHOP_TOKEN="x")
    edit_monitor(shop, name="Changed meanwhile")

    with pytest.raises(ApplyError, match="Somebody else changed"):
        importing.apply_plan(plan)

    assert Monitor.objects.get(external_id="shop").name == "Changed meanwhile"


@pytest.mark.django_db
def test_monitor_somebody_created_after_the_plan_is_not_made_twice(tenant: Tenant) -> None:
    plan = plan_of(tenant, TWO, SHOP_TOKEN="x")
    add_monitor(tenant, name="Shop", url="https://shop.example/", external_id="shop")

    with pytest.raises(ApplyError):
        importing.apply_plan(plan)

    assert Monitor.objects.filter(external_id="shop").count() == 1


@pytest.mark.django_db
def test_new_monitors_may_depend_on_each_other_in_any_order(tenant: Tenant) -> None:
    text = """
monitors:
  - {id: a, name: a, url: "https://a.example/", depends_on: [b]}
  - {id: b, name: b, url: "https://b.example/", depends_on: [c]}
  - {id: c, name: c, url: "https://c.example/", depends_on: [a]}
"""
    apply(tenant, text)

    edges = {m.name: [p.name for p in m.depends_on.all()] for m in Monitor.objects.all()}
    assert edges == {"a": ["b"], "b": ["c"], "c": ["a"]}
    assert told(plan_of(tenant, text)) == []


@pytest.mark.django_db
def test_chain_of_thousands_is_planned_and_ordered(tenant: Tenant) -> None:
    entries = "\n".join(
        f"  - {{id: m{n}, name: m{n}, url: 'https://m.example/', depends_on: [m{n + 1}]}}"
        for n in range(3000)
    )
    last = "  - {id: m3000, name: last, url: 'https://m.example/'}"
    plan = plan_of(tenant, f"monitors:\n{entries}\n{last}\n")

    ordered = [change.key for change in importing._in_order(plan.changes)]

    assert ordered == [f"m{n}" for n in range(3000, -1, -1)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("depends_on: [nobody]", "line 5: depends_on: there is no monitor 'nobody'"),
        ("depends_on: [shop]", "line 5: a monitor cannot depend on itself"),
        ('headers: {X: "${ABSENT}"}', "line 5: headers: the environment has no ABSENT"),
        ('headers: {X: "${SECRET_KEY}"}', "line 5: headers: SECRET_KEY is a secret of this"),
        ('headers: {X: "${AWS_SESSION_TOKEN}"}', "is a secret of this installation"),
        ("headers: {X: (sealed)}", "line 5: headers: X has no sealed value to keep"),
        ('headers: {"X Y": z}', "line 5: headers: A header's name has letters"),
        ("expected_status: [200]", "line 5: expected_status must be text"),
        ("expected_status: fine", "line 5: expected_status: Codes and ranges"),
        ("assertions: [{op: '~'}]", "line 5: assertions: "),
        ("kind: tcp", "line 3: url: The URL of this kind"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(tenant: Tenant, entry: str, problem: str) -> None:
    text = f"""monitors:
  - id: shop
    url: https://shop.example/
    name: Shop
    {entry}
"""
    with pytest.raises(DocumentError) as refused:
        plan_of(tenant, text, SECRET_KEY="x", AWS_SESSION_TOKEN="x")

    assert problem in str(refused.value)
    assert not Monitor.objects.exists()


@pytest.mark.django_db
def test_parent_that_is_to_be_pruned_is_no_parent(tenant: Tenant) -> None:
    add_monitor(tenant, name="Old", url="https://old.example/", external_id="old")
    text = "monitors: [{id: a, name: a, url: 'https://a.example/', depends_on: [old]}]"

    assert told(plan_of(tenant, text)) == [("create", "a")]
    with pytest.raises(DocumentError, match="there is no monitor 'old'"):
        plan_of(tenant, text, is_pruning=True)


@pytest.mark.django_db
def test_dollars_are_written_twice(tenant: Tenant) -> None:
    text = "monitors: [{id: a, name: a, url: 'https://a.example/', headers: {X: '$${Y}$Z'}}]"

    apply(tenant, text)

    assert headers_of(Monitor.objects.get()) == {"X": "${Y}$Z"}


# Exporting


@pytest.mark.django_db
@pytest.mark.both_databases
def test_export_holds_no_secret_and_planning_it_finds_nothing_to_do(tenant: Tenant) -> None:
    apply(tenant, TWO, SHOP_TOKEN=CANARY)
    by_hand = make_monitor(tenant=tenant, name="By hand", tags=["no", "1.10", "2026-11-29"])
    push = add_monitor(tenant, name="Backup", kind="push", push_grace_seconds=600)
    push.depends_on.set([by_hand])
    add_maintenance(
        tenant,
        name="Once",
        starts_at=timezone.now(),
        duration=timedelta(minutes=1, seconds=30),
        monitors=[by_hand],
        tags=["eu"],
    )
    make_monitor(name="Of another tenant")

    text = importing.export(tenant)

    assert CANARY not in text
    assert push.push_token not in text
    assert "Of another tenant" not in text
    assert "Authorization: (sealed)" in text
    plan = plan_of(tenant, text, is_pruning=True)
    assert (told(plan), plan.unchanged) == ([], 6)

    apply(tenant, text.replace("name: Shop", "name: Renamed"))
    shop = Monitor.objects.get(name="Renamed")
    assert headers_of(shop)["Authorization"] == f"Bearer {CANARY}"


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30)
monitors = st.fixed_dictionaries(
    {"name": texts.filter(str.strip)},
    optional={
        "interval_seconds": st.integers(1, 86_400),
        "timeout_seconds": st.floats(0.001, 300),
        "body": texts,
        "keyword": texts,
        "keyword_absent": st.booleans(),
        "tags": st.lists(texts.filter(str.strip), max_size=4, unique=True),
        "external_id": texts.filter(str.strip),
        "retries": st.integers(0, 20),
        "min_tls_version": st.sampled_from(["1.0", "1.3"]),
        "expected_status": st.sampled_from(["200", "200-299,304", "404"]),
        "assertions": st.sampled_from(
            [[{"source": "json", "target": "$.a", "op": "==", "value": True}]]
        ),
    },
)


@pytest.mark.django_db
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example([{"name": "a\x85b", "body": "one\u2028two\r", "keyword": "\ufeff"}])
@given(st.lists(monitors, max_size=4, unique_by=lambda one: one.get("external_id") or object()))
def test_every_export_is_read_as_what_is_there(configured: list[dict[str, Any]]) -> None:
    tenant = make_tenant()
    made: list[Monitor] = []
    for fields in configured:
        parents = made[-1:]
        made.append(add_monitor(tenant, url="https://x.example/", depends_on=parents, **fields))

    plan = plan_of(tenant, importing.export(tenant), is_pruning=True)

    assert (told(plan), plan.left, plan.unchanged) == ([], [], len(made))
    assert len({key_of(monitor) for monitor in made}) == len(made)


# Reading


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("monitors: [{id: a, nmae: x}]", "line 1: there is no 'nmae' here"),
        ("monitors:\n  - id: a\n    name: x\n    name: y\n", "line 4: 'name' is there twice"),
        ("monitors:\n  - name: x\n", "line 2: 'id' is missing"),
        (
            "monitors:\n - {id: a, name: x}\n - {id: a, name: y}\n",
            "line 3: the id 'a' is taken in line 2",
        ),
        ("monitors: {a: b}", "line 1: must be a list"),
        ("monitors: [a]", "line 1: this must be names with values"),
        ("- a", "line 1: the document must be names with values"),
        ("monitrs: []", "line 1: there is no 'monitrs' here"),
        ("version: 2", "line 1: this program reads version 1"),
        ("defaults: {name: x}", "line 1: there is no 'name' here"),
        ("monitors:\n - {id: a, name: x, retries: yes}", "line 2: retries must be a whole number"),
        ("monitors:\n - {id: a, name: x, retries: 21}", "line 2: retries must be 0 to 20"),
        ("monitors:\n - {id: a, name: x, timeout_seconds: .nan}", "timeout_seconds must be"),
        ("monitors:\n - {id: a, name: x, enabled: 1}", "enabled must be true or false"),
        ("monitors:\n - {id: a, name: ~}", "line 2: name must be text"),
        ('monitors:\n - {id: a, name: "x\\0y"}', "line 2: name holds a NUL character"),
        ("monitors:\n - {id: a, name: x, assertions: [2026-01-01]}", "no word for"),
        ("monitors:\n - {id: a, name: x, kind: icmp}", "kind must be one of http, tcp, push"),
        ("monitors: [", "line 1: not YAML"),
        ("a: &x [1]\nb: *x\n", "line 2: aliases are not read"),
        ("monitors: !!python/object/apply:os.system [id]", "line 1"),
        ("monitors: " + "[" * 50 + "]" * 50, "line 1: is nested too deeply"),
        ("maintenance:\n - {id: a, name: x, starts_at: 2026-13-45}", "line 2: starts_at"),
        ("maintenance:\n - {id: a, name: x, starts_at: soon}", "starts_at must be a time"),
        (
            "maintenance:\n - id: a\n   name: x\n   starts_at: 2026-11-29T01:00:00Z\n"
            "   timezone: Mars/Olympus\n",
            "line 5: There is no time zone",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(text: str, problem: str) -> None:
    assert problem in problems_in(text)


def test_all_mistakes_are_named_at_once() -> None:
    text = "monitors:\n  - {id: a, nmae: x}\n  - {id: b, name: y, retries: many}\n"

    assert problems_in(text).splitlines() == [
        "line 2: there is no 'nmae' here",
        "line 2: 'name' is missing",
        "line 3: retries must be a whole number",
    ]


def test_billion_laughs_are_refused_before_anything_is_built() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]

    assert "aliases are not read" in problems_in("\n".join(lines))


def test_texts_are_taken_as_they_are_written() -> None:
    text = "monitors: [{id: 1.10, name: no, expected_status: 200, tags: [on, 0x1F, 2026-11-29]}]"

    (entry,) = documents.read(text).monitors.values()

    assert entry.key == "1.10"
    assert entry.fields["name"] == "no"
    assert entry.fields["expected_status"] == "200"
    assert entry.fields["tags"] == ["on", "0x1F", "2026-11-29"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "monitors:\n", "monitors: []\n"])
def test_empty_document_is_one(text: str) -> None:
    assert documents.read(text) == documents.Document({}, {})


hostile = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(
            [
                *("monitors:", "maintenance:", "\n", "  ", "- ", "id: a", "name: b", "{", "}"),
                *("[", "]", "&a", "*a", "!!binary ", "!!set ", "? ", "<<: ", "|", ">", "---"),
                *("'", '"', "\\", "~", "1", "2026-01-01", ".inf", "${X}", "headers: ", ": "),
            ]
        ),
        max_size=40,
    ).map("".join),
)


@settings(max_examples=300, deadline=None)
@given(hostile)
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with suppress(DocumentError):
        assert isinstance(documents.read(text).monitors, dict)


# The command


@pytest.fixture
def manage(tmp_path: Path) -> Callable[..., str]:
    file = tmp_path / "monitors.yaml"

    def run(verb: str, text: str = "", *options: str) -> str:
        file.write_text(text, encoding="utf-8")
        out = StringIO()
        arguments = [str(file)] if verb != "export" else []
        call_command("monitors", verb, *arguments, *options, stdout=out)
        return out.getvalue()

    return run


@pytest.mark.django_db
def test_command_plans_applies_and_exports(
    tenant: Tenant, manage: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", CANARY)

    said = manage("plan", TWO)
    assert "+ create monitor shop “Shop”" in said
    assert "3 to create, 0 to change, 0 to delete; 0 as the document says." in said
    assert not Monitor.objects.exists()
    with pytest.raises(SystemExit) as left:
        manage("plan", TWO, "--detailed-exitcode")
    assert left.value.code == 2
    assert "3 created, 0 changed, 0 deleted" in manage("apply", TWO)
    assert "Nothing to do: 3 as the document says." in manage("plan", TWO, "--detailed-exitcode")
    said = manage("plan", TWO.replace("interval_seconds: 60", "interval_seconds: 90"))
    assert "~ change monitor shop “Shop”\n    interval_seconds: 60 → 90\n" in said
    text = manage("export")
    assert "Nothing to do" in manage("plan", text, "--prune")
    assert CANARY not in said + text
    assert "- delete monitor router “Router”" in manage("plan", "monitors: []", "--prune")


@pytest.mark.django_db
def test_command_shows_a_push_token_once(tenant: Tenant, manage: Callable[..., str]) -> None:
    said = manage("apply", "monitors: [{id: b, name: Backup, kind: push}]", "--json")

    token = json.loads(said)["push_tokens"]["b"]
    assert Monitor.objects.get().push_token_hash == hash_of(token)
    assert token not in manage("export")


@pytest.mark.django_db
def test_command_names_what_is_wrong(tenant: Tenant, manage: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match="line 1: there is no 'monitrs' here") as refused:
        manage("apply", "monitrs: []")
    assert refused.value.returncode == 1
    with pytest.raises(CommandError, match="There is no tenant") as refused:
        manage("plan", "", "--tenant", "nobody")
    assert refused.value.returncode == 2
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("monitors", "plan", "/nowhere/monitors.yaml")


@pytest.mark.django_db
def test_monitor_whose_key_is_gone_can_be_given_new_headers(
    tenant: Tenant, settings: Settings
) -> None:
    apply(tenant, TWO, SHOP_TOKEN="old")
    Monitor.objects.filter(external_id="shop").update(headers_sealed="v1:gone")

    with pytest.raises(DocumentError, match="no sealed value to keep"):
        plan_of(tenant, TWO.replace("Bearer ${SHOP_TOKEN}", "(sealed)"))
    apply(tenant, TWO, SHOP_TOKEN=CANARY)

    shop = Monitor.objects.get(external_id="shop")
    assert headers_of(shop)["Authorization"] == f"Bearer {CANARY}"
