"""Whisper on CTranslate2: groups of windows of one shape in, words out.

On a processor the encoder runs window by window (a batch is slower: its activations fall out of the cache) and only
the generation, which is bound by reading the weights, runs as a batch. The alignment always runs window by window:
CTranslate2 lets texts of different lengths change each other's times.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray
from tokenizers import Tokenizer as TextTokenizer

from streaming_asr.engine import SAMPLE_RATE, Pcm
from streaming_asr.whisper.guards import is_silence, token_budget
from streaming_asr.whisper.languages import likeliest, spoken_languages
from streaming_asr.whisper.prompts import context_tokens
from streaming_asr.whisper.settings import Settings
from streaming_asr.whisper.words import TimedWord, goes_on, lost_sound, timed_words

MEL_HOP = 160  # samples of one feature frame


@dataclass(frozen=True, slots=True)
class Request:
    """One window: `pcm` padded to its declared length and floor, of which `samples` are heard audio.

    `languages` are expected, the likeliest first; `allowed` bind detection, none: the settings' do. A `tentative` one
    is decoded greedily.
    """

    pcm: Pcm
    samples: int
    languages: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    prompt: str = ""
    keyterms: tuple[str, ...] = ()
    tentative: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """Words of one window and the language they were decoded in.

    Where the model holds the window for silence, `doubted` are what it would have said, and there are no words.
    """

    words: list[TimedWord] = field(default_factory=list)
    language: str = ""
    language_confidence: float = 0.0
    doubted: list[TimedWord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Spoken:
    language: str
    confidence: float


class WhisperModel:
    """The model, loaded; safe to call from as many threads as it has workers."""

    def __init__(self, settings: Settings) -> None:
        """Loads the weights; raises RuntimeError with CTranslate2's reason when the folder holds no model."""
        self._settings = settings
        self._on_cpu = settings.device == "cpu"
        self._model = ctranslate2.models.Whisper(
            str(settings.folder),
            device=settings.device,
            compute_type=settings.compute_type,
            inter_threads=settings.workers,
            intra_threads=1,
        )
        text = TextTokenizer.from_file(str(settings.folder / "tokenizer.json"))
        text.encode_special_tokens = True  # what a client writes is text, whatever it looks like
        self._spoken = spoken_languages(text.get_vocab())
        self._multilingual: bool = self._model.is_multilingual
        self._tokenizers = {"en": Tokenizer(text, self._multilingual, task="transcribe", language="en")}
        self._text = text
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._suppressed = _suppressed_tokens(settings.folder)
        self._allowed = settings.languages

    def shape(self, request: Request) -> tuple[int, int, bool]:
        """What requests of one group share: padded length, tokens of context, and how they are decoded."""
        return len(request.pcm), len(self._context(request)), request.tentative

    def decode(self, requests: Sequence[Request]) -> list[Heard]:
        """Hear windows of one shape; each as if it were alone.

        A prompt makes the model end early at times, after a keyterm that nobody said: then it is asked without. Where
        that hears no more, as in noise behind the speech, what it heard with the prompt stands.
        """
        features = [self._mel(request.pcm) for request in requests]
        encoded = self._encode(features)
        spoken = [self._language(one, request) for one, request in zip(encoded, requests, strict=True)]
        heard = self._generate(requests, encoded, spoken)
        for place, request in enumerate(requests):
            if self._context(request) and lost_sound(heard[place].words, request.pcm[: request.samples]):
                bare = replace(request, prompt="", keyterms=())
                [alone] = self._generate([bare], [encoded[place]], [spoken[place]])
                if goes_on(alone.words, heard[place].words):
                    heard[place] = alone
        return heard

    def _generate(self, requests: Sequence[Request], encoded: Sequence[Any], spoken: Sequence[_Spoken]) -> list[Heard]:
        prompts = [
            [*self._context(request), *tokenizer.sot_sequence, tokenizer.no_timestamps]
            for request, tokenizer in ((r, self._tokenizer(s.language)) for r, s in zip(requests, spoken, strict=True))
        ]
        budget = max(token_budget(len(request.pcm), SAMPLE_RATE) for request in requests)
        results = self._model.generate(
            encoded[0] if len(encoded) == 1 else _joined(encoded),
            prompts,
            beam_size=1 if requests[0].tentative else self._settings.beam,
            max_length=min(len(prompts[0]) + budget, 448),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
        )
        return [
            self._heard(request, one, language, result)
            for request, one, language, result in zip(requests, encoded, spoken, results, strict=True)
        ]

    def _mel(self, pcm: Pcm) -> NDArray[np.float32]:
        mel = self._features(pcm.astype(np.float32) / 32768, padding=0)
        return np.ascontiguousarray(mel[None], np.float32)

    def _encode(self, features: Sequence[NDArray[np.float32]]) -> list[Any]:
        if self._on_cpu or len(features) == 1:
            return [self._model.encode(ctranslate2.StorageView.from_array(one)) for one in features]
        batch = self._model.encode(ctranslate2.StorageView.from_array(np.concatenate(features)), to_cpu=True)
        rows = np.array(batch)
        return [ctranslate2.StorageView.from_array(np.ascontiguousarray(rows[i : i + 1])) for i in range(len(rows))]

    def _language(self, encoded: Any, request: Request) -> _Spoken:
        if not self._multilingual:
            return _Spoken("en", 1.0)
        allowed = request.allowed or self._allowed
        if len(allowed) == 1 and not request.languages:
            return _Spoken(allowed[0], 1.0)
        detected = [(token[2:-2], float(p)) for token, p in self._model.detect_language(encoded)[0]]
        expected = [code for code in request.languages if code in self._spoken]
        return _Spoken(*likeliest(detected, expected, allowed))

    def _tokenizer(self, language: str) -> Tokenizer:
        known = self._tokenizers.get(language)
        if known is None:
            known = Tokenizer(self._text, self._multilingual, task="transcribe", language=language)
            self._tokenizers[language] = known
        return known

    def _context(self, request: Request) -> list[int]:
        return context_tokens(request.prompt, request.keyterms, self._tokenizers["en"])

    def _heard(self, request: Request, encoded: Any, spoken: _Spoken, result: Any) -> Heard:
        tokenizer = self._tokenizer(spoken.language)
        tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
        tokens = tokens[: token_budget(request.samples, SAMPLE_RATE)]
        mean_log_probability = result.scores[0] * len(result.sequences_ids[0]) / (len(result.sequences_ids[0]) + 1)
        if not tokens:
            return Heard([], spoken.language, spoken.confidence)
        words = self._timed(request, encoded, tokenizer, tokens)
        if is_silence(result.no_speech_prob, mean_log_probability):
            return Heard([], spoken.language, spoken.confidence, words)
        return Heard(words, spoken.language, spoken.confidence)

    def _timed(self, request: Request, encoded: Any, tokenizer: Tokenizer, tokens: list[int]) -> list[TimedWord]:
        frames = -(-request.samples // MEL_HOP)
        aligned = self._model.align(encoded, tokenizer.sot_sequence, [tokens], frames)[0]
        texts, parts = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
        return timed_words(
            texts[:-1],
            [len(part) for part in parts[:-1]],
            aligned.alignments,
            aligned.text_token_probs,
            request.pcm[: request.samples],
        )


def _joined(encoded: Sequence[Any]) -> Any:
    return ctranslate2.StorageView.from_array(np.concatenate([np.array(one) for one in encoded]))


def _suppressed_tokens(folder: Path) -> list[int]:
    config = json.loads((folder / "config.json").read_text())
    return [-1] if config.get("suppress_ids") is not None else []
