"""Reads single values out of Prometheus' text format. Pure."""


def total(text: str, metric: str) -> float | None:
    """The sum over all series of `metric`; None where there is none."""
    found: float | None = None
    for line in text.splitlines():
        if not line.startswith(metric):
            continue
        rest = line[len(metric) :]
        if rest[:1] not in (" ", "{"):
            continue
        try:
            value = float(rest.rpartition("}")[2].split()[0])
        except (IndexError, ValueError):
            continue
        found = value if found is None else found + value
    return found
