"""The web server that is watched and the exporter beside us, from Debian's packages, unpacked into
a folder of this run: nothing is installed and no service starts.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme

from benchmarks.processes import running
from tests.ports import free_port

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_timeout 0; default_type application/json;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem; ssl_session_cache off;
  ssl_session_tickets off; ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{https} ssl backlog=4096;
    location / {{ return 200 '{{"status":"ok"}}'; }}
  }}
}}
"""
_EXPORTER = """
modules:
  check:
    prober: http
    timeout: 10s
    http:
      preferred_ip_protocol: ip4
      fail_if_body_not_matches_regexp: ['"status":"ok"']
"""


class ProgramMissingError(Exception):
    """nginx or prometheus-blackbox-exporter could not be fetched from Debian's packages."""


@dataclass(frozen=True)
class Site:
    """A running nginx. `roots` is a file of 150 roots with the one that signed its certificate."""

    http: str
    https: str
    roots: Path


def unpack(folder: Path, *packages: str) -> None:
    """Fetch and unpack packages. Raises `ProgramMissingError`."""
    try:
        subprocess.run(["apt-get", "download", "-qq", *packages], cwd=folder, check=True)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProgramMissingError(str(ProgramMissingError.__doc__)) from error


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    program = shutil.which("nginx") or str(folder / "usr/sbin/nginx")
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    roots = folder / "roots.pem"
    roots.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    http, https = free_port(), free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, http=http, https=https))
    command = [program, "-c", str(configuration), "-e", str(folder / "nginx.err")]
    with running(command, folder, {}, folder / "nginx.log"):
        wait_for_port(http)
        yield Site(f"http://127.0.0.1:{http}/", f"https://127.0.0.1:{https}/", roots)


@contextmanager
def exporter(folder: Path, roots: Path) -> Iterator[tuple[int, int]]:
    """Its port and process id."""
    program = folder / "usr/bin/prometheus-blackbox-exporter"
    configuration = folder / "exporter.yml"
    configuration.write_text(_EXPORTER)
    port = free_port()
    command = [str(program), f"--config.file={configuration}", "--log.level=error"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    environment = {"SSL_CERT_FILE": str(roots)}
    with running(command, folder, environment, folder / "exporter.log") as process:
        wait_for_port(port)
        yield port, process.pid


def wait_for_port(port: int, seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ProgramMissingError(f"Nothing listens on port {port}: its log is in the folder.")
