from pipelines.core.evaluation import card_tables

INTERVAL = {"ndcg@10": 0.25, "ndcg@10_low": 0.2, "ndcg@10_high": 0.3}


def lines(table: str) -> list[str]:
    """The rows without header and rule."""
    return table.splitlines()[2:]


def test_metrics_come_best_first_with_their_intervals() -> None:
    measured = {"popularity": {"ndcg@10": 0.1, "recall@10": 0.5}, "recomart": INTERVAL, "users": 9}
    assert card_tables.metrics(measured).splitlines() == [
        "| model | ndcg@10 | recall@10 |",
        "| --- | ---: | ---: |",
        "| recomart | 0.2500 (0.2000 to 0.3000) |  |",
        "| popularity | 0.1000 | 0.5000 |",
    ]


def test_differences_are_signed_and_leave_out_what_is_no_model() -> None:
    verdicts = {"svd": {"difference": 0.01, "low": -0.01, "high": 0.03, "p": 0.3}, "champion_not_compared": "x"}
    assert lines(card_tables.differences(verdicts)) == ["| svd | +0.0100 (-0.0100 to +0.0300) | 0.3000 |"]


def test_slices_have_the_baseline_beside_them() -> None:
    measured = {"ours": {"cold": {**INTERVAL, "users": 1234}, "warm": {"ndcg@10": 0.5}}, "base": {"cold": INTERVAL}}
    assert lines(card_tables.slices(measured | {"meaning": {"cold": "few | new"}}, "ours", "base")) == [
        "| cold | few / new | 1,234 | 0.2500 (0.2000 to 0.3000) | 0.2500 (0.2000 to 0.3000) |",
        "| warm |  |  | 0.5000 |  |",
    ]


def test_ablation_goes_step_by_step_without_their_numbers() -> None:
    steps = {"01 trees": {"ndcg@10": 0.3, "inputs": 9, "gain": -0.01}, "00 best source: svd": {"ndcg@10": 0.31}}
    assert lines(card_tables.ablation(steps)) == [
        "| best source: svd |  | 0.3100 |  |",
        "| trees | 9 | 0.3000 | -0.0100 |",
    ]


def test_bias_is_empty_where_nothing_was_measured() -> None:
    assert card_tables.bias({"ours": INTERVAL, "base": INTERVAL}, "ours", "base") == ""
    (row,) = lines(card_tables.bias({"ours": {"gini@10": 0.5}, "base": {"gini@10": 0.9}}, "ours", "base"))
    assert row.startswith("| gini@10 | 0.5000 | 0.9000 | 0: every item")
