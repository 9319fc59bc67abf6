"""Hosts in URLs and in addresses. Pure: nothing is resolved."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def host_of(place: str) -> str:
    """Return the host of a URL or of `host:port`, in lower case and without brackets."""
    return urlsplit(place if "://" in place else f"//{place}").hostname or ""


def port_of(address: str) -> int:
    """Return the port of `host:port`."""
    return int(address.rpartition(":")[2])


def is_loopback(host: str) -> bool:
    """Say whether only this machine is meant."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
