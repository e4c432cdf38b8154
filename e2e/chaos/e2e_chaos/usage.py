"""Whether what clients sent is what the licence proxies know: the sum of the highest count of each session."""

import json
import time
from collections.abc import Iterable, Sequence

from scripted_stack import Running

from e2e_chaos.records import Heard, Metered

# Until the last events of sessions have been delivered; a gateway flushes every five seconds.
_DELIVERED_SECONDS = 60.0
# Behind a word of its own: what looks like JSON is rewritten on its way here.
_READ = (
    "import json, os, sqlite3; from pathlib import Path; "
    "file = Path(os.environ['STATE_DIR'], 'license-proxy.sqlite3').as_uri() + '?mode=ro'; "
    "rows = sqlite3.connect(file, uri=True).execute('SELECT session_id, audio_ms, ended FROM usage').fetchall(); "
    "print('usage', json.dumps(rows))"
)


def known(running: Running) -> dict[str, tuple[int, bool]]:
    """Milliseconds of audio and whether it has ended, by session: what is highest among the licence proxies."""
    found: dict[str, tuple[int, bool]] = {}
    for pod in running.stack.ready_pods("license-proxy"):
        said = running.namespace.run_in(pod.metadata.name, "python", "-c", _READ)
        for session, audio_ms, ended in json.loads(said.partition("usage ")[2]):
            before = found.get(session, (0, False))
            found[session] = (max(audio_ms, before[0]), bool(ended) or before[1])
    return found


def metered(running: Running, every: Sequence[Heard]) -> Metered:
    """Once the proxies know that each session has ended, or after a minute."""
    sessions = {heard.session_id for heard in every if heard.session_id}
    deadline = time.monotonic() + _DELIVERED_SECONDS
    while True:
        found = known(running)
        if time.monotonic() > deadline or all(found.get(session, (0, False))[1] for session in sessions):
            return counted(every, {session: audio_ms for session, (audio_ms, _) in found.items()})
        time.sleep(1)


def counted(every: Iterable[Heard], audio_ms: dict[str, int]) -> Metered:
    """What clients sent against what is known. Pure."""
    begun = [heard for heard in every if heard.session_id]
    short = [heard.sent_s - audio_ms.get(heard.session_id, 0) / 1000 for heard in begun]
    return Metered(
        sessions=len(begun),
        sent_s=sum(heard.sent_s for heard in begun),
        metered_s=sum(audio_ms.get(heard.session_id, 0) for heard in begun) / 1000,
        missing=sum(heard.session_id not in audio_ms for heard in begun),
        most_short_s=max(0.0, *short) if short else 0.0,
        most_over_s=max(0.0, *(-one for one in short)) if short else 0.0,
    )
