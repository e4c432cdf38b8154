"""What a Compose file leaves to its `.env`: variables with their defaults, collected while the file is written."""

from collections.abc import Iterable
from dataclasses import dataclass

from stack_model.release import VERSION


@dataclass(frozen=True)
class Variable:
    """One variable; without a default it is passed on only where it is set."""

    name: str
    meaning: str
    default: str | None = None

    def __str__(self) -> str:
        """As it stands in the Compose file."""
        return f"${{{self.name}}}" if self.default is None else f"${{{self.name}:-{self.default}}}"


TAG = Variable("STREAMINGSTACK_TAG", "Release of the images.", VERSION)
GATEWAY_ADDRESS = Variable("GATEWAY_ADDRESS", "Address on which clients come in; 127.0.0.1 for a TLS proxy.", "0.0.0.0")
GATEWAY_PORT = Variable("GATEWAY_PORT", "Port on which clients come in.", "8080")
GATEWAY_METRICS_PORT = Variable("GATEWAY_METRICS_PORT", "Port of the gateway's metrics, on loopback.", "9090")
SYNC_API_PORT = Variable("SYNC_API_PORT", "Port of the sync API, where recordings come in.", "8083")
LICENSE_PROXY_PORT = Variable(
    "LICENSE_PROXY_PORT", "Port of the licence proxy's /v1/status and metrics, on loopback.", "8082"
)
GATEWAY_DRAIN_SECONDS = Variable(
    "GATEWAY_DRAIN_SECONDS", "How long sessions may go on after `docker compose stop`; 10800 is the longest one.", "60"
)
LICENSE_FILE = Variable("LICENSE_FILE", "The licence; readable by user 10001.", "./license.jwt")
LICENSE_KEYS_FILE = Variable("LICENSE_KEYS_FILE", "The issuer's public keys, a JSON Web Key Set.", "./public-keys.json")
API_KEYS_FILE = Variable(
    "API_KEYS_FILE", "A line `sha256 name` for each API key: printf %s KEY | sha256sum.", "./api-keys"
)
TOKEN_SECRET_FILE = Variable(
    "TOKEN_SECRET_FILE", "What temporary tokens are signed with: openssl rand -hex 32 > token-secret.", "./token-secret"
)
CA_FILE = Variable("CA_FILE", "Certificates that are trusted beside the usual ones, PEM.", "./ca.crt")
USAGE_KEY = Variable("USAGE_TRACKING_API_KEY", "Key of the usage tracker.")
HUB = (Variable("HF_TOKEN", "Token of the model hub, for models that need one."),)
BUCKET = (
    Variable("AWS_ACCESS_KEY_ID", "Key of the bucket with the models."),
    Variable("AWS_SECRET_ACCESS_KEY", "Its secret."),
    Variable("AWS_REGION", "Region of the bucket."),
    Variable("AWS_ENDPOINT_URL", "URL of the bucket's service, where it is not Amazon's."),
)


def card(model: str, index: int, default: int) -> Variable:
    """The card of a model, `index` counting its own."""
    suffix = f"_{index}" if index else ""
    name = f"GPU_{model.upper().replace('-', '_')}{suffix}"
    return Variable(name, f"Card of {model}: its number, its UUID, or the UUID of a MIG slice.", str(default))


def env_example(stack: str, variables: Iterable[Variable]) -> str:
    """The text of `.env.example`: every variable once, those with a default commented out."""
    lines = [f"# Copy to .env and change what differs here; compose.yaml of {stack} reads it."]
    for variable in dict.fromkeys(variables):
        lines += ["", f"# {variable.meaning}"]
        lines.append(f"#{variable.name}=" + (variable.default or ""))
    return "\n".join(lines) + "\n"
