"""What the model store exports to Prometheus."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model_store.serving.states import ModelState, State


class StoreMetrics:
    """Counters in a registry of their own; gauges are read when asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.fetched_bytes = Counter(
            "model_store_fetched_bytes", "Bytes that came from sources.", registry=self.registry
        )
        self.failures = Counter(
            "model_store_fetch_failures", "Fetches that failed.", ["model", "reason"], registry=self.registry
        )
        self.served = Counter("model_store_files_served", "Files asked for by pods.", registry=self.registry)

    def show(self, states: Callable[[], Iterable[ModelState]], room: Callable[[], tuple[int, int]]) -> None:
        """Export what `states` and `room` (free and all bytes of the disk) say from now on."""
        self.registry.register(_Gauges(states, room))


class _Gauges(Collector):
    def __init__(self, states: Callable[[], Iterable[ModelState]], room: Callable[[], tuple[int, int]]) -> None:
        self._states, self._room = states, room

    def collect(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("model_store_model_state", "1 for each model's state.", labels=["model", "state"])
        done = GaugeMetricFamily("model_store_model_bytes", "Bytes of each model that are here.", labels=["model"])
        for model in self._states():
            done.add_metric([model.model.name], model.bytes_done)
            for kind in State:
                state.add_metric([model.model.name, kind.value], float(kind is model.state))
        free, total = self._room()
        yield state
        yield done
        yield GaugeMetricFamily("model_store_disk_free_bytes", "Room left for models.", value=free)
        yield GaugeMetricFamily("model_store_disk_bytes", "Size of the disk with the models.", value=total)
