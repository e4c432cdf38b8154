"""Parses what a server sent with the models of a client: `parameters` name these `models` and a file of `messages`."""

import importlib
import json
from pathlib import Path

from order import read_order, tell

# Module and suffix of the models, by client; a message of type T is a model named T with the suffix.
MODELS = {
    "python-sdk": ("assemblyai.streaming.v3.models", "Event"),
    "pipecat": ("pipecat.services.assemblyai.models", "Message"),
}


def main() -> None:
    """Tell of each message whether its model takes it."""
    parameters = read_order()["parameters"]
    module, suffix = MODELS[parameters["models"]]
    models = importlib.import_module(module)
    for line in Path(parameters["messages"]).read_text().splitlines():
        message = json.loads(line)
        try:
            getattr(models, message["type"] + suffix).model_validate(message)
        except (ValueError, AttributeError) as refused:
            tell("refused", type=message["type"], text=str(refused))
        else:
            tell("parsed", type=message["type"])


if __name__ == "__main__":
    main()
