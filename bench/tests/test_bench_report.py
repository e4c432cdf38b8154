"""The report says the same as JSON, as a table, as a section of a document and as a picture."""

import json
from dataclasses import replace

import pytest
from streamingstack_bench.figures import Interval, Percentiles
from streamingstack_bench.machine import this_machine
from streamingstack_bench.plot import draw
from streamingstack_bench.records import Cost, Part
from streamingstack_bench.report import Machine, Report, markdown, rows, with_section
from streamingstack_bench.scoring import ClipScore, figures
from streamingstack_bench.wording import WordErrors

ROW = replace(
    figures(2, [], []),
    completed=3,
    refused={"3009 Too many | sessions": 1},
    audio_s=60.0,
    word_lag=Percentiles(0.71, 1.3, 1.62, 40),
    wer=Interval(0.0512, 0.04, 0.065),
    wer_offline=Interval(0.0472, 0.037, 0.06),
    wer_gap=Interval(0.004, -0.001, 0.009),
    late_sends=0.001,
    latest_send_s=0.061,
    cost=Cost(60.0, 30.0, 0.9e9, 1_100_000_000, {"nginx": Part(3, 12e6, 14_000_000, 0.4)}, 0.25),
)
EMPTY = figures(8, [], [])
SCORE = ClipScore("a.wav", "good day", WordErrors(2), None, None)
REPORT = Report(
    "universal-streaming-english",
    3,
    31.0,
    100,
    {},
    1,
    Machine("some processor", 2, 24.0, 0.1),
    [ROW, EMPTY],
    {2: [SCORE]},
)


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("sessions", ["2", "8"]),
        ("completed", ["3", "0"]),
        ("refused", ["1 x 3009 Too many | sessions", "0"]),
        ("word lag p50 / p95 / p99", ["0.71 / 1.30 / 1.62 s", "–"]),
        ("WER, streamed", ["5.12% (4.00% to 6.50%)", "–"]),
        ("streamed less offline", ["+0.40 points (-0.10 to +0.90)", "–"]),
        ("processor seconds per audio second", ["0.500", "–"]),
        ("memory (PSS), peak", ["1.10 GB", "–"]),
        ("· nginx, PSS peak", ["14 MB (3 processes)", "–"]),
        ("chunks sent over 50 ms late", ["0.10%, worst 61 ms", "0.00%, worst 0 ms"]),
        ("cores that others used meanwhile", ["0.25", "–"]),
    ],
)
def test_every_figure_has_its_line(line, cells):
    assert dict(rows([ROW, EMPTY]))[line] == cells


def test_a_line_that_nobody_measured_is_left_out():
    assert "memory (PSS), peak" not in dict(rows([EMPTY]))


def test_a_cell_does_not_break_the_markdown_table():
    text = markdown(REPORT, "Load")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {4}
    assert "2 cores of some processor with 24 GiB" in text


def test_what_was_spoken_is_in_the_json_only_when_asked_for():
    assert "good day" not in json.dumps(REPORT.as_json())
    plain = REPORT.as_json(texts=True)
    assert plain["by_clip"][2][0]["text"] == "good day"
    assert plain["rows"][0]["word_lag"]["p95"] == 1.3
    assert json.loads(json.dumps(plain))["rows"][0]["cost"]["parts"]["nginx"]["processes"] == 3


def test_a_section_is_added_and_then_replaced_and_the_rest_stays():
    once = with_section("# Benchmarks\n\nBefore.\n", "load", "first")
    both = with_section(once, "memory", "other")
    twice = with_section(both + "\nAfter.\n", "load", "second")
    assert "first" in once
    assert "first" not in twice
    for kept in ("# Benchmarks\n\nBefore.", "second", "other", "After."):
        assert kept in twice
    assert with_section(twice, "load", "second") == twice


def test_a_section_without_its_end_is_refused():
    torn = with_section("", "load", "x").rpartition("<!--")[0]
    with pytest.raises(ValueError, match="section load has no end"):
        with_section(torn, "load", "y")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_is_drawn_even_where_figures_are_missing(tmp_path, suffix):
    target = tmp_path / f"out.{suffix}"
    draw([REPORT, REPORT], target)
    assert target.stat().st_size > 5000


def test_the_machine_is_described():
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory_gib > 0.1
    assert machine.processor
