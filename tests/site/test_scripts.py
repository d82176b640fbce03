"""`script/run` and `script/test` before there is anything to run: what they make, and say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import ROOT

# Stands for .venv/bin/python: notes what it is asked, installs and serves nothing.
STUB = """#!/bin/sh
echo "$*" | head -n 1 >>"{calls}"
case "$1 $2" in "-m pip" | "manage.py quickstart") exit 0 ;; esac
exec "{python}" "$@"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone's scripts and lists, without a virtual environment."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "script", folder / "script")
    for listed in ROOT.glob("requirements*.txt"):
        shutil.copy(listed, folder)
    return folder


def put_executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def put_environment(clone: Path) -> None:
    stub = STUB.format(calls=clone / "calls", python=sys.executable)
    put_executable(clone / ".venv" / "bin" / "python", stub)


def calls(clone: Path) -> str:
    return (clone / "calls").read_text()


def script(
    clone: Path, name: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [clone / "script" / name, *arguments],
        cwd="/",  # they work from anywhere
        env={"PATH": os.environ["PATH"], "HOME": str(clone)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["run", "test"])
def test_without_the_venv_module_one_line_names_the_package(clone: Path, name: str) -> None:
    lacking = f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n'
    put_executable(clone / "bin" / "python3", lacking)
    done = script(clone, name, PATH=f"{clone / 'bin'}:/usr/bin:/bin")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert done.returncode == 1
    assert done.stderr == (
        f"Python {version} has no venv module: install the package python{version}-venv.\n"
    )


def test_without_a_python_new_enough_one_line_says_so(clone: Path) -> None:
    for name in ("python3", *(f"python3.{minor}" for minor in range(11, 15))):
        put_executable(clone / "bin" / name, "#!/bin/sh\nexit 1\n")
    done = script(clone, "run", PATH=f"{clone / 'bin'}:/usr/bin:/bin")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "3.11" in done.stderr


def test_the_first_run_writes_keys_that_only_we_can_read_and_the_second_keeps_them(
    clone: Path,
) -> None:
    put_environment(clone)
    assert script(clone, "run").returncode == 0
    written = (clone / ".env").read_text()
    assert (clone / ".env").stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in written.splitlines() if "=" in line)
    assert len(values["SECRET_KEY"]) > 50
    assert len(bytes.fromhex(values["ENCRYPTION_KEY"])) == 32
    assert script(clone, "run").returncode == 0
    assert (clone / ".env").read_text() == written


def test_packages_are_installed_once_for_each_list(clone: Path) -> None:
    put_environment(clone)
    script(clone, "run", "--port", "8001")
    script(clone, "run")
    assert calls(clone).count("-r requirements.txt") == 1
    assert calls(clone).count("-r requirements-simulator.txt") == 1
    assert "manage.py quickstart --port 8001" in calls(clone)
    with (clone / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    script(clone, "run")
    assert calls(clone).count("-r requirements.txt") == 2


def test_with_aws_the_simulator_is_not_installed(clone: Path) -> None:
    put_environment(clone)
    script(clone, "run", "--aws")
    assert "simulator" not in calls(clone)
    assert "manage.py quickstart --aws" in calls(clone)


@pytest.mark.parametrize("name", ["run", "test"])
def test_help_costs_nothing(clone: Path, name: str) -> None:
    done = script(clone, name, "--help")
    assert done.returncode == 0
    assert f"script/{name}" in done.stdout
    assert not (clone / ".venv").exists()


def test_an_unknown_option_is_named(clone: Path) -> None:
    done = script(clone, "test", "--slow")
    assert done.returncode == 1
    assert "--slow" in done.stderr
