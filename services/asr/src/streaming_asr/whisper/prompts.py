"""The context a window is decoded after: `<|startofprev|>` with keyterms and prompt, bounded. Pure."""

from collections.abc import Sequence
from typing import Protocol

# Half of Whisper's text context belongs to what went before; the cost of a decode grows with each token.
MOST_CONTEXT_TOKENS = 223
MOST_KEYTERM_TOKENS = 150


class TextTokens(Protocol):
    """What is needed of faster-whisper's tokenizer."""

    @property
    def sot_prev(self) -> int:
        """The token `<|startofprev|>`."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokens of a text."""
        ...


def context_tokens(prompt: str, keyterms: Sequence[str], tokenizer: TextTokens) -> list[int]:
    """Keyterms, first ones first, then the end of the prompt; empty without both.

    The prompt stands last because Whisper heeds most what stands nearest to the audio.
    """
    glossary = ", ".join(" ".join(term.split()) for term in keyterms if term.strip())
    terms = tokenizer.encode(f" {glossary}.")[:MOST_KEYTERM_TOKENS] if glossary else []
    said = " ".join(prompt.split())
    before = tokenizer.encode(f" {said}")[-(MOST_CONTEXT_TOKENS - len(terms)) :] if said else []
    return [tokenizer.sot_prev, *terms, *before] if terms or before else []
