"""Prometheus pages as numbers: sums over pods, differences, shares and quantiles of histograms. Pure."""

from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families


def read_pages(pages: Iterable[str]) -> dict[str, float]:
    """Every sample by its name with its labels, summed over the pages."""
    sums: dict[str, float] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                name = f"{sample.name}{{{labels}}}" if labels else sample.name
                sums[name] = sums.get(name, 0.0) + sample.value
    return sums


def since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was added meanwhile."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def by_label(counted: Mapping[str, float], name: str, label: str) -> dict[str, float]:
    """A counter by the values of one of its labels, summed over the others; zeros left out."""
    begin, sums = f"{name}{{", dict[str, float]()
    for key, value in counted.items():
        if key.startswith(begin) and value:
            labels = dict(pair.split("=", 1) for pair in key[len(begin) : -1].split(","))
            sums[labels[label]] = sums.get(labels[label], 0.0) + value
    return sums


def buckets(counted: Mapping[str, float], name: str) -> list[tuple[float, float]]:
    """A histogram's (upper bound, cumulative count), smallest bound first."""
    found = by_label(counted, f"{name}_bucket", "le")
    return sorted((float(bound), count) for bound, count in found.items())


def quantile(counted: Mapping[str, float], name: str, share: float) -> float | None:
    """The least bound that so great a share of the observations lies below; None without observations."""
    known = buckets(counted, name)
    if not known or not known[-1][1]:
        return None
    return next(bound for bound, count in known if count >= share * known[-1][1])
