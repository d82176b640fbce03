"""Every way we know of to talk a program into dialling a forbidden address, as data.

`hostile_urls(address)` spells one IPv4 loopback address in all of them; `{port}` stands for the
port of the `Sink` that listens there and counts who comes. Probes, webhooks and the channel test
are all tried with the same corpus.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address

METADATA_ADDRESSES = [
    *("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"),
    *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    *("169.254.170.2", "192.0.0.192", "fd20:ce::254", "169.254.170.23", "fd00:ec2::23"),
]
REDIRECT_STATUSES = [301, 302, 303, 307, 308]
FOREIGN_SCHEMES = [
    *("gopher", "gophers", "file", "ftp", "ftps", "dict", "ldap", "ldaps", "scp", "sftp", "smb"),
    *("smbs", "tftp", "telnet", "imap", "imaps", "pop3", "pop3s", "smtp", "smtps", "rtsp", "rtmp"),
    *("mqtt", "mqtts", "ws", "wss", "unix", "http+unix", "jar", "netdoc", "view-source", "ssh"),
]
# A resolver that knows these answers with loopback; `answers_of` says so to whoever fakes one.
REBINDING_NAMES = ["loopback.example", "rebinding.example", "mixed.example", "metadata.example"]


class Sink:
    """A listener on every loopback address, IPv4 and IPv6, that counts the connections it gets."""

    def __init__(self) -> None:
        self._server = socket.create_server(
            ("::", 0), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True
        )
        self.port = int(self._server.getsockname()[1])
        self.connections: list[str] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that holds it open
        self._server.close()

    def reach(self) -> int:
        """How many came, proved by a connection of our own through the same queue: what was
        dialled before it has been counted when it is."""
        before = len(self.connections)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.settimeout(5)
            connection.recv(1)  # the sink hangs up on everybody, in order
            own = f"::ffff:127.0.0.1 {connection.getsockname()[1]}"
        others = [peer for peer in self.connections if peer != own]
        assert len(self.connections) > before, "the sink counts nobody"
        self.connections = others
        return len(others)

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._server.accept()
            except OSError:
                return
            self.connections.append(f"{peer[0]} {peer[1]}")
            connection.close()


def hostile_urls(address: str = "127.0.0.1") -> list[tuple[str, str]]:
    """(name, URL with `{port}`) of every hostile form of `address`; well over 200."""
    hosts = [*_ipv4_spellings(address), *_ipv6_spellings(address), *_names()]
    urls = [
        (f"{scheme} {name}", f"{scheme}://{host}:{{port}}/")
        for name, host in hosts
        for scheme in ("http", "https")
    ]
    urls += _tricks(address)
    urls += [(f"scheme {scheme}", f"{scheme}://{address}:{{port}}/x") for scheme in FOREIGN_SCHEMES]
    return urls


def _ipv4_spellings(address: str) -> Iterator[tuple[str, str]]:
    a, b, c, d = (int(part) for part in address.split("."))
    number = int(IPv4Address(address))
    yield "dotted", address
    yield "decimal", str(number)
    yield "hex", hex(number)
    yield "hex upper", f"0X{number:08X}"
    yield "hex padded", f"0x{number:016x}"
    yield "octal", f"0{number:o}"
    yield "octal padded", f"0000{number:o}"
    yield "two parts", f"{a}.{number & 0xFFFFFF}"
    yield "three parts", f"{a}.{b}.{(c << 8) + d}"
    yield "dotted hex", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield "dotted octal", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield "dotted long octal", f"0000{a:o}.0000{b:o}.0000{c:o}.0000{d:o}"
    yield "leading zeros", f"{a:03}.{b:03}.{c:03}.{d:03}"
    yield "mixed bases", f"{a:#x}.0{b:o}.{c}.{d:#x}"
    yield "hex two parts", f"{a:#x}.{number & 0xFFFFFF:#x}"
    yield "octal two parts", f"0{a:o}.0{number & 0xFFFFFF:o}"
    yield "overflow", str(number + (1 << 32))
    yield "overflow parts", f"{a + 256}.{b}.{c}.{d}"
    yield "trailing dot", f"{address}."
    yield "two trailing dots", f"{address}.."
    yield "brackets", f"[{address}]"
    yield "percent-encoded", "".join(f"%{ord(char):02x}" for char in address)
    yield "percent-encoded dots", address.replace(".", "%2e")
    yield "percent-encoded digit", f"%{ord(address[0]):02x}{address[1:]}"
    yield "double-encoded", "".join(f"%25{ord(char):02x}" for char in address)
    yield "percent zero", f"{address}%00.example"
    for name, dot in {"ideographic": "。", "fullwidth": "．", "halfwidth": "｡"}.items():
        yield f"{name} dots", address.replace(".", dot)
    yield "encoded ideographic dots", address.replace(".", "%E3%80%82")
    yield "fullwidth digits", _shifted(address, 0xFF10)
    yield "mathematical digits", _shifted(address, 0x1D7CE)
    yield "arabic digits", _shifted(address, 0x0660)
    yield "superscript one", address.replace("1", "¹")
    yield "circled digits", address.translate({48: "⓪", 49: "①", 50: "②", 55: "⑦"})
    yield "soft hyphen", f"{address[0]}\u00ad{address[1:]}"
    yield "zero-width space", f"{address[0]}\u200b{address[1:]}"
    yield "zero-width joiner", f"{address}\u200d"
    yield "byte order mark", f"\ufeff{address}"
    yield "right-to-left", f"\u202e{address}"
    yield "nip name", f"{address}.nip.io"
    yield "dashed sslip name", f"{address.replace('.', '-')}.sslip.io"
    yield "zero", "0"
    yield "all zeros", "0.0.0.0"
    yield "hex zero", "0x0"
    yield "end of loopback", "127.255.255.254"


def _ipv6_spellings(address: str) -> Iterator[tuple[str, str]]:
    number = int(IPv4Address(address))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    inverted = number ^ 0xFFFFFFFF
    yield "loopback", "[::1]"
    yield "loopback in full", "[0000:0000:0000:0000:0000:0000:0000:0001]"
    yield "loopback zeros", "[0:0:0:0:0:0:0:1]"
    yield "loopback dotted", "[::0.0.0.1]"
    yield "unspecified", "[::]"
    yield "loopback with zone", "[::1%25lo]"
    yield "loopback with bare zone", "[::1%lo]"
    yield "loopback with zone number", "[::1%251]"
    yield "mapped", f"[::ffff:{address}]"
    yield "mapped hex", f"[::ffff:{high}:{low}]"
    yield "mapped upper", f"[::FFFF:{high}:{low}]"
    yield "mapped in full", f"[0:0:0:0:0:ffff:{high}:{low}]"
    yield "mapped long", f"[0000:0000:0000:0000:0000:ffff:{address}]"
    yield "mapped with zone", f"[::ffff:{address}%25lo]"
    yield "mapped zero", "[::ffff:0.0.0.0]"
    yield "translated", f"[::ffff:0:{address}]"
    yield "compatible", f"[::{address}]"
    yield "compatible hex", f"[::{high}:{low}]"
    yield "NAT64", f"[64:ff9b::{high}:{low}]"
    yield "NAT64 dotted", f"[64:ff9b::{address}]"
    yield "NAT64 local", f"[64:ff9b:1::{high}:{low}]"
    yield "6to4", f"[2002:{high}:{low}::1]"
    yield "6to4 private", "[2002:a00:1::1]"
    yield "Teredo client", f"[2001:0:808:808:0:0:{inverted >> 16:x}:{inverted & 0xFFFF:x}]"
    yield "Teredo server", f"[2001:0:{high}:{low}::1]"
    yield "ISATAP", f"[fe80::5efe:{high}:{low}]"
    yield "link-local", "[fe80::1]"
    yield "link-local with zone", "[fe80::1%25lo]"
    yield "unique local", "[fd00::1]"
    yield "site-local", "[fec0::1]"
    yield "multicast nodes", "[ff01::1]"
    yield "multicast with zone", "[ff02::1%25lo]"
    yield "discard", "[100::1]"
    yield "documentation", "[2001:db8::1]"
    yield "future literal", f"[v1.{address}]"
    yield "unclosed", "[::1"
    yield "percent-encoded brackets", "%5b::1%5d"


def _names() -> Iterator[tuple[str, str]]:
    yield "localhost", "localhost"
    yield "localhost upper", "LOCALHOST"
    yield "localhost with dot", "localhost."
    yield "localhost below", "a.localhost"
    yield "localhost domain", "localhost.localdomain"
    yield "localhost of IPv6", "ip6-localhost"
    yield "loopback of IPv6", "ip6-loopback"
    yield "localhost encoded", "%6c%6f%63%61%6c%68%6f%73%74"
    yield "localhost fullwidth", _shifted_letters("localhost", 0xFF41)
    yield "localhost circled", _shifted_letters("localhost", 0x24D0)
    yield "localhost script", "ℓocalhost"
    yield "localhost long s", "localhoſt"
    yield "own name", socket.gethostname()
    yield "metadata name", "metadata.google.internal"
    yield from ((f"name {name}", name) for name in REBINDING_NAMES)


def _tricks(address: str) -> list[tuple[str, str]]:
    place = f"{address}:{{port}}"
    forms = {
        "userinfo": f"http://public.example@{place}/",
        "userinfo with port": f"http://public.example:80@{place}/",
        "userinfo with password": f"http://user:secret@{place}/",
        "userinfo twice": f"http://a@public.example@{place}/",
        "userinfo encoded at": f"http://public.example%40{place}/",
        "userinfo with slash": f"http://public.example%2f@{place}/",
        "userinfo with hash": f"http://public.example%23@{place}/",
        "empty userinfo": f"http://@{place}/",
        "empty userinfo and password": f"http://:@{place}/",
        "userinfo of IPv6": "http://public.example@[::1]:{port}/",
        "hash before at": f"http://public.example#@{place}/",
        "question before at": f"http://public.example?@{place}/",
        "backslash before at": f"http://public.example\\@{place}/",
        "backslash after host": f"http://{place}\\@public.example/",
        "backslashes": f"http:\\\\{place}\\",
        "slash and backslash": f"http:/\\{place}/",
        "no slash": f"http:{place}/",
        "one slash": f"http:/{place}/",
        "three slashes": f"http:///{place}/",
        "four slashes": f"http:////{place}/",
        "no scheme": f"//{place}/",
        "bare": f"{place}/",
        "shouted scheme": f"HTTP://{place}/",
        "mixed scheme": f"hTtPs://{place}/",
        "leading space": f" http://{place}/",
        "leading tab": f"\thttp://{place}/",
        "leading newline": f"\nhttp://{place}/",
        "leading control": f"\x01http://{place}/",
        "inner tab": f"ht\ttp://{place}/",
        "tab in host": f"http://\t{place}/",
        "newline in host": f"http://{address[0]}\n{place[1:]}/",
        "space in host": f"http://public.example {place}/",
        "nul in host": f"http://public.example\0{place}/",
        "line break and host": f"http://public.example/\r\nHost: {place}/",
        "encoded line break": f"http://{place}/%0d%0aX-Injected:%201",
        "semicolon": f"http://public.example;{place}/",
        "comma": f"http://public.example,{place}/",
        "host list": f"http://{{{{public.example,{address}}}}}:{{port}}/",
        "glob": f"http://{address[:-1]}[0-9]:{{port}}/",
        "fragment": f"http://{place}#public.example",
        "query": f"http://{place}?public.example",
        "port with zeros": f"http://{address}:000{{port}}/",
        "port with sign": f"http://{address}:+{{port}}/",
        "port with space": f"http://{address}: {{port}}/",
        "two ports": f"http://{address}:80:{{port}}/",
        "nested": f"url:http://{place}/",
        "quoted": f'"http://{place}/"',
        "proxy form": f"http://public.example/http://{place}/",
        "name of a socket": f"http://%2Fvar%2Frun%2Fdocker.sock:{{port}}/{place}",
        "data": f"data:text/html,<img src=http://{place}/>",
        "javascript": f"javascript:fetch('http://{place}/')",
        "file of loopback": "file://localhost/etc/passwd",
        "file": "file:///etc/passwd",
    }
    return [(f"trick {name}", url) for name, url in forms.items()]


def _shifted(address: str, zero: int) -> str:
    return "".join(chr(zero + int(char)) if char.isdigit() else char for char in address)


def _shifted_letters(word: str, a: int) -> str:
    return "".join(chr(a + ord(char) - ord("a")) for char in word)


def at_port(url: str, port: int) -> str:
    """`url` with the sink's port in it."""
    return url.replace("{{", "{").replace("}}", "}").replace("{port}", str(port))
