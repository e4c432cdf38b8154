"""ModelsAvailable: does every model of the spec have a pod that takes streams? Pure."""

from collections.abc import Sequence
from datetime import datetime

from stack_model.api import Model
from stack_model.api.status import ModelPhase, Reason
from stack_model.stored_models import needs_store

from streaming_operator.checks.cards import too_small
from streaming_operator.checks.finding import Check, Finding, View, first, listed, quoted
from streaming_operator.checks.pods import blocked_by, not_running
from streaming_operator.checks.storage import class_missing
from streaming_operator.facts import PodsFact

_ELAPSED_STEP = 30


def models_available(view: View) -> Finding:
    """The first model without a ready pod; else whether one has no second pod to lean on."""
    names = listed([model.name for model in view.stack.spec.models])
    return first(view, _CHECKS, Finding(Reason.ALL_AVAILABLE, f"models that take streams: {names}", "True"))


def pods_of(view: View, model: Model) -> PodsFact:
    """The pool of one model."""
    return view.observed.models.get(model.name, PodsFact())


def phase(view: View, model: Model) -> ModelPhase:
    """Where the pool of a model of the spec is."""
    pods = pods_of(view, model)
    if pods.ready:
        return ModelPhase.DEGRADED if pods.ready < pods.desired else ModelPhase.AVAILABLE
    called = {name for name, _ in pods.blocked}
    if called & {"FetchingModel", "FetchFailed"} or model.name in view.observed.fetch_errors:
        return ModelPhase.FETCHING
    return ModelPhase.LOADING if "LoadingModel" in called else ModelPhase.UNAVAILABLE


def is_loading(pods: PodsFact) -> bool:
    """Nothing is wrong: its pods fetch or load their model."""
    return not pods.ready and blocked_by(pods)[0] is Reason.LOADING_MODEL


def loading(view: View, model: Model) -> Finding:
    """What a model does that is not there yet, and since when, in steps of half a minute."""
    pods = pods_of(view, model)
    fetching = [words for called, words in pods.blocked if called == "FetchingModel"]
    if fetching:
        took = _elapsed(_begin(fetching), view.now)
        return Finding(Reason.LOADING_MODEL, f"model {model.name}: its files are being fetched{took}")
    begin = _begin([words for called, words in pods.blocked if called == "LoadingModel"]) or pods.loading_since
    return Finding(
        Reason.LOADING_MODEL,
        f"model {model.name}: loading{_elapsed(begin, view.now)}; a pod counts as broken after "
        f"{model.startup_seconds} s (startupSeconds)",
    )


def _begin(told: Sequence[str]) -> datetime | None:
    """The earliest of the times that pods told; None where none is one."""
    times = [time for time in map(_time, told) if time is not None]
    return min(times, default=None)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None


def _elapsed(since: datetime | None, now: datetime) -> str:
    if since is None:
        return ""
    # In steps, so that the status is not written each second.
    seconds = max(0, int((now - since).total_seconds())) // _ELAPSED_STEP * _ELAPSED_STEP
    return f" for {seconds // 60} min {seconds % 60} s" if seconds >= 60 else f" for {seconds} s"


def _without_pods(view: View) -> list[Model]:
    return [model for model in view.stack.spec.models if not pods_of(view, model).ready]


def _no_card_is_large_enough(view: View) -> Finding | None:
    for model in _without_pods(view):
        largest = too_small(model, view.inputs)
        if largest is not None and model.gpu is not None:
            return Finding(
                Reason.MODEL_DOES_NOT_FIT,
                f"model {model.name} needs a card with {model.gpu.min_memory_gib} GiB and the largest that its pods "
                f"may get is {largest}; add nodes with a larger one, widen gpu.nodeSelector, or lower gpu.minMemoryGiB "
                "if the model is smaller than it says",
            )
    return None


def _fetching_fails(view: View) -> Finding | None:
    for model in _without_pods(view):
        error = view.observed.fetch_errors.get(model.name)
        if error is not None:
            return Finding(
                Reason.FETCH_FAILED,
                f"model {model.name} cannot be fetched ({quoted(error)}); check its source or files, "
                "spec.modelStore.credentialsSecretName and spec.networkIsolation.egressCidrs; it is tried again by "
                "itself",
            )
    return None


def _store_has_no_volume(view: View) -> Finding | None:
    missing = class_missing(view, view.stack.spec.model_store.storage, "spec.modelStore.storage")
    if missing is None or view.vendor:
        return None
    waiting = [model.name for model in _without_pods(view) if needs_store(model)]
    if not waiting or view.observed.model_store.ready:
        return None
    return Finding(
        Reason.STORAGE_CLASS_MISSING,
        f"the model store has no volume, so {listed(waiting)} cannot be fetched: {missing}",
    )


def _needs_a_hand(view: View) -> Finding | None:
    """A model that will not come by itself goes before one that only takes its time."""
    for model in _without_pods(view):
        pods = pods_of(view, model)
        if not is_loading(pods):
            return _store_is_away(view, model, pods) or not_running(f"model {model.name}", pods)
    return None


def _store_is_away(view: View, model: Model, pods: PodsFact) -> Finding | None:
    """Pods that only wait, and nobody to fetch from: the store's own trouble is theirs."""
    store = view.observed.model_store
    if view.vendor or not needs_store(model) or store.ready or not store.blocked or pods.blocked:
        return None
    return not_running(f"model {model.name} waits for the model store", store)


def _takes_time(view: View) -> Finding | None:
    waiting = _without_pods(view)
    return loading(view, waiting[0]) if waiting else None


def _has_one_pod(view: View) -> Finding | None:
    alone = [
        model.name
        for model in view.stack.spec.models
        if model.wanted_rollout == "Replace" and pods_of(view, model).desired <= 1
    ]
    if not alone:
        return None
    return Finding(
        Reason.SINGLE_POD_POOL,
        f"models that take streams, but {listed(alone)} with one pod that is replaced in place: in a rollout its "
        "sessions wait while the new pod loads; set autoscaling.minReplicas: 2, or rollout: Surge if there is a spare "
        "card",
        "True",
    )


_CHECKS: tuple[Check, ...] = (
    _no_card_is_large_enough,
    _store_has_no_volume,
    _fetching_fails,
    _needs_a_hand,
    _takes_time,
    _has_one_pod,
)
