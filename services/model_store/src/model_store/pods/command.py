"""`python -m model_store fetch`: what an init container runs."""

import os
import signal
from pathlib import Path
from types import FrameType

from service_kit.logs import configure_logs, get_logger
from service_kit.settings import ServiceSettings, load_settings

from model_store.errors import DiskFullError, ModelStoreError
from model_store.pods.copy import Fetching, Wanted
from model_store.pods.store_client import StoreClient

_log = get_logger(__name__)


def fetch_command(store: str, name: str, identity: str | None, target: Path) -> None:
    """Copy a model; exit status 0 when it is whole below `target`, 1 where only a person can help."""
    settings = load_settings(ServiceSettings)
    configure_logs("model-fetch", structured=settings.structured_logging, level=settings.log_level)
    # The first process of a container has no default reaction; what is here stays and is continued next time.
    signal.signal(signal.SIGTERM, _leave)
    client = StoreClient(store)
    try:
        Fetching(client, Wanted(name, identity, target)).run()
    except DiskFullError as full:
        remedy = "Raise the pod's ephemeral storage (the model's volume), or use a smaller model"
        _log.error("cannot copy the model", reason=full.with_remedy(remedy))
        raise SystemExit(1) from None
    except (ModelStoreError, OSError) as failure:
        _log.error("cannot copy the model", reason=str(failure))
        raise SystemExit(1) from None
    finally:
        client.close()


def _leave(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)
