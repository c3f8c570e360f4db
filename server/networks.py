"""Network addresses: lists of networks, YooKassa's own, and the client behind proxies. Pure."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Networks = tuple[IPv4Network | IPv6Network, ...]

YOOKASSA_NETWORKS: Networks = tuple(
    ip_network(network)
    for network in (
        "185.71.76.0/27",
        "185.71.77.0/27",
        "77.75.153.0/25",
        "77.75.156.11/32",
        "77.75.156.35/32",
        "77.75.154.128/25",
        "2a02:5180::/32",
    )
)
"""From which YooKassa sends notifications (using-api/webhooks)."""


def networks(text: str) -> Networks:
    """Return the networks of a list with commas. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def nearest_stranger(peer: str, forwarded: str, trusted: Networks) -> str:
    """Return the right-most address that is no trusted proxy's; what stands left of it anyone can write."""
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    address = peer
    while hops and is_within(address, trusted):
        address = hops.pop()
    return address


def is_within(address: str, of: Networks) -> bool:
    """Return whether the address is in one of the networks; what is no address is in none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in of)
