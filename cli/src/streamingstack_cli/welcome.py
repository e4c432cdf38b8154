"""What `up` says once a stack is ready."""

from rich.console import Console

from streamingstack_cli.prepare import LocalStack
from streamingstack_cli.processes import reachable

RECORDING = "examples/audio/en_derived_pauses_1688.wav"


def welcome(local: LocalStack, console: Console) -> None:
    """Print URL, key, a program to paste and where the logs are; the program starts in the first column."""
    model = local.stack.spec.gateway.default_speech_model or local.stack.spec.models[0].speech_models[0]
    text = f"""
Ready
  URL      {local.url}
  API key  {local.api_key}
  logs     {local.layout.state.logs}{_sync_api(local)}

From the command line:

streamingstack transcribe FILE.wav --url {local.url} --api-key {local.api_key}

From Python:

{sdk_snippet(local.url, local.api_key, model)}
Ctrl-C stops everything."""
    # Neither colours nor line breaks of the terminal's width: what is copied must be what was written.
    console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _sync_api(local: LocalStack) -> str:
    """Where whole recordings go, in a line of its own."""
    port = local.layout.ports.sync_api
    plain = " (plain HTTP: the certificate is for the URL alone)" if local.layout.tls else ""
    return "" if port is None else f"\n  sync API http://{reachable(local.layout.host)}:{port}/transcribe{plain}"


def sdk_snippet(url: str, api_key: str, speech_model: str) -> str:
    """A whole Python program that streams a recording at real time with the official SDK."""
    return f'''\
# pip install assemblyai
import time
import wave

import assemblyai.streaming.v3 as aai

recording = wave.open("{RECORDING}")  # any mono WAV of 16 bits


def chunks():
    """100 ms of audio every 100 ms, as a microphone would."""
    while audio := recording.readframes(recording.getframerate() // 10):
        yield audio
        time.sleep(0.1)


client = aai.StreamingClient(aai.StreamingClientOptions(api_key="{api_key}", api_host="{url}"))
client.on(aai.StreamingEvents.Turn, lambda _, turn: print("final" if turn.end_of_turn else "...", turn.transcript))
client.connect(
    aai.StreamingParameters(sample_rate=recording.getframerate(), speech_model="{speech_model}")
)
client.stream(chunks())
client.disconnect(terminate=True)
'''
