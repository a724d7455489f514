"""Neighbours: who shares so much of an address that nobody can tell them apart."""

from ipaddress import IPv6Address, ip_address, ip_network

IPV6_PREFIX = 64  # what one household or one machine has for itself, and may take any address of


def neighbour_of(address: str) -> str:
    """An IPv4 address as it is, of an IPv6 address the network of 64 bits; what is no address stays as it is.

    >>> neighbour_of("203.0.113.7"), neighbour_of("2001:db8::7:1"), neighbour_of("::ffff:203.0.113.7")
    ('203.0.113.7', '2001:db8::/64', '203.0.113.7')
    >>> neighbour_of("no address at all")
    'no address at all'
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:45]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return str(found)
