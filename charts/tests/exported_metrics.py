"""The names of every series that our parts export, from the parts themselves, and those that an expression names."""

import re
from collections.abc import Iterator

from license_proxy.metrics import ProxyMetrics
from metrics_adapter.metrics import AdapterMetrics
from model_store.serving.metrics import StoreMetrics
from prometheus_client import CollectorRegistry
from streaming_asr.metrics import RecogniserMetrics
from streaming_asr.triton.metrics import EngineMetrics
from streaming_gateway.link.metrics import LinkMetrics
from streaming_gateway.metrics import GatewayMetrics
from streaming_operator.metrics import OperatorMetrics
from streaming_sync_api.metrics import SyncMetrics

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
_NAME = re.compile(r"(?<![\w.\"$-])([a-z][a-z0-9]*(?:_[a-z0-9]+)+|up)(?=[{\[\s)]|$)")
_WORDS = re.compile(r'"[^"]*"|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)')
_FUNCTIONS = {"histogram_quantile", "min_over_time", "max_over_time", "label_replace"}


def _families() -> Iterator[tuple[str, str]]:
    registry = CollectorRegistry()
    GatewayMetrics(registry)
    LinkMetrics(registry)
    RecogniserMetrics(registry, 1)
    EngineMetrics(registry)
    SyncMetrics(registry, 1)
    store = StoreMetrics()
    store.show(list, lambda: (1, 2))
    ours = (ProxyMetrics().registry, OperatorMetrics().registry, AdapterMetrics().registry)
    for one in (registry, store.registry, *ours):
        for family in one.collect():
            yield family.name, family.type


EXPORTED = frozenset(
    {f"{name}{suffix}" for name, type_ in _families() for suffix in _SUFFIXES[type_]}
    # Prometheus' own.
    | {"up"}
)


def named_in(expression: str) -> set[str]:
    """Names of series in a PromQL expression: neither labels, nor functions, nor words in quotes."""
    return {name for name in _NAME.findall(_WORDS.sub(" ", expression)) if name not in _FUNCTIONS}
