"""Which roots are trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitors.probes.http import HttpEngine
from monitors.probes.trust import TrustStore
from tests.monitors.probes.certificates import Issued, issue
from tests.monitors.probes.checking import check
from tests.monitors.probes.servers import Server, answer, says


def test_system_has_roots_without_being_asked() -> None:
    assert Path(TrustStore().path).read_bytes().count(b"BEGIN CERTIFICATE") > 50


def test_operators_roots_are_trusted_beside_the_public_ones(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(issue("Own root", is_ca=True).pem)
    store = TrustStore(str(own))
    merged = Path(store.path).read_bytes()
    assert merged.endswith(own.read_bytes())
    assert merged.startswith(Path(TrustStore().path).read_bytes())
    store.close()
    assert not Path(store.path).exists()


def test_ssl_cert_file_names_the_trusted_roots(
    root: Issued, opened: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "roots.pem"
    bundle.write_bytes(root.pem)
    with Server(says(answer()), tls=issue("leaf", root).context()) as server:
        with HttpEngine(1) as engine:
            assert check(engine, server.url()).error_code == "certificate"
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        with HttpEngine(1) as engine:
            assert check(engine, server.url()).success
