"""What the names of hosts say."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or a name, is this machine to itself."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
