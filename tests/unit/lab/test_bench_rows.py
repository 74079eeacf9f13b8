"""The benchmark's figures: medians, nearest ranks, ratios of pairs, and whether a target was met."""

from __future__ import annotations

from bench.rows import Target, compared, distribution, percentile, show, single


def test_a_percentile_is_a_figure_that_was_measured() -> None:
    assert percentile([3, 1, 2], 0.99) == 3
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert percentile([-7.0], 0.99) == -7


def test_the_ratio_is_the_median_of_the_pairs_ratios() -> None:
    row = compared("sudo", [2.0, 30.0, 4.0], [1.0, 10.0, 4.0], "ms", Target("ratio", 2))
    assert (row.ratio, row.value, row.baseline, row.met) == (2, 4, 4, True)


def test_a_target_is_met_up_to_its_limit_and_not_beyond() -> None:
    assert distribution("a", [10.0], "ms", Target("p50", 10)).met is True
    assert distribution("a", [10.1], "ms", Target("p50", 10)).met is False
    assert distribution("a", [1.0, 500.0], "ms", Target("p50", 300), Target("p99", 100)).met is False
    assert single("a", 1, "MB").met is None


def test_of_some_figures_more_is_better() -> None:
    enough = Target("ratio", 0.9, at_least=True)
    assert compared("MB/s", [9.0], [10.0], "MB/s", enough).met is True
    assert compared("MB/s", [8.9], [10.0], "MB/s", enough).met is False
    assert single("nothing to compare with", 9, "MB/s", enough).met is False
    assert compared("MB/s", [8.9], [10.0], "MB/s", enough).target == "ratio ≥ 0.9"


def test_the_table_names_what_was_missed() -> None:
    assert "p99 ≤ 5: MISSED" in show([distribution("late", [6.0], "ms", Target("p99", 5))])
    assert "p99 ≤ 5: met" in show([distribution("late", [-600.0], "ms", Target("p99", 5))])
