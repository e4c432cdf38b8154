"""Amounts as Kubernetes writes them, as Compose reads them. Pure."""

import re
from decimal import Decimal

_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def number_of(amount: str) -> Decimal:
    """An amount such as 500m, 1.5Gi or 1e3 as a number; raises ValueError."""
    found = re.fullmatch(r"(?P<number>[0-9.]+([eE][0-9]+)?)(?P<unit>[A-Za-z]*)", amount)
    if found is None or found["unit"] not in {*_BINARY, *_DECIMAL}:
        raise ValueError(f"{amount!r} is no amount; write 500m, 2 or 16Gi")
    unit = found["unit"]
    scale = Decimal(2) ** _BINARY[unit] if unit in _BINARY else Decimal(10) ** _DECIMAL[unit]
    return Decimal(found["number"]) * scale


def cpus_of(amount: str) -> str:
    """Processors, as in deploy.resources.limits.cpus."""
    return f"{number_of(amount).normalize():f}"


def bytes_of(amount: str) -> str:
    """Memory as Compose writes it: whole binary units where that is exact, else bytes."""
    size = int(number_of(amount))
    for unit, bits in (("g", 30), ("m", 20), ("k", 10)):
        if size and size % 2**bits == 0:
            return f"{size >> bits}{unit}"
    return f"{size}b"
