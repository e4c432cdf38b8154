"""N clients at once, every programme once or over and over, and what they met becomes one row of the report."""

import time

import pytest
from rich.console import Console
from streamingstack_bench.clips import Programme
from streamingstack_bench.load import Load, Watch, run_load
from streamingstack_bench.running import Plan, run
from streamingstack_bench.scoring import Knowledge
from streamingstack_bench.session import Target
from streamingstack_bench.word_times import Heard, TimedWord


def as_heard(script):
    words = tuple(TimedWord(word.text, word.start_ms / 1000, word.end_ms / 1000) for word in script.words)
    return Heard(" ".join(word.text for word in words), words)


async def test_every_programme_is_played_once_by_so_many_clients(gateway, silent_clip):
    every = [Programme((silent_clip(f"{number}.wav", 1.0, None),)) for number in range(4)]
    began = time.monotonic()
    played = await run_load(gateway.target(), Load(2, stagger_s=0.1), every)
    took = time.monotonic() - began
    assert sorted(item.programme.clips[0].name for item in played) == ["0.wav", "1.wav", "2.wav", "3.wav"]
    assert {item.session.fate for item in played} == {"completed"}
    assert took >= 2.0


async def test_with_a_duration_the_programmes_go_round(gateway, silent_clip):
    seconds, ended = [], []
    watch = Watch(seconds.append, ended.append)
    played = await run_load(
        gateway.target(), Load(1, 0, duration_s=2.2), [Programme((silent_clip("a.wav", 1.0, None),))], watch
    )
    assert len(played) >= 2
    assert ended == [item.session for item in played]
    assert sum(seconds) == pytest.approx(len(played))


async def test_sessions_beyond_the_gateways_limit_are_refused_and_the_others_go_on(gateway, silent_clip):
    every = [Programme((silent_clip("a.wav", 2.0, None),))] * (gateway.max_sessions + 1)
    played = await run_load(gateway.target(), Load(gateway.max_sessions + 1, stagger_s=0.05), every)
    fates = [item.session.fate for item in played]
    assert fates.count("completed") == gateway.max_sessions
    [refused] = [item.session for item in played if item.session.fate == "refused"]
    assert refused.reason.startswith("3009 ")


def test_a_run_reports_what_a_scripted_stack_really_does(gateway, silent_clip):
    """The words, their times and the processes are known here, so every figure can be."""
    heard = as_heard(gateway.script)
    clips = [silent_clip(f"{number}.wav", 2.8, heard.text) for number in range(2)]
    known = Knowledge(
        {clip.name: heard for clip in clips},
        {clip.name: Heard(heard.text.replace("hello", "yellow")) for clip in clips},
    )
    plan = Plan(gateway.target(), clips, [1, 2], root=gateway.process, stagger_s=0.1)
    report = run(plan, known, Console(quiet=True))
    assert (report.clips, report.clips_audio_s, [row.sessions for row in report.rows]) == (2, 5.6, [1, 2])
    for row in report.rows:
        assert (row.completed, row.refused, row.broken, row.violations) == (2, {}, {}, {})
        assert row.audio_s == 5.6
        assert row.wer is not None
        assert row.wer.value == row.never_shown == 0
        assert row.wer_gap is not None
        assert row.wer_gap.value == pytest.approx(-1 / 6)
        assert row.word_lag is not None
        assert row.final_lag is not None
        assert row.word_lag.count == 2 * len(heard.words)
        assert row.word_lag.p50 <= row.final_lag.p50 < 5
        assert row.cost is not None
        assert list(row.cost.parts) == ["streaming_gateway"]
        assert row.cost.cpu_s > 0
        assert 20e6 < row.cost.pss_peak < 400e6
    assert {score.clip for score in report.by_clip[2]} == {clip.name for clip in clips}


def test_a_run_without_a_server_reports_refusals(silent_clip):
    plan = Plan(
        Target("ws://127.0.0.1:1", "key", "universal-streaming-english"),
        [silent_clip("a.wav", 0.5, "hello there")],
        [1],
    )
    [row] = run(plan, Knowledge({}, {}), Console(quiet=True)).rows
    assert (row.completed, row.refused) == (0, {"no connection: ConnectionRefusedError": 1})
    assert (row.wer, row.word_lag, row.never_shown, row.audio_s) == (None, None, None, 0)
