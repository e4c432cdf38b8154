"""The `streamingstack` command."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from streamingstack_bench.command import bench

from streamingstack_cli.cluster.commands import (
    AccessOptions,
    Context,
    Kubeconfig,
    Namespace,
    access_options,
    doctor_command,
    status_command,
)
from streamingstack_cli.compose import write_compose
from streamingstack_cli.errors import CommandError, one_line
from streamingstack_cli.license import license_app
from streamingstack_cli.models import models_app
from streamingstack_cli.prepare import LocalStack, Wishes, tls_files
from streamingstack_cli.processes import LOOPBACK
from streamingstack_cli.recording import open_recording
from streamingstack_cli.render import Target, rendered
from streamingstack_cli.transcribe import Format, Wanted, key_of_local_stack, parsed_parameters, transcribe
from streamingstack_cli.up import run_local
from streamingstack_cli.up import up as run_up
from streamingstack_cli.way import way_to

app = typer.Typer(
    name="streamingstack",
    help="Real-time speech-to-text on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StackFile = Annotated[Path, typer.Argument(help="A StreamingStack in YAML.", show_default=True)]
StateDir = Annotated[
    Path | None, typer.Option("--state", help="Folder of its keys, logs and sockets.", show_default=".state/NAME")
]
Port = Annotated[int | None, typer.Option(help="The gateway's port.", show_default="8080")]
Offset = Annotated[int, typer.Option("--port-offset", help="Shift every port: a second stack beside the first.")]
Host = Annotated[str, typer.Option(help="Address the gateway listens on; 0.0.0.0 for everybody.")]
TlsCertificate = Annotated[
    Path | None, typer.Option("--tls-cert", help="PEM: serve wss with this certificate; read again when it changes.")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="PEM: the key of --tls-cert.")]
DEFAULT_STACK = Path("examples/universal.yaml")
LOCAL_URL = "ws://127.0.0.1:8080"
DEFAULT_AUDIO = Path("examples/audio/en_derived_pauses_1688.wav")


@app.command()
def up(
    stack: StackFile = DEFAULT_STACK,
    state: StateDir = None,
    port: Port = None,
    port_offset: Offset = 0,
    host: Host = LOOPBACK,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
) -> None:
    """Run a whole stack as local processes until Ctrl-C.

    Fetches the models, issues a development licence, makes an API key, then starts the licence proxy, Triton,
    the recognisers, nginx and the gateway, and says how to use them.
    """
    with one_line():
        run_up(Wishes(stack, state, port, port_offset, host, tls_files(tls_cert, tls_key)), Console())


@app.command()
def render(
    stack: StackFile = DEFAULT_STACK,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="The same as STACK, as kubectl has it.")] = None,
    target: Annotated[Target, typer.Option(help="What to print.")] = Target.KUBERNETES,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Of compose: write compose.yaml and .env.example there."),
    ] = None,
    state: StateDir = None,
    port: Port = None,
    port_offset: Offset = 0,
) -> None:
    """Print what a stack would run, without a cluster, and without running or fetching anything.

    For Kubernetes: what this release's operator makes of it on a cluster that lacks nothing. The Secret with the first
    key is not shown, and a placeholder stands for that key's hash.
    """
    with one_line():
        if output is not None:
            if target is not Target.COMPOSE:
                raise CommandError("--output is for --target compose; redirect the other targets into a file", 2)
            typer.echo(write_compose(file or stack, output), nl=False)
            return
        typer.echo(rendered(target, Wishes(file or stack, state, port, port_offset)), nl=False)


Speed = Annotated[float, typer.Option(help="1 is real time.", min=0.1, max=50)]
SpeechModel = Annotated[
    str | None, typer.Option(help="Model to ask for, such as universal-streaming-english.", show_default="the server's")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the transcript here, not to the terminal.")]
Params = Annotated[
    list[str],
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Another parameter of the protocol; repeatable."),
]


StackOnCluster = Annotated[str | None, typer.Option("--stack", help="A stack of the cluster, in place of --url.")]
Authority = Annotated[Path | None, typer.Option("--ca", help="PEM of the authority behind the server's certificate.")]
ConnectTo = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Connect here, whatever DNS says of the URL's name."),
]


@app.command("transcribe")
def transcribe_command(
    file: Annotated[Path, typer.Argument(help="A WAV file: any rate, any number of channels.")],
    url: Annotated[
        str | None, typer.Option(help="The server, ws:// or wss://.", show_default="ws://127.0.0.1:8080")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="STREAMINGSTACK_API_KEY", help="API key of the server.", show_default="the local stack's"),
    ] = None,
    speech_model: SpeechModel = None,
    speed: Speed = 1.0,
    format_: Annotated[Format, typer.Option("--format", help="Form of the transcript.")] = Format.TEXT,
    output: Output = None,
    param: Params = [],  # noqa: B006 - typer copies it
    stack: StackOnCluster = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    ca: Authority = None,
    connect_to: ConnectTo = None,
) -> None:
    """Stream a recording in real time: live partials, every final turn, then words and lag.

    With --stack, endpoint and key are those of a stack of the current cluster. Exit status 1 where the server refuses
    or breaks off, 2 where the file cannot be used.
    """
    with one_line():
        recording = open_recording(file)
        parameters = parsed_parameters(param) | ({"speech_model": speech_model} if speech_model else {})
        way = way_to(ca, connect_to)
        if stack is not None:
            url, api_key = access_options(AccessOptions(stack, url, api_key, namespace, context, kubeconfig))
        url = url or LOCAL_URL
        key = api_key or key_of_local_stack(url, Path()) or "self-hosted"
        asyncio.run(transcribe(url, key, speed, recording, Wanted(format_, output, parameters), way))


@app.command()
def run(
    stack: StackFile = DEFAULT_STACK,
    audio: Annotated[Path, typer.Option(help="A WAV file: any rate, any number of channels.")] = DEFAULT_AUDIO,
    model: SpeechModel = None,
    speed: Speed = 1.0,
    state: StateDir = None,
    port: Port = None,
    port_offset: Offset = 0,
) -> None:
    """Start a stack, stream a recording through it in real time, stop everything.

    Exit status 1 where the stack cannot start or breaks off, 2 where the recording or the stack's file cannot be used.
    """
    with one_line():
        recording = open_recording(audio)

        async def once(local: LocalStack) -> None:
            wanted = Wanted(parameters={"speech_model": model} if model else {})
            await transcribe(local.url, local.api_key, speed, recording, wanted)

        run_local(Wishes(stack, state, port, port_offset), Console(), once)


app.command("status")(status_command)
app.command("doctor")(doctor_command)
# Listed last: what is asked for less often than a stack.
app.command("bench")(bench)
app.add_typer(models_app)
app.add_typer(license_app)


def main() -> None:
    """The entry point."""
    app()


if __name__ == "__main__":
    main()
