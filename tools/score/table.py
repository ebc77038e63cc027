"""Shows a score: as a table, and as the lines that the terminal prints.

In: a Score. Out: a DataFrame, or text.

    ./ner score conf/task/<task>.yaml --examples FILE --predictions FILE --out DIR
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tools.score.counts import NO_LABEL, Counts
from tools.score.score_file import Score

if TYPE_CHECKING:
    from pandas import DataFrame

STRICT = "strict"  # the key of `parsing` under which answers in the trained form are counted


def table(score: Score) -> DataFrame:
    """Returns one row a label, then micro and macro averages: Label, Precision, Recall, F1, Support, TP, FP, FN."""
    from pandas import DataFrame

    def row(name: str, counts: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{"Label": name, "Precision": counts["precision"], "Recall": counts["recall"], "F1": counts["f1"]},
            **{"Support": counts.get("support"), "TP": counts.get("tp"), "FP": counts.get("fp"), "FN": counts.get("fn")},
        }

    rows = [row(label, counts) for label, counts in score["labels"].items()]
    if unknown := score["failures"]["unknown_label"]:
        rows.append(row(NO_LABEL, Counts(fp=unknown).to_dict()))
    rows += [row("Micro Avg.", score["micro"]), row("Macro Avg.", score["macro"])]
    return DataFrame(rows).astype(dict.fromkeys(["Support", "TP", "FP", "FN"], "Int64"))


def show(score: Score) -> str:
    """Returns the table as the CLUENER document prints it (with support), then intervals, floor and published figures, then failures and rules where there are any."""
    frame = table(score)[["Label", "Precision", "Recall", "F1", "Support"]]
    text = frame.astype(object).where(frame.notna(), "-")
    text.loc[text["Label"] == "Macro Avg.", ["Precision", "Recall"]] = "-"  # a mean of ratios isn't a ratio of anything
    lines = [text.to_string(index=False, float_format=lambda value: f"{value:.4f}"), f"rows {score['rows']:,}{_beside(score)}"]
    bounds = score["intervals"]
    lines.append(
        f"{bounds['level']:.0%} interval of F1: micro {_range(bounds['micro'])}, macro {_range(bounds['macro'])} ({bounds['samples']:,} bootstrap samples of the rows)"
    )
    if floor := score.get("floor"):
        lines.append(f"floor, a plain list of the train entities: micro F1 {floor['micro']:.4f}, macro F1 {floor['macro']:.4f}")
    lines += _published(score)
    if failed := [f"{name} {count:,}" for name, count in score["failures"].items() if count]:
        lines.append(f"failures, all counted as errors: {', '.join(failed)}")
    if rules := [f"{rule} {count:,}" for rule, count in score["parsing"].items() if count and rule != STRICT]:
        lines.append(f"answers in the trained form {score['parsing'][STRICT]:,}; others, by the rules that they needed: {', '.join(rules)}")
    return "\n".join(lines)


def _beside(score: Score) -> str:
    """Returns the other protocols' micro F1, a classification's accuracy, the score on unseen entities, and that of answers in the trained form alone."""
    figures = {f"{name} F1": protocol["micro"]["f1"] for name, protocol in score["protocols"].items()}
    figures |= {"accuracy": score["accuracy"]} if "accuracy" in score else {}
    figures |= {"unseen F1": score["unseen"]["f1"]} if "unseen" in score else {}
    figures |= {"strict F1": score["strict"]["micro"]["f1"]} if "strict" in score else {}
    return "".join(f"  {name} {value:.4f}" for name, value in figures.items())


def _range(bounds: Iterable[float]) -> str:
    return "–".join(f"{bound:.4f}" for bound in bounds)


def _published(score: Score) -> list[str]:
    """Returns a line a split and metric, since only figures of the same split and metric compare."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in score.get("published", []):
        groups.setdefault((one["split"], one["metric"]), []).append(f"{one['model']} {one['f1']:.4f}")
    return [f"published {metric} F1 on {score['task']} {split}: {', '.join(figures)}" for (split, metric), figures in groups.items()]
