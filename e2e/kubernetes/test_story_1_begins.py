"""A user's story, first chapter: a stack is described, becomes Ready and hears; the command line shows it."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import streamingstack
from e2e_cluster.door import Door
from kubernetes.client.exceptions import ApiException
from listener import ENGLISH, MOST_WRONG, MULTILINGUAL, error_rate, recording
from live_namespace import until
from live_session import hear_side_by_side, uncut_session
from operated_stack import OperatedStack
from packets import arrived
from spoken_words import triples, words
from streaming_operator import names

# The first of them waits until the stack is there.
pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(600)]
_COUNTED_SECONDS = 60.0
_IN_USE = re.compile(r"^ +(gateway|en-default) .* ([1-9]\d*)/\d+ (?:sessions|streams)", re.M)
PARTS = (names.GATEWAY, names.ASR, names.LOAD_BALANCER, names.LICENSE_PROXY, names.MODEL_STORE)
MIRROR, API_SERVER = "mirror", "api-server"
SERVED = (443, 8000, 8002, 8080, 9090, 50051)


def test_the_example_becomes_ready_and_hears_real_speech_through_the_gateway(
    speech: OperatedStack, recordings: Path
) -> None:
    hear_side_by_side([(speech, ENGLISH), (speech, MULTILINGUAL)], recordings)


def test_what_makes_no_sense_is_refused_and_the_field_is_named(speech: OperatedStack) -> None:
    with pytest.raises(ApiException) as refused:
        speech.patch({"gateway": {"sessions": {"targetPerPod": 1000}}})
    assert refused.value.status == 422
    assert "gateway.sessions.targetPerPod" in str(refused.value.body)


def test_its_pods_reach_what_they_need_and_nothing_else(door: Door, speech: OperatedStack) -> None:
    if not door.policies_enforced:
        pytest.skip("not run: nothing enforces NetworkPolicies here; CALICO_DIR names a policy engine, see e2e/cluster")
    space = speech.namespace
    pods = {part: speech.ready_pods(part)[0] for part in PARTS} | {MIRROR: space.ready_pods(MIRROR)[0]}
    addresses = {part: str(pod.status.pod_ip) for part, pod in pods.items()} | {API_SERVER: "kubernetes.default.svc"}

    def reached(part: str) -> set[tuple[str, int]]:
        others = [(name, address) for name, address in addresses.items() if name != part]
        return arrived(space, pods[part].metadata.name, [(*other, port) for other in others for port in SERVED])

    found = {part: reached(part) for part in pods}
    # The control: a pod of no stack reaches what those of the stack must not.
    assert {(API_SERVER, 443), (names.GATEWAY, 8080), (names.GATEWAY, 9090)} <= found.pop(MIRROR)
    assert found == {
        names.GATEWAY: {(names.LOAD_BALANCER, 50051), (names.LICENSE_PROXY, 8080)},
        names.LOAD_BALANCER: {(names.ASR, 50051)},
        names.ASR: {(names.MODEL_STORE, 8080)},
        # Where no `egressCidrs` bounds them, these two reach the port of what they need anywhere.
        names.MODEL_STORE: {(MIRROR, 8000)},
        names.LICENSE_PROXY: {(MIRROR, 8000)},
    }


def test_the_command_transcribes_through_the_gateway_and_shows_the_sessions_meanwhile(
    speech: OperatedStack, recordings: Path, tmp_path: Path
) -> None:
    door, heard = speech.namespace.door, tmp_path / "heard.txt"
    _, said = recording(recordings)
    file = recordings / "en_derived_pauses_1688.wav"
    # Three times the recording: where the pods cannot be asked, the status takes counts each half minute only.
    with uncut_session(speech, recordings, times=3):
        counts: dict[str, str] = {}

        def are_counted() -> bool:
            shown = streamingstack("status", speech.name, *_where(speech))
            assert shown.returncode == 0, shown.stderr
            assert f"{speech.namespace.name}/{speech.name}  Ready" in shown.stdout
            counts.update(_IN_USE.findall(shown.stdout))
            return counts.keys() == {"gateway", "en-default"}

        until("the session is counted", are_counted, _COUNTED_SECONDS, otherwise=lambda: str(counts))
        way = [f"--ca={door.ca_file}", f"--connect-to={door.ingress_address}:{door.https_port}"]
        told = streamingstack(
            "transcribe", str(file), f"--stack={speech.name}", *_where(speech), *way, "--speed=2", f"--output={heard}"
        )
        assert told.returncode == 0, told.stderr
    assert error_rate(heard.read_text(), said) <= MOST_WRONG


def test_the_doctor_says_what_weakens_it_and_its_bundle_tells_nothing_that_was_said(
    door: Door, speech: OperatedStack, license_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.tar.gz"
    told = streamingstack("doctor", speech.name, *_where(speech), f"--bundle={bundle}")
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{speech.namespace.name}/{speech.name}: 0 things stop it" in told.stdout
    assert "egressCidrs is empty" in told.stdout
    assert ("no policy engine that we know" in told.stdout) == (not door.policies_enforced)
    files = dict(_files(bundle))
    for part in PARTS:
        pods = speech.ready_pods(part)
        assert pods, part
        for pod in pods:
            assert any(name.startswith(f"logs/{pod.metadata.name}.") for name in files), pod.metadata.name
    everything = "\n".join(files.values())
    _, said = recording(recordings)
    assert not triples(words(said)) & triples(words(everything))
    for secret in (speech.first_key(), (license_folder / "license.jwt").read_text().strip()):
        assert secret not in everything


def _where(stack: OperatedStack) -> list[str]:
    return [f"--namespace={stack.namespace.name}", f"--kubeconfig={stack.namespace.door.kubeconfig}"]


def _files(bundle: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(bundle) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            yield member.name, content.read().decode()
