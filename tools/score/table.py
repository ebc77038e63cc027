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

COUNTS = ("Support", "TP", "FP", "FN")
ONLY_MICRO = " (in micro alone: macro is over the task's labels)"
MOST = 10  # labels that a line names


def table(score: Score, strict: bool = False) -> DataFrame:
    """Returns one row a label, then micro and macro averages: Label, Precision, Recall, F1, Support, TP, FP, FN.

    With `strict`, the averages of the answers in the trained form alone follow.
    """
    from pandas import DataFrame

    rows = [_row(label, counts) for label, counts in score["labels"].items()]
    if unknown := score["failures"]["unknown_label"]:
        rows.append(_row(NO_LABEL, Counts(fp=unknown).to_dict()))
    rows += [_row("Micro Avg.", score["micro"]), _row("Macro Avg.", score["macro"])]
    if strict:
        rows += [_row("Strict Micro", score["strict"]["micro"]), _row("Strict Macro", score["strict"]["macro"])]
    return DataFrame(rows).astype(dict.fromkeys(COUNTS, "Int64"))


def _row(name: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    ratios = {"Label": name, "Precision": counts["precision"], "Recall": counts["recall"], "F1": counts["f1"]}
    return ratios | {column: counts.get(column.lower()) for column in COUNTS}


def show(score: Score) -> str:
    """Returns the table as the CLUENER document prints it, with support and the strict averages, then how the answers were read, then intervals, floor, published
    figures and failures.
    """
    frame = table(score, strict=True)[["Label", "Precision", "Recall", "F1", "Support"]]
    text = frame.astype(object).where(frame.notna(), "-")
    text.loc[text["Label"].isin(["Macro Avg.", "Strict Macro"]), ["Precision", "Recall"]] = "-"  # a mean of ratios isn't a ratio of anything
    lines = [text.to_string(index=False, float_format=lambda value: f"{value:.4f}"), f"rows {score['rows']:,}{_beside(score)}"]
    lines += [*_read(score), *_intervals(score)]
    if floor := score.get("floor"):
        lines.append(f"floor, a plain list of the train entities: micro F1 {floor['micro']:.4f}, macro F1 {floor['macro']:.4f}")
    lines += _published(score)
    if failed := [f"{name} {count:,}{ONLY_MICRO * (name == 'unknown_label')}" for name, count in score["failures"].items() if count]:
        lines.append(f"failures, all counted as errors: {', '.join(failed)}")
    return "\n".join(lines)


def _beside(score: Score) -> str:
    """Returns the other protocols' micro F1, a classification's accuracy, and the score on unseen entities."""
    figures = {f"{name} F1": protocol["micro"]["f1"] for name, protocol in score["protocols"].items()}
    figures |= {"accuracy": score["accuracy"]} if "accuracy" in score else {}
    figures |= {"unseen F1": score["unseen"]["f1"]} if "unseen" in score else {}
    return "".join(f"  {name} {value:.4f}" for name, value in figures.items())


def _read(score: Score) -> list[str]:
    """Returns how the answers were read, and what the tolerant reading changes."""
    counts, f1, strict = score["answers"], score["micro"]["f1"], score["strict"]["micro"]["f1"]
    shown = {
        "in the trained form": counts["trained"],
        "read tolerantly": counts["tolerant"],
        "unreadable": counts["unreadable"],
        "missing": counts["missing"],
    }
    lines = [f"answers: {', '.join(f'{count:,} {name}' for name, count in shown.items() if count or name != 'missing')}"]
    if counts["tolerant"]:
        lines.append(f"strict F1 {strict:.4f}, of the answers in the trained form alone; with those read tolerantly {f1:.4f} ({f1 - strict:+.4f})")
    if rules := [f"{rule} {count:,}" for rule, count in score["parsing"].items() if count]:
        lines.append(f"rules that the others needed: {', '.join(rules)}")
    return lines


def _intervals(score: Score) -> list[str]:
    """Returns the intervals of the averages, and what is too few for them."""
    bounds, few = score["intervals"], score["intervals"]["few"]
    accuracy = f", accuracy {_range(bounds['accuracy'])}" if "accuracy" in bounds else ""
    averages = f"micro {_range(bounds['micro'])}, macro {_range(bounds['macro'])}{accuracy}"
    lines = [f"{bounds['level']:.0%} interval of F1: {averages} ({bounds['samples']:,} bootstrap samples of the rows)"]
    if few["rows"]:
        lines.append(f"few rows, {score['rows']:,}: their intervals are too narrow; take no figure here for more than a hint")
    if labels := few["labels"]:
        named = ", ".join(f"{label} {score['labels'][label]['support']}" for label in labels[:MOST])
        more = f" and {len(labels) - MOST:,} more" if len(labels) > MOST else ""
        lines.append(f"few gold items, so that their own F1 and macro F1 say little: {named}{more}")
    return lines


def _range(bounds: Iterable[float]) -> str:
    return "–".join(f"{bound:.4f}" for bound in bounds)


def _published(score: Score) -> list[str]:
    """Returns a line a split and metric, since only figures of the same split and metric compare."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in score.get("published", []):
        groups.setdefault((one["split"], one["metric"]), []).append(f"{one['model']} {one['f1']:.4f}")
    return [f"published {metric} F1 on {score['task']} {split}: {', '.join(figures)}" for (split, metric), figures in groups.items()]
