"""Passes once over a task's raw files: every row through its reader and every check, then the checks that need all rows together.

In: a task whose sources are open (`open_sources`), and perhaps a run with whose cutoff_len its rows are compared. Out: a Diagnosis, with findings and each
split's counts, which `./ner check` prints. Memory doesn't grow with the rows but for 40 bytes of hashes each (tools.data.repeats).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tools.conf.run import Run
from tools.conf.task import Task
from tools.data.doctor.cutoff import Cutoff
from tools.data.doctor.findings import KINDS, Findings, Place
from tools.data.doctor.prompt_faults import Shown, prompt_faults
from tools.data.doctor.row_faults import faults
from tools.data.doctor.split_faults import Splits, label_faults, left_over_faults, length_faults, repeat_faults
from tools.data.doctor.survey import Survey
from tools.data.excerpts import Excerpts
from tools.data.offsets.evidence import Evidence
from tools.data.offsets.verdict import Verdict
from tools.data.raw.encodings import encoding_of, other_than_utf8, write_as_utf8
from tools.data.raw.row import BadRow, FileReading, RawRow, Reader
from tools.data.readers import DECODING
from tools.data.repeats import Repeats
from tools.data.sources import Source, of_kind, sources_of, split_of
from tools.example import Example
from tools.text import quoted

_REPAIR = re.compile(r"line (\d+): ")


class OpenSource(NamedTuple):
    """One split's raw file: its own path, its encoding, and the source to read (of a copy if the file isn't UTF-8)."""

    split: str
    path: Path
    encoding: str
    source: Source


def open_sources(task: Task, folder: Path) -> tuple[Reader, list[OpenSource]]:
    """Returns the task's reader and its raw files; those in GBK or UTF-16 that the reader can't decode are copied to UTF-8 in `folder`. Raises ToolError for what is missing."""
    read, sources = sources_of(task)
    files = []
    for split, source in sources.items():
        encoding, readable = "utf-8" if task.reader in DECODING else encoding_of(source.path), source
        if not encoding.startswith("utf-8"):
            readable = replace(source, path=folder / f"{split}.raw")
            write_as_utf8(source.path, encoding, readable.path)
        files.append(OpenSource(split, source.path, encoding, readable))
    return read, files


def raw_paths(splits: Splits, files: list[OpenSource]) -> dict[str, Path]:
    """Returns each split's raw file; the splits that a task divides off have the divided one."""
    own = {file.split: file.path for file in files}
    return {name: own.get(name, files[0].path) for name in splits.names}


class Diagnosis:
    """All that is found in a task's raw files: `findings`, the counts of `splits`, and for each file a survey of its offsets or, without strings, a verdict on them."""

    def __init__(self, task: Task, readings: list[FileReading]) -> None:
        self.task = task
        self.findings = Findings()
        self.splits = Splits(task)
        self.surveys: dict[Path, Survey] = {}
        self.evidence: dict[Path, Evidence] = {}
        self.verdicts: dict[Path, Verdict] = {}
        self.shown: Shown | None = None
        self.repeats = Repeats(self.splits.names)
        self.excerpts = Excerpts(task, readings)
        self.cutoff: Cutoff | None = None

    def add(self, file: OpenSource, row: RawRow | BadRow) -> None:
        """Examines a row."""
        if isinstance(row, BadRow):
            self.splits.counts[file.split].bad_rows += 1
            self.findings.add(row.kind if row.kind in KINDS else "type", Place(file.split, file.path, row.line, row.item), row.reason)
            return
        row = of_kind(row, self.task)
        place = Place(split_of(row, file.split, self.task), file.path, row.line, row.item)
        self.splits.add(place, row)
        self.repeats.add(place.split, row)
        self.excerpts.add(row)
        self._add_faults(place, row)
        if self.cutoff:
            self.cutoff.add(place, Example("", row.text, row.entities, row.label, row.options))

    def _add_faults(self, place: Place, row: RawRow) -> None:
        for kind, message in faults(row, self.task):
            self.findings.add(kind, place, message)
        if row.options is not None and self.shown:
            for kind, message in self.shown.row_faults(row.options):
                self.findings.add(kind, place, message)
        for repair in row.repairs:
            own = _REPAIR.match(repair)
            self.findings.add("repaired", place._replace(line=int(own[1])) if own else place, repair)
        if self.task.kind == "ner" and not row.entities and row.label is None:
            self.findings.add("no-entity", place, quoted(row.text))
        if not row.sliced:
            (self.surveys.get(place.file) or self.surveys.setdefault(place.file, Survey(self.task.reader))).add_row(row)
        elif not self.task.offsets:
            (self.evidence.get(place.file) or self.evidence.setdefault(place.file, Evidence())).add(row)

    def measured(self, place: Place, tokens: int, answer: int) -> None:
        """Takes the token counts of the row at `place` and of its answer."""
        self.splits.counts[place.split].token_lengths[tokens] += 1
        if not (cutoff := self.cutoff):
            return
        if tokens > cutoff.limit:
            self.findings.add("cutoff", place, f"{tokens:,} tokens, {tokens - cutoff.limit:,} too many.")
        if cutoff.positions and tokens > cutoff.positions:
            self.findings.add("positions", place, f"{tokens:,} tokens; {cutoff.run.base_model} reads {cutoff.positions:,}.")
        if answer > cutoff.answer_tokens:
            self.findings.add("long-answer", place, f"{answer:,} tokens; evaluation stops after {cutoff.answer_tokens:,}.")


def diagnose(task: Task, read: Reader, files: list[OpenSource], run: Run | None = None) -> Diagnosis:
    """Examines all rows of all files, with a progress bar. Raises ToolError if the prompt's file or the run's tokenizer is missing."""
    diagnosis = Diagnosis(task, [file.source.reading for file in files])
    render, prompt_found = prompt_faults(task)
    for path, line, message in prompt_found:
        diagnosis.findings.add("prompt", Place("", path, line), message)
    if render:
        diagnosis.shown = Shown(task, render)
        for kind, message in diagnosis.shown.label_faults():
            diagnosis.findings.add(kind, Place("", task.prompt, 1), message)
    if run and render:
        diagnosis.cutoff = Cutoff(run, task, render, diagnosis.measured)
    for file in files:
        _add_encoding(diagnosis.findings, file)
        for _, row in file.source.rows(read, f"{task.name} {file.split}"):
            diagnosis.add(file, row)
    _add_faults_of_all_rows(diagnosis, files)
    _add_advice(diagnosis)
    return diagnosis


def _add_encoding(findings: Findings, file: OpenSource) -> None:
    place, encoding = Place(file.split, file.path, 1), file.encoding
    if encoding == "utf-8-sig":
        findings.add("bom", place, "the file begins with EF BB BF, UTF-8's byte-order mark.")
    elif encoding != "utf-8":
        findings.add("file-encoding", place, other_than_utf8(encoding))


def _add_faults_of_all_rows(diagnosis: Diagnosis, files: list[OpenSource]) -> None:
    findings, splits = diagnosis.findings, diagnosis.splits
    paths = raw_paths(splits, files)
    for name, counts in splits.counts.items():
        if not counts.rows:
            findings.add("no-rows", Place(name, paths[name], 1), f"{name}: no readable row, {counts.bad_rows:,} bad ones.")
    label_faults(splits, diagnosis.task, findings)
    length_faults(splits, diagnosis.task, findings)
    diagnosis.repeats.index()
    repeat_faults(diagnosis.repeats, paths, findings)
    left_over_faults(diagnosis.task, diagnosis.repeats, findings)
    for file in files:
        if file.path in diagnosis.evidence and file.path not in diagnosis.verdicts:
            _add_verdict(diagnosis, file)
        for doubt, line in file.source.reading.doubts.items():
            findings.add("doubt", Place(file.split, file.path, line), doubt)


def _add_verdict(diagnosis: Diagnosis, file: OpenSource) -> None:
    """Adds what a file says about its offsets."""
    verdict = diagnosis.verdicts[file.path] = diagnosis.evidence[file.path].verdict()
    if verdict.doubt:
        diagnosis.findings.add("doubt", Place(file.split, file.path, 1), verdict.doubt)
    if verdict.stops:
        first = verdict.cases[0][0].line if verdict.cases else 1
        diagnosis.findings.add("offset-reading", Place(file.split, file.path, first), verdict.sentences[0])
        for case, message in verdict.cases:
            diagnosis.findings.example("offset-reading", Place(file.split, file.path, case.line, case.item), message)
        diagnosis.findings.advise("offset-reading", f"{verdict.advice(diagnosis.task.path)}.")


def _add_advice(diagnosis: Diagnosis) -> None:
    """Adds shares and values that are known only after the last row to the findings' titles and advice."""
    findings, cutoff = diagnosis.findings, diagnosis.cutoff
    if empty := findings.count("no-entity"):
        findings.detail("no-entity", f"{empty / diagnosis.splits.rows:.1%} of all")
    if cutoff and findings.count("cutoff"):
        findings.detail("cutoff", f"{cutoff.limit:,}")
        findings.advise("cutoff", cutoff.advice)
    for path, survey in diagnosis.surveys.items():
        if str(survey):
            few = "--fix looks for each string in its text, and leaves out what stays doubtful"
            way = "--fix reads them so" if survey.mends_all() else f"{survey.right:,} others are right as they are; {few}"
            findings.advise("offsets", f"{path}: {survey}; {way}.")
