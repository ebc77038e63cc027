"""Writes examples for an annotation tool, each with its present annotation and a suggestion: tasks for Label Studio, or rows for doccano.

In: sheets, one an example. Out: a file to import, and for Label Studio the labelling set-up beside it (.xml). Each carries its example's id and a digest of the annotation that
went out (`example`), by which `./ner merge` knows it again. Sources: labelstud.io/guide/predictions and /guide/tasks; doccano's import of JSONL, which keeps other
fields of a row as metadata and exports them beside the text.

    ./ner suspects conf/task/sample.yaml --to label_studio
    ./ner merge conf/task/sample.yaml EXPORT.json
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from tools.answers import Span
from tools.conf.task import Task
from tools.data.raw.ticket import TICKET, ticket
from tools.example import Entity, Example
from tools.files import Transaction

LABEL, TEXT = "label", "text"  # the names of the control and of the labelled object in the labelling set-up
UNSHOWN = re.compile("[\\0\ud800-\udfff]")  # characters that Label Studio's editor drops (NUL: its offsets shift) or doesn't open (half a character)
COLOURS = ("#FFA39E", "#FFC069", "#D3F261", "#5CDBD3", "#69C0FF", "#B37FEB", "#FF85C0", "#AD8B00", "#6B8E9E", "#7CB305", "#D4380D", "#096DD9")


@dataclass(frozen=True)
class Sheet:
    """An example on its way to an annotator. `suggestion` is an annotation of the same text; `maker` names what suggests it, with a `score` from 0 to 1.

    An unlabelled text has no present annotation: it `is_new`, and its example has no entities and an id of its own file. `note` is a line for the annotator.
    """

    example: Example
    suggestion: Example | None = None
    maker: str = ""
    score: float | None = None
    note: str = ""
    is_new: bool = False


def spans(example: Example) -> list[Span]:
    """Returns the labels and places of an example's entities, in its order."""
    return [(entity.label, entity.start, entity.end) for entity in example.entities]


def send(tool: str, task: Task, sheets: Sequence[Sheet], stem: Path) -> Path:
    """Writes the sheets for a tool of TOOLS beside `stem`, and returns the file to import. Sheets that the tool can't show are left out, and a printed line names them."""
    ending, writer = TOOLS[tool]
    left = [sheet.example.id for sheet in sheets if tool == "label_studio" and UNSHOWN.search(sheet.example.text)]
    shown = [sheet for sheet in sheets if tool != "label_studio" or not UNSHOWN.search(sheet.example.text)]
    path = stem.with_name(f"{stem.name}.{tool}{ending}")
    with Transaction() as new:
        writer(task, shown, new, path)
    if left:
        print(f"left out, because {tool} can't show a NUL or half a character: {len(left):,} texts, e.g. {left[0]}")
    print(f"{len(shown):,} texts for {tool} → {path}" + (f", its labelling set-up → {path.with_suffix('.xml')}" if tool == "label_studio" else ""))
    return path


def _label_studio(task: Task, sheets: Sequence[Sheet], new: Transaction, path: Path) -> None:
    """Writes one list of Label Studio's tasks, and the labelling set-up of the project that takes them."""
    lines = ",\n".join(json.dumps(_task(sheet), ensure_ascii=False) for sheet in sheets)
    new.open(path).write(f"[\n{lines}\n]\n")
    new.open(path.with_suffix(".xml")).write(set_up(task))


def _doccano(task: Task, sheets: Sequence[Sheet], new: Transaction, path: Path) -> None:
    """Writes doccano's JSONL, the suggestion as metadata; an unlabelled text has the suggestion as its labels."""
    new.open(path).writelines(f"{json.dumps(_row(sheet), ensure_ascii=False)}\n" for sheet in sheets)


Writer = Callable[[Task, Sequence[Sheet], Transaction, Path], None]
TOOLS: dict[str, tuple[str, Writer]] = {"label_studio": (".json", _label_studio), "doccano": (".jsonl", _doccano)}


def set_up(task: Task) -> str:
    """Returns the labelling set-up of a Label Studio project for a task: its labels, and the text."""
    control, one = ("Labels", "Label") if task.kind == "ner" else ("Choices", "Choice")
    names = [
        f"    <{one} value={quoteattr(label)}{f' background={quoteattr(COLOURS[number % len(COLOURS)])}' if one == 'Label' else ''}/>"
        for number, label in enumerate(task.names)
    ]
    return "\n".join(
        [
            "<View>",
            f'  <{control} name="{LABEL}" toName="{TEXT}">',
            *names,
            f"  </{control}>",
            '  <Header value="$note" size="6"/>',
            f'  <Text name="{TEXT}" value="${TEXT}" granularity="symbol"/>',
            "</View>",
            "",
        ]
    )


def _ticket(example: Example) -> str:
    return ticket(example.id, example.text, example.entities, example.label)


def _task(sheet: Sheet) -> dict[str, Any]:
    present = {} if sheet.is_new else {"annotations": [{"result": _results(sheet.example), "ground_truth": False}]}
    suggested = (
        {}
        if sheet.suggestion is None
        else {
            "predictions": [
                {
                    "model_version": sheet.maker,
                    **({} if sheet.score is None else {"score": round(sheet.score, 4)}),
                    "result": _results(sheet.suggestion),
                }
            ]
        }
    )
    return {"data": {"text": sheet.example.text, TICKET: _ticket(sheet.example), "note": sheet.note}, **present, **suggested}


def _results(example: Example) -> list[dict[str, Any]]:
    common = {"from_name": LABEL, "to_name": TEXT}
    if example.label is not None:
        return [{**common, "type": "choices", "value": {"choices": [example.label]}}]
    return [
        {**common, "id": f"e{number}", "type": "labels", "value": {"start": one.start, "end": one.end, "text": one.text, "labels": [one.label]}}
        for number, one in enumerate(example.entities)
    ]


def _row(sheet: Sheet) -> dict[str, Any]:
    shown = sheet.suggestion if sheet.is_new and sheet.suggestion else sheet.example
    suggestion = {} if sheet.suggestion is None or sheet.is_new else {"suggestion": _labels(sheet.suggestion), "suggested_by": sheet.maker}
    return {"text": sheet.example.text, "label": _labels(shown), TICKET: _ticket(sheet.example), "note": sheet.note, **suggestion}


def _labels(example: Example) -> Sequence[Any]:
    return [example.label] if example.label is not None else [[start, end, label] for label, start, end in spans(example)]


def changed(example: Example, changes: Iterable[tuple[Span | None, Span | None]]) -> Example:
    """Returns the example with entities changed: (now, instead) takes the one away and adds the other, either None for nothing."""
    found = dict.fromkeys(spans(example))
    for now, instead in changes:
        if now:
            found.pop(now, None)
        if instead:
            found[instead] = None
    ordered = sorted(found, key=lambda span: (span[1], -span[2], span[0]))
    return replace(example, entities=[Entity(label, example.text[start:end], start, end) for label, start, end in ordered])
