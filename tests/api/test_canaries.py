"""Planted secrets, scans that end in three ways, monitors and channels that fail, real processes:
nobody finds one afterwards.
"""

from __future__ import annotations

import json
import re
import secrets
import string
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from django.contrib import admin
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.urls import reverse
from django_q.models import OrmQ, Task

from alerts.models import AlertChannel, AlertRule, DeliveryAttempt, Incident
from hostmaster.core.jobs import doorbells
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.tenants.models import Role, Tenant
from monitors.models import Monitor, MonitorCheck
from monitors.services import headers_of
from scans.aws.accounts import open_keys
from scans.models import Account, ScanJob
from tests.alerts.receiver import Answer, Received, Receiver
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.aws_simulator.seed import seed
from tests.concurrency.processes import stop, wait_for
from tests.factories import make_staff, make_tenant, make_token
from tests.ports import free_port
from tests.projects import ROOT, Project

pytestmark = [pytest.mark.services, pytest.mark.both_databases, pytest.mark.timeout(240)]

REGION = "eu-west-1"
NOT_SECRET = "plainly visible account"  # found wherever we look: the search itself works
PAGES_A_MODEL = 10

WITH_FORMS = {Monitor, AlertChannel, AlertRule}

Keys = dict[str, str]


def shaped_keys() -> Keys:
    """As AWS makes them."""
    letters = string.ascii_letters + string.digits
    return {
        "access_key_id": "AKIA"
        + "".join(secrets.choice(string.ascii_uppercase) for _ in range(16)),
        "secret_access_key": "Aa1" + "".join(secrets.choice(letters) for _ in range(37)),
        "session_token": "FwoGZXIvYXdzE" + "".join(secrets.choice(letters) for _ in range(300)),
    }


def shapeless_keys() -> Keys:
    """Nothing tells from their form that they are secrets."""
    words = ("access_key_id", "secret_access_key", "session_token")
    return {word: f"canary_{secrets.token_hex(5)}" for word in words}


@dataclass
class Aviary:
    """All planted secrets by what they are, and all texts in which none may be."""

    planted: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def plant(self, name: str, secret: str) -> str:
        assert name not in self.planted
        self.planted[name] = secret
        return secret

    def plant_keys(self, name: str, keys: Keys) -> Keys:
        return {part: self.plant(f"{part} of {name}", secret) for part, secret in keys.items()}

    def hear(self, where: str, text: str) -> str:
        self.texts[f"{len(self.texts)} {where}"] = text
        return text

    def found(self) -> list[str]:
        return [
            f"{name} in {where}"
            for where, text in self.texts.items()
            for name, secret in self.planted.items()
            if secret in text
        ]


class Web:
    """The web server as a process of its own, with its log."""

    def __init__(self, project: Project, aviary: Aviary) -> None:
        self.port = free_port()
        self._aviary = aviary
        self._log = project.directory / "web.log"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "uvicorn", "hostmaster.asgi:application"),
                    *("--port", str(self.port), "--log-level", "debug"),
                ],
                cwd=ROOT,
                env=project.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        project.processes.append(self.process)
        self.session = requests.Session()
        self.session.trust_env = False
        wait_for(self._answers, 60, "the web server answers")

    def _answers(self) -> bool:
        try:
            return self.session.get(self.url("/health/live"), timeout=5).ok
        except requests.ConnectionError:
            return False

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def call(
        self, method: str, path: str, token: str = "", body: Any = None, *, is_heard: bool = True
    ) -> Any:
        """Ask the API; the answer is heard by the aviary, unless it is the one that tells."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.request(
            method, self.url(f"/api/v1{path}"), headers=headers, json=body, timeout=30
        )
        if is_heard:
            self._aviary.hear(f"{method} {path}", answer.text + str(answer.headers))
        return answer.json() if answer.content else None

    def page(self, path: str, **form: str) -> str:
        """A page of the admin; with a form, POSTed."""
        if form:
            form["csrfmiddlewaretoken"] = self.session.cookies["csrftoken"]
            answer = self.session.post(
                self.url(path), data=form, headers={"Referer": self.url(path)}, timeout=30
            )
        else:
            answer = self.session.get(self.url(path), timeout=30)
        assert answer.status_code == 200, (path, answer.status_code)
        return self._aviary.hear(path, answer.text)

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@pytest.fixture
def aviary(project_env: Project) -> Aviary:
    aviary = Aviary()
    environment = project_env.environment
    aviary.plant("SECRET_KEY", environment["SECRET_KEY"])
    aviary.plant("ENCRYPTION_KEY", environment["ENCRYPTION_KEY"])
    old = [aviary.plant(f"old encryption key {n}", secrets.token_hex(32)) for n in range(2)]
    mail = aviary.plant("password of the mail server", secrets.token_hex(12))
    environment |= {
        "ENCRYPTION_KEYS_OLD": ",".join(old),
        "METRICS_TOKEN": aviary.plant("METRICS_TOKEN", f"canary_{secrets.token_hex(12)}"),
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
        "HOSTMASTER_ALLOWED_NETWORKS": "127.0.0.1/32",
        "EMAIL_URL": f"smtp://mailer:{mail}@127.0.0.1:9",
    }
    return aviary


@pytest.fixture
def web(project_env: Project, aviary: Aviary, fault_proxy: FaultProxy) -> Iterator[Web]:
    project_env.environment["AWS_ENDPOINT_URL"] = fault_proxy.endpoint_url
    web = Web(project_env, aviary)
    yield web
    web.process.kill()
    web.process.wait()


@dataclass
class Story:
    """Scans of one ending: two accounts with keys, and keys that come with the request."""

    project: Project
    web: Web
    aviary: Aviary
    token: str

    def request_scans(self, ending: str) -> list[str]:
        """By accounts with keys of both forms; their ids."""
        jobs = []
        for form, keys in (("shaped", shaped_keys()), ("shapeless", shapeless_keys())):
            name = f"{NOT_SECRET}, {form}, {ending}"
            planted = self.aviary.plant_keys(name, keys)
            body = {"name": name, "regions": [REGION], **planted}
            account = self.web.call("POST", "/accounts", self.token, body)
            wanted = {"kind": "aws", "account": account["id"]}
            jobs.append(self.web.call("POST", "/scans", self.token, wanted)["id"])
        return jobs

    def request_one_off(self, ending: str) -> str:
        planted = self.aviary.plant_keys(f"a request, {ending}", shaped_keys())
        body = {"kind": "aws", "credentials": planted, "regions": [REGION]}
        answer: str = self.web.call("POST", "/scans", self.token, body)["id"]
        return answer

    def run_until(self, state: str, jobs: Iterable[str]) -> None:
        """A cluster, until all are in that state."""
        wanted = list(jobs)
        cluster = self.project.start("qcluster", "--lane", "scans")
        done = ScanJob.objects.filter(pk__in=wanted, state=state)
        wait_for(lambda: done.count() == len(wanted), 60, f"{state}: {self._states(wanted)}")
        assert stop(cluster) == 0
        self.aviary.hear(f"log of the workers, {state}", self.project.log(cluster))

    def _states(self, jobs: list[str]) -> list[tuple[str, Any]]:
        return list(ScanJob.objects.filter(pk__in=jobs).values_list("state", "errors"))


def signature_error(aviary: Aviary) -> Fault:
    """AWS quotes the request it was sent, session token included; here everything."""
    quoted = " ".join(f"x-amz-security-token:{secret}" for secret in aviary.planted.values())
    message = f"The Canonical String for this request should have been 'POST / {quoted}'"
    return Fault(code="SignatureDoesNotMatch", message=message)


def time_out_soon(jobs: Iterable[str]) -> None:
    """Their only attempt ends by django-q2's timer after two seconds."""
    OrmQ.objects.all().delete()
    for job in jobs:
        ScanJob.objects.filter(pk=job).update(max_attempts=1)
        doorbells.send(Lane.SCANS, doorbells.RUN_JOB, "scans.ScanJob", job, timeout=2)


def queue_rows() -> str:
    messages = [repr(row.task) for row in OrmQ.objects.all()]
    results = [repr((t.func, t.args, t.kwargs, t.result)) for t in Task.objects.all()]
    return "\n".join(messages + results)


def every_row() -> Iterator[tuple[str, str]]:
    """All columns of all tables as text."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            yield table, "\n".join(_as_text(value) for row in cursor.fetchall() for value in row)


def _as_text(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    return value if isinstance(value, str) else json.dumps(value, default=str)


def admin_pages() -> Iterator[str]:
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        for pk in list(model._default_manager.values_list("pk", flat=True)[:PAGES_A_MODEL]):
            yield reverse(f"{name}_change", args=[pk])
            if model in WITH_FORMS:
                yield reverse(f"{name}_edit", args=[pk])


def api_pages(tenant: Tenant) -> Iterator[str]:
    for path in ("accounts", "scans", "recommendations", "instances", "resources"):
        yield f"/{path}?limit=200"
    yield from (f"/accounts/{row.pk}" for row in Account.objects.filter(tenant=tenant))
    yield from (f"/scans/{row.pk}" for row in ScanJob.objects.filter(tenant=tenant))


def test_no_secret_is_found_after_a_good_a_refused_and_a_timed_out_scan(
    project_env: Project,
    aviary: Aviary,
    web: Web,
    fault_proxy: FaultProxy,
) -> None:
    seed(f"http://{fault_proxy.target}", regions=(REGION,), instances=2, unattached_volumes=1)
    tenant = make_tenant()
    tokens = {}
    for role in Role:
        tokens[role] = make_token(tenant=tenant, role=role).plain_text
        aviary.plant(f"token of {role}", tokens[role].rpartition("_")[2])
    story = Story(project_env, web, aviary, tokens[Role.ADMIN])

    good = story.request_scans("good")
    aviary.hear("queue rows that wait", queue_rows())
    assert OrmQ.objects.count() == 2
    story.run_until("COMPLETED", good)
    # It may only scan when no other scan of that AWS account is open, and all are of one.
    story.run_until("COMPLETED", [story.request_one_off("good")])

    refused = [*story.request_scans("refused"), story.request_one_off("refused")]
    fault_proxy.add(signature_error(aviary))
    story.run_until("FAILED", refused)
    fault_proxy.mend()

    late = [*story.request_scans("timed out"), story.request_one_off("timed out")]
    fault_proxy.hang("DescribeInstances")
    fault_proxy.hang("DescribeRegions")
    time_out_soon(late)
    story.run_until("TIMED_OUT", late)
    fault_proxy.mend()

    shell = aviary.plant_keys("the shell", shaped_keys())
    project_env.environment |= {f"AWS_{name.upper()}": shell[name] for name in shell}
    said = project_env.manage("run_scan", "--current-credentials", "--json", "--regions", REGION)
    aviary.hear("run_scan", said.stdout + said.stderr)

    # Secrets where they do not belong.
    wrong = aviary.plant("a wrong token", secrets.token_hex(32))
    web.call("GET", "/accounts", f"hm_0123456789abcdef_{wrong}")
    misplaced = {"kind": "aws", "account": shell["secret_access_key"], "credentials": shell}
    web.call("POST", "/scans", tokens[Role.OPERATOR], misplaced)
    web.call("POST", "/accounts", tokens[Role.VIEWER], {"name": "x", **shell})
    for path in api_pages(tenant):
        web.call("GET", path, tokens[Role.ADMIN])

    look_everywhere(web, aviary)

    assert len(aviary.planted) == 41
    assert aviary.found() == []
    assert_the_search_works(aviary, good[0])
    account = Account.objects.get(name=f"{NOT_SECRET}, shapeless, good")
    planted = aviary.planted[f"secret_access_key of {account.name}"]
    assert open_keys(account).secret_access_key == planted, "and the keys are still there"
    assert not ScanJob.objects.exclude(credentials_sealed=None).exists()


def look_everywhere(web: Web, aviary: Aviary) -> None:
    """Each page of the admin, each column of each table, the queue, the web server's log."""
    password = aviary.plant("an administrator's password", f"canary_{secrets.token_hex(8)}")
    hasher = PBKDF2PasswordHasher()  # the server's; the tests' own is a cheap one
    User.objects.filter(pk=make_staff(username="canary").pk).update(
        password=hasher.encode(password, hasher.salt())
    )
    web.page("/admin/login/")
    assert "Log out" in web.page(
        "/admin/login/", username="canary", password=password, next="/admin/"
    )
    for path in admin_pages():
        web.page(path)
    for table, text in every_row():
        aviary.hear(f"table {table}", text)
    aviary.hear("queue rows and their results", queue_rows())
    aviary.hear("log of the web server", web.log())


def assert_the_search_works(aviary: Aviary, job: str) -> None:
    """What is no secret is found in each kind of place."""
    for place, visible in {
        r"table accounts": NOT_SECRET,
        r"GET /accounts": NOT_SECRET,
        r"/admin/scans/account/": NOT_SECRET,
        r"log of the workers, COMPLETED": job,
        r"log of the web server": "/api/v1/scans",
        r"queue rows that wait": job,
        r"run_scan": "COMPLETED",
    }.items():
        texts = [text for where, text in aviary.texts.items() if re.search(place, where)]
        assert any(visible in text for text in texts), f"{visible} is not in {place}"


def reflect(received: Received) -> Answer:
    """A receiver that repeats whatever it is sent, as an error."""
    text = f"{received.path} {received.headers} {received.body.decode(errors='replace')}"
    headers = {"X-Seen": received.path, "Location": received.path}
    return Answer(status=403, body=text.encode(), headers=headers)


@pytest.fixture
def mirror() -> Iterator[Receiver]:
    with Receiver(reflect) as receiver:
        yield receiver


def test_no_secret_of_monitors_and_channels_is_found_after_they_failed(
    project_env: Project, aviary: Aviary, web: Web, mirror: Receiver
) -> None:
    tenant = make_tenant()
    token = make_token(tenant=tenant, role=Role.ADMIN).plain_text
    aviary.plant("token of an admin", token.rpartition("_")[2])

    def secret(name: str) -> str:
        return aviary.plant(name, f"canary-{secrets.token_hex(8)}")

    def make(path: str, body: Any) -> Any:
        return web.call("POST", path, token, body, is_heard=False)

    channels = []
    for kind in ("webhook", "discord", "slack"):
        url = mirror.url(f"/{secret(f'URL of a {kind}')}")
        body = {"name": f"{NOT_SECRET} {kind}", "type": kind, "config": {"url": url}}
        channels.append(make("/alert-channels", body))
    aviary.plant("secret of a webhook", channels[0]["secret"].removeprefix("whsec_"))
    address = f"{secret('an address')}@example.com"
    config = {"to": [address]}
    channels.append(make("/alert-channels", {"name": "mail", "type": "email", "config": config}))

    authorization = secret("a monitor's header")
    monitor = make(
        "/monitors",
        {
            "name": NOT_SECRET,
            "url": mirror.url("/watched"),
            "method": "POST",
            "expected_status": "403",
            "headers": {"Authorization": f"Bearer {authorization}", "X-Key": authorization},
            "assertions": [
                {"source": "header", "target": "x-seen", "op": "==", "value": "something else"}
            ],
            "retries": 0,
            "interval_seconds": 1,
        },
    )
    push = make("/monitors", {"name": "Backup", "kind": "push"})
    aviary.plant("a push token", push["push_token"])
    told = [channel["id"] for channel in channels]
    rule = {"name": "down", "kind": "down", "threshold": 1, "channels": told}
    make("/alert-rules", rule)

    cluster = project_env.start("qcluster")
    wait_for(lambda: Incident.objects.exists(), 60, "an incident opens")
    wait_for(
        lambda: DeliveryAttempt.objects.values("channel").distinct().count() >= len(channels),
        60,
        "each channel was tried",
    )
    web.call("POST", f"/heartbeats/{push['push_token']}", is_heard=False)
    web.call("POST", f"/heartbeats/{aviary.plant('a wrong push token', secrets.token_hex(20))}")
    for channel in told:
        web.call("POST", f"/alert-channels/{channel}/test", token)
    rotated = make(f"/alert-channels/{told[0]}/rotate-secret", None)["secret"]
    aviary.plant("a new secret of a webhook", rotated.removeprefix("whsec_"))
    renewed = make(f"/monitors/{push['id']}/push-token", None)["push_token"]
    aviary.plant("a new push token", renewed)
    wrong = {"name": "x", "type": "slack", "config": {"url": f"ftp://{secret('a wrong URL')}/"}}
    web.call("POST", "/alert-channels", token, wrong)
    headers = {"X": f"{secret('a wrong header')}\n"}
    web.call("PATCH", f"/monitors/{monitor['id']}", token, {"version": 1, "headers": headers})
    assert stop(cluster) == 0
    aviary.hear("log of the workers", project_env.log(cluster))
    exported = project_env.manage("monitors", "export")
    aviary.hear("monitors export", exported.stdout + exported.stderr)
    for path in (
        *("/monitors", f"/monitors/{monitor['id']}", f"/monitors/{monitor['id']}/checks"),
        *("/alert-channels", "/alert-rules", "/incidents", "/notifications", "/silences"),
        *(f"/alert-channels/{channel}" for channel in told),
    ):
        web.call("GET", path, token)
    look_everywhere(web, aviary)

    assert any(authorization in str(received.headers) for received in mirror.received)
    assert MonitorCheck.objects.filter(success=False, monitor=monitor["id"]).exists()
    assert aviary.found() == []
    for place in ("table monitors", "GET /monitors", "/admin/monitors/monitor/", "monitors export"):
        texts = [text for where, text in aviary.texts.items() if place in where]
        assert any(NOT_SECRET in text for text in texts), f"{NOT_SECRET} is not in {place}"
    stored = headers_of(Monitor.objects.get(pk=monitor["id"]))
    assert stored["Authorization"] == f"Bearer {authorization}", "and the headers are still there"
