"""Percentiles, word error rates and how sure they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamingstack_bench.wording import WordErrors

RESAMPLES = 2000
SEED = 20260501


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of `count` values, in their unit."""

    p50: float
    p95: float
    p99: float
    count: int


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Linear between ranks; None without a value."""
    if not values:
        return None
    p50, p95, p99 = (float(value) for value in np.percentile(values, [50, 95, 99]))
    return Percentiles(p50, p95, p99, len(values))


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate and its 95 % bootstrap interval; all are shares of reference words (0.05 is 5 %)."""

    value: float
    low: float
    high: float


def pooled(errors: Iterable[tuple[str, WordErrors]]) -> dict[str, WordErrors]:
    """Sum by clip: a clip that was played in several sessions is one draw, its repetitions are not independent."""
    sums: dict[str, WordErrors] = {}
    for clip, counted in errors:
        sums[clip] = sums.get(clip, WordErrors()) + counted
    return sums


def error_rate(errors: Mapping[str, WordErrors]) -> Interval | None:
    """Word error rate over all clips together, with its interval over clips; None without a reference word."""
    drawn = _drawn_rates(errors, sorted(errors))
    if drawn is None:
        return None
    return _interval(_rate(errors.values()), drawn)


def rate_difference(errors: Mapping[str, WordErrors], baseline: Mapping[str, WordErrors]) -> Interval | None:
    """Word error rate less that of `baseline`, over the clips that both have, drawn in pairs."""
    clips = sorted(errors.keys() & baseline.keys())
    drawn, base = _drawn_rates(errors, clips), _drawn_rates(baseline, clips)
    if drawn is None or base is None:
        return None
    value = _rate(errors[clip] for clip in clips) - _rate(baseline[clip] for clip in clips)
    return _interval(value, drawn - base)


def _rate(errors: Iterable[WordErrors]) -> float:
    total = sum(errors, WordErrors())
    return total.edits / total.words


def _drawn_rates(errors: Mapping[str, WordErrors], clips: Sequence[str]) -> NDArray[np.float64] | None:
    words = np.array([errors[clip].words for clip in clips], dtype=float)
    if not words.sum():
        return None
    edits = np.array([errors[clip].edits for clip in clips], dtype=float)
    draws = np.random.default_rng(SEED).integers(0, len(clips), size=(RESAMPLES, len(clips)))
    # A draw of nothing but clips without words has no rate; one word in the denominator keeps it finite.
    rates: NDArray[np.float64] = edits[draws].sum(axis=1) / np.maximum(1.0, words[draws].sum(axis=1))
    return rates


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    low, high = (float(edge) for edge in np.percentile(drawn, [2.5, 97.5]))
    return Interval(float(value), low, high)
