"""Which addresses may be dialled, and the one verb that dials.

A name is resolved once; each address it gives is judged at the moment the socket dials it, so no
spelling of an address and no second answer of a DNS server gets around the judgement.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
SocketAddress = tuple[Any, ...]

logger = logging.getLogger(__name__)

# `is_global` calls some of these public (and changes its mind between Python releases).
DENIED_NETWORKS: dict[str, Network] = {
    name: ip_network(cidr)
    for name, cidr in {
        "carrier-grade NAT, and Alibaba's metadata service": "100.64.0.0/10",
        "IETF protocol assignments, and Oracle's metadata service": "192.0.0.0/24",
        "6to4 relay anycast": "192.88.99.0/24",
        "Azure's wire server": "168.63.129.16/32",
        "NAT64": "64:ff9b::/96",
        "NAT64, local use": "64:ff9b:1::/48",
        "6to4": "2002::/16",
        "Teredo": "2001::/32",
        "IETF protocol assignments": "2001::/23",
        "SRv6": "5f00::/16",
        "documentation": "3fff::/20",
        "site-local": "fec0::/10",
        "IPv4-compatible": "::/96",
    }.items()
}

# Cloud metadata services: no `HOSTMASTER_ALLOWED_NETWORKS` opens these.
METADATA_NETWORKS: tuple[Network, ...] = tuple(
    ip_network(cidr)
    for cidr in (
        "169.254.0.0/16",  # AWS, ECS and EKS credentials, Google, Azure, OpenStack, Tencent
        "fd00:ec2::/32",  # AWS over IPv6, both of these
        "fd20:ce::254/128",  # Google over IPv6
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's wire server
        "192.0.0.192/32",  # Oracle
    )
)

# Services that trust whoever reaches them, and protocols a request could be smuggled into.
DENIED_PORTS = frozenset(
    {
        *(22, 23, 25, 465, 587),  # ssh, telnet, mail
        *(111, 135, 137, 138, 139, 389, 445, 2049),  # rpc, netbios, ldap, smb, nfs
        *(512, 513, 514),  # rexec, rlogin, rsh
        *(1433, 1521, 3306, 5432, 6379, 9300, 11211, 27017),  # databases and caches
        *(2375, 2376, 2379, 2380, 10250, 10255),  # docker, etcd, kubelet
        *(3389, 5900),  # remote desktops
    }
)
EVERY_PORT: frozenset[int] = frozenset()  # for probes whose protocol is not HTTP


class DestinationNotAllowedError(Exception):
    """This destination is not allowed."""

    def __init__(self) -> None:
        # Coarse on purpose: a tenant must not map our network by our answers.
        super().__init__("This destination is not allowed.")


def parse_networks(values: Iterable[str]) -> tuple[Network, ...]:
    """Networks from their CIDR texts. Raises `ValueError` for one that is none."""
    return tuple(ip_network(value.strip()) for value in values)


def allowed_networks() -> tuple[Network, ...]:
    """What the operator opened with `HOSTMASTER_ALLOWED_NETWORKS`; no tenant can."""
    return _parse_setting(tuple(getattr(settings, "HOSTMASTER_ALLOWED_NETWORKS", ())))


@lru_cache(maxsize=4)
def _parse_setting(values: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return parse_networks(values)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"HOSTMASTER_ALLOWED_NETWORKS must list networks such as 10.1.0.0/16: {error}."
        ) from None


def is_allowed(ip: str | Address, allowed_networks: Iterable[Network] | None = None) -> bool:
    """May a socket dial `ip`? Public unicast addresses, and `allowed_networks` (by default the
    operator's); metadata services never, for they hand out the machine's own credentials. An
    address that carries another one needs both allowed."""
    return _judge(ip, _opened(allowed_networks))


# The same addresses are dialled again and again: monitors every 30 s.
@lru_cache(maxsize=16384)
def _judge(ip: str | Address, opened: tuple[Network, ...]) -> bool:
    address = _parse(ip)
    if address is None:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # on the wire it is this IPv4 address and nothing else
    if _is_in(address, METADATA_NETWORKS):
        return False
    if not (_is_in(address, opened) or _is_public(address)):
        return False
    return all(_judge(inner, opened) for inner in _carried(address))


def check_address(
    ip: str | Address,
    port: int | None = None,
    *,
    allowed_networks: Iterable[Network] | None = None,
    denied_ports: Collection[int] = DENIED_PORTS,
) -> None:
    """Raises `DestinationNotAllowedError` unless `ip` (and `port`) may be dialled."""
    if (port is not None and port in denied_ports) or not is_allowed(ip, allowed_networks):
        # For the operator who looks into it; the error itself says nothing. No line by default: a
        # tenant decides how often it asks for what is refused, and who asks keeps that it was.
        logger.debug("Refused to dial %s port %s", ip, port)
        raise DestinationNotAllowedError


def dial(
    host: str,
    port: int,
    timeout: float,
    *,
    denied_ports: Collection[int] = DENIED_PORTS,
) -> socket.socket:
    """A TCP connection to the first allowed address of `host` that answers within `timeout`
    seconds for all of them together.

    Raises `DestinationNotAllowedError` when no address may be dialled, `socket.gaierror` for a
    name nobody knows, `OSError` (`TimeoutError` among them) when none answers. Looking the name
    up is bounded by the system's resolver only.
    """
    if not 0 < port < 65536:
        raise DestinationNotAllowedError
    deadline = time.monotonic() + timeout
    refused: DestinationNotAllowedError | None = None
    failure: OSError | None = None
    for family, address in _resolve(host, port):
        try:
            check_address(str(address[0]), port, denied_ports=denied_ports)
            return _connect(family, address, deadline)
        except DestinationNotAllowedError as error:
            refused = error
        except OSError as error:
            failure = error
    raise failure or refused or OSError(f"{host} has no address")


def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, SocketAddress]]:
    name = host.removeprefix("[").removesuffix("]")
    try:
        answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (UnicodeError, ValueError):
        # A label that is empty or too long, a NUL: the name does not exist.
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    return [(family, address) for family, _, _, _, address in answers]


def _connect(
    family: socket.AddressFamily, address: SocketAddress, deadline: float
) -> socket.socket:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("timed out")
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(remaining)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _parse(ip: str | Address) -> Address | None:
    try:
        # The zone of fe80::1%eth0 names an interface, not an address.
        return ip_address(str(ip).partition("%")[0])
    except ValueError:
        return None


def _opened(networks: Iterable[Network] | None) -> tuple[Network, ...]:
    return allowed_networks() if networks is None else tuple(networks)


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _is_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and not _is_in(address, DENIED_NETWORKS.values())
    )


def _carried(address: Address) -> list[IPv4Address]:
    """IPv4 addresses a gateway would forward to: judged too when an operator opened the range."""
    if not isinstance(address, IPv6Address):
        return []
    if address in DENIED_NETWORKS["NAT64"]:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour is not None:
        return [address.sixtofour]
    return [*address.teredo] if address.teredo is not None else []
