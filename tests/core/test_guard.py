"""Which addresses may be dialled, and that the socket reaches no other."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from hostmaster.core.net import guard
from hostmaster.core.net.guard import DestinationNotAllowedError, check_address, dial, is_allowed

HOSTILE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1"),
    *("127.255.255.254", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7"),
    *("203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    "168.63.129.16",
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:10.0.0.1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1"),
    *("2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "3fff::1", "5f00::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1"),
    "::ffff:0:127.0.0.1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.32.0.1"]
PUBLIC_V6 = ["2606:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", HOSTILE)
def test_hostile_address_is_refused(address: str) -> None:
    assert not is_allowed(address, allowed_networks=())
    with pytest.raises(DestinationNotAllowedError):
        check_address(address, 443, allowed_networks=())


@pytest.mark.parametrize("address", PUBLIC + PUBLIC_V6)
def test_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address, allowed_networks=())
    check_address(address, 443, allowed_networks=())


@pytest.mark.parametrize(
    "text", ["", "localhost", "2130706433", "127.1", "0x7f.0.0.1", "1.1.1.1/8"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert not is_allowed(text, allowed_networks=[ip_network("0.0.0.0/0")])


@given(st.ip_addresses(v=4))
def test_mapped_address_is_judged_as_the_one_it_maps(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert is_allowed(mapped, ()) == is_allowed(address, ())


@given(st.sampled_from(sorted(guard.DENIED_NETWORKS)), st.data())
def test_no_address_of_a_denied_network_is_allowed(name: str, data: st.DataObject) -> None:
    network = guard.DENIED_NETWORKS[name]
    assert not is_allowed(data.draw(st.ip_addresses(network=network)), ())


@given(st.ip_addresses())
def test_only_global_unicast_addresses_are_allowed(address: IPv4Address | IPv6Address) -> None:
    if is_allowed(address, ()):
        judged = getattr(address, "ipv4_mapped", None) or address
        assert judged.is_global
        assert not any([judged.is_private, judged.is_multicast, judged.is_loopback])


@given(st.ip_addresses(v=4))
def test_opened_gateway_range_does_not_open_what_it_carries(address: IPv4Address) -> None:
    opened = [ip_network("64:ff9b::/96"), ip_network("2002::/16")]
    nat64 = IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))
    six_to_four = IPv6Address((0x2002 << 112) | (int(address) << 80))
    assert is_allowed(nat64, opened) == is_allowed(address, opened)
    assert is_allowed(six_to_four, opened) == is_allowed(address, opened)


def test_opened_teredo_range_does_not_open_its_server_and_client() -> None:
    opened = [ip_network("2001::/32")]
    hidden_client = 0xFFFFFFFF ^ int(IPv4Address("10.0.0.1"))
    public_server = int(IPv4Address("8.8.8.8"))
    address = IPv6Address((0x20010000 << 96) | (public_server << 64) | hidden_client)
    assert not is_allowed(address, opened)
    assert is_allowed(address, [*opened, ip_network("10.0.0.0/8")])


def test_operator_opens_a_network_and_no_other(settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["10.1.0.0/16", "fd00:1::/32"]
    assert is_allowed("10.1.2.3")
    assert is_allowed("::ffff:10.1.2.3")
    assert is_allowed("fd00:1::5")
    assert not is_allowed("10.2.0.1")
    assert not is_allowed("127.0.0.1")


METADATA = [
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16"),
    *("192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "::ffff:169.254.169.254"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "2002:a9fe:a9fe::1"),
]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_service_stays_closed_whatever_the_operator_opens(
    address: str, settings: Settings
) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["0.0.0.0/0", "::/0", "169.254.169.254/32"]
    assert is_allowed("10.0.0.1")
    assert not is_allowed(address)
    with pytest.raises(DestinationNotAllowedError):
        check_address(address, 80)


def test_wrong_network_is_named(settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["10.1.0.0/33"]
    with pytest.raises(ImproperlyConfigured, match=r"10\.1\.0\.0/33"):
        is_allowed("8.8.8.8")


@pytest.mark.parametrize("port", [22, 25, 2375, 2376, 3306, 5432, 6379, 11211])
def test_port_of_a_trusting_service_is_refused_unless_the_probe_speaks_it(port: int) -> None:
    with pytest.raises(DestinationNotAllowedError):
        check_address("8.8.8.8", port, allowed_networks=())
    check_address("8.8.8.8", port, allowed_networks=(), denied_ports=guard.EVERY_PORT)


@pytest.mark.parametrize(
    ("address", "port"), [("10.0.0.1", 443), ("127.0.0.1", 80), ("8.8.8.8", 22)]
)
def test_refusal_says_the_same_for_every_destination(address: str, port: int) -> None:
    with pytest.raises(DestinationNotAllowedError) as refusal:
        check_address(address, port, allowed_networks=())
    assert str(refusal.value) == "This destination is not allowed."


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433"])
def test_dial_reaches_an_opened_network(
    host: str, listener: socket.socket, settings: Settings
) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with dial(host, port_of(listener), timeout=2) as dialled:
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getpeername()[1] == dialled.getsockname()[1]


LOOPBACK_SPELLINGS = [
    *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "017700000001"),
    *("::1", "[::1]", "::ffff:127.0.0.1", "::127.0.0.1", "0", "0.0.0.0", "localhost."),
]


@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS)
def test_dial_never_connects_to_loopback_however_it_is_spelled(
    host: str, listener: socket.socket
) -> None:
    with pytest.raises((DestinationNotAllowedError, socket.gaierror)):
        dial(host, port_of(listener), timeout=2)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_name_with_a_forbidden_and_an_opened_address_reaches_the_opened_one(
    listener: socket.socket, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    answer(monkeypatch, "127.0.0.2", "127.0.0.1")
    with dial("two.example", port_of(listener), timeout=2) as dialled:
        assert dialled.getpeername()[0] == "127.0.0.1"


def test_second_dns_answer_is_never_asked_for(
    listener: socket.socket, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    asked = answer(monkeypatch, "127.0.0.1")
    dial("rebinding.example", port_of(listener), timeout=2).close()
    assert asked == ["rebinding.example"]


@pytest.mark.parametrize("host", ["", "a" * 64 + ".example", "..", "a\0b"])
def test_impossible_name_is_an_unknown_name(host: str) -> None:
    with pytest.raises((socket.gaierror, DestinationNotAllowedError)):
        dial(host, 80, timeout=2)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(DestinationNotAllowedError):
        dial("127.0.0.1", port, timeout=2)


def test_closed_port_is_a_plain_connection_error(settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = port_of(server)
    with pytest.raises(ConnectionRefusedError):
        dial("127.0.0.1", port, timeout=2)


def answer(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """A DNS server that answers with `addresses`; the list of names it was asked."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked
