"""E-mail and Internet addresses."""

import ipaddress
import re
from collections.abc import Callable, Iterator

from tao_ops.privacy.hits import Hit
from tao_ops.privacy.presidio import patterns, without_deep_learning

_LETTER = r"a-zA-Z0-9\u00c0-\u1fff"
_LABEL = rf"[{_LETTER}_](?:[{_LETTER}_\-]{{0,62}}[{_LETTER}_])?"
# Presidio's own expression looks at every word to its end; with these limits (RFC 5321, 4.5.3.1) time is linear.
_LOCAL = rf"(?<![{_LETTER}_.+%&'*!#$^~\-])[{_LETTER}_+%&'*!#$^~\-][{_LETTER}_.+%&'*!#$^~\-]{{0,63}}"
_AT = r"(?:@| ?[\[({] ?(?i:at) ?[\])}] ?)"
_DOT = r"(?:\.| ?[\[({] ?(?i:dot) ?[\])}] ?)"
_EMAIL = rf"{_LOCAL}{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{1,8}}"
_WRITTEN_OUT = ((re.compile(_AT), "@"), (re.compile(_DOT), "."))
_REMOTE = re.compile(r":[\w~./-]*/|:\w+\.git\b")

_NAMED_VERSION = re.compile(
    r"(?i)(?:\bv|\bver(?:sion|\.)?|release|firmware|driver|kernel|build|chapter|section|sec\.|table|article|kapitel|§|\boid"
    r"|(?<!/)[a-z]+/|[=<>~]=|[~^])[ :=]{0,2}$"
)
_NAMED_ADDRESS = re.compile(
    r"(?i)(?:\bip(?:v4)?|hosts?|servers?|addr\w{0,6}|ping|ssh|gateway|gw|dns|from|client|nameserver|//|@)[ :=\"']{0,3}$"
)
_PORT = re.compile(r":\d{2,5}\b")
_LOW = 30
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
# Presidio's own expressions take the first four of five numbers, and no address before a colon ("dial 2001:db8::1: …").
_IPS = (
    rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?!\w|\.\d)",
    rf"(?<![\w:.])(?=[0-9A-Fa-f:]{{0,37}}::|(?:[0-9A-Fa-f]{{1,4}}:){{6}})[0-9A-Fa-f:]{{0,38}}"
    rf"(?::(?:{_OCTET}\.){{3}}{_OCTET}|[0-9A-Fa-f]|::)(?!\w|\.\d)",
)


def email() -> Callable[[str], Iterator[Hit]]:
    """Finds addresses whose domain ends in a public suffix, also where ``(at)`` or ``[dot]`` stand in brackets.

    Presidio's ``EmailRecognizer`` asks ``tldextract`` in the form that fetches the list of suffixes; here it is the
    list of the package, and nothing is fetched.
    """
    import tldextract

    suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    find = patterns("EMAIL_ADDRESS", [_EMAIL])

    def emails(text: str) -> Iterator[Hit]:
        for start, end in find(text):
            value = text[start:end]
            for written, sign in _WRITTEN_OUT:
                value = written.sub(sign, value)
            domain = value.rpartition("@")[2]
            named = any(character.isalnum() for character in value.partition("@")[0])
            if named and suffixes(domain).fqdn and not (value.startswith("git@") and _REMOTE.match(text, end)):
                # An apostrophe may be the quotation mark before the address.
                quote = len(text[start:end]) - len(text[start:end].lstrip("'*"))
                yield Hit(start + quote, end, "email", value.lstrip("'*").casefold())

    return emails


def ip() -> Callable[[str], Iterator[Hit]]:
    """Finds addresses of the Internet protocol; of a network, without its length.

    Loopback and unspecified addresses and netmasks are nobody's. Four small numbers (``1.2.3.4``) are a version or a
    chapter, unless a word or a port says otherwise; so are any four after a word such as "version".
    """
    with without_deep_learning():
        from presidio_analyzer.predefined_recognizers import IpRecognizer
    find = patterns("IP_ADDRESS", _IPS, IpRecognizer)

    def ips(text: str) -> Iterator[Hit]:
        for start, end in find(text):
            address = ipaddress.ip_address(text[start:end])
            if _is_somebodys(address, text, start, end):
                yield Hit(start, end, "ip", str(address))

    return ips


def _is_somebodys(address: ipaddress.IPv4Address | ipaddress.IPv6Address, text: str, start: int, end: int) -> bool:
    if address.is_loopback or address.is_unspecified:
        return False
    before = text[max(start - 12, 0) : start]
    if isinstance(address, ipaddress.IPv6Address):
        # C++ names (``a::b``) are addresses by their form.
        groups = [group for group in re.split("[:.]", text[start:end]) if group]
        return len(groups) >= 3 and any(character.isdigit() for character in text[start:end])
    if address.packed[0] == 255:
        return False
    if _NAMED_ADDRESS.search(before):
        return True
    if _NAMED_VERSION.search(before):
        return False
    low = address.packed[0] != 10 and max(address.packed) < _LOW
    return not low or _PORT.match(text, end) is not None
