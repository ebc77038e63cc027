"""The doctor's one pass over a task's raw files: every row through its reader and every check, then what only all rows together can tell.

In: a task whose sources are open (`open_sources`), and perhaps a run to hold its token lengths against. Out: a Diagnosis, with findings and each split's
counts. `python -m tools.data.doctor.examine` writes it. Memory doesn't grow with the rows: what must be remembered of each is in `tools.data.repeats`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tools.conf.run import Run
from tools.conf.task import Task
from tools.data.doctor.cutoff import Cutoff
from tools.data.doctor.encodings import Encoding, encoding_of, write_as_utf8
from tools.data.doctor.findings import KINDS, Findings, Place, quoted
from tools.data.doctor.offsets import Survey, agrees
from tools.data.doctor.prompt_faults import prompt_faults
from tools.data.doctor.row_faults import faults, is_empty
from tools.data.doctor.split_faults import Splits, label_faults, repeat_faults
from tools.data.readers.row import BadRow, RawRow
from tools.data.repeats import Repeats
from tools.data.sources import Source, of_kind, share_of, sources_of
from tools.example import Example

Read = Callable[[Path], Iterator[RawRow | BadRow]]


class OpenSource(NamedTuple):
    """One split's raw file: its own path, its encoding, and where its rows can be read (a copy where the file isn't UTF-8)."""

    split: str
    path: Path
    encoding: Encoding
    source: Source


def open_sources(task: Task, folder: Path) -> tuple[Read, list[OpenSource]]:
    """The task's reader and its raw files, those in GBK or UTF-16 copied to UTF-8 below `folder`. Raises ToolError for what is missing."""
    read, sources = sources_of(task)
    readable: dict[Path, tuple[Encoding, Path]] = {}
    for path in {source.path: None for source in sources.values()}:
        encoding, copy = encoding_of(path), path
        if encoding.codec != "utf-8":
            copy = folder / f"{len(readable)}-{path.name}"
            write_as_utf8(path, encoding.codec, copy)
        readable[path] = (encoding, copy)
    return read, [
        OpenSource(split, source.path, readable[source.path][0], replace(source, path=readable[source.path][1])) for split, source in sources.items()
    ]


class Diagnosis:
    """All that is found in a task's raw files: `findings`, the counts of `splits`, and for each file with wrong offsets a survey of them."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.findings = Findings()
        self.splits = Splits(task)
        self.surveys: dict[Path, Survey] = {}
        self.repeats = Repeats(self.splits.names)
        self.cutoff: Cutoff | None = None

    def add(self, file: OpenSource, number: int, row: RawRow | BadRow) -> None:
        """Examine a row; `number` is its place in its file."""
        if isinstance(row, BadRow):
            self.splits.counts[file.split].bad_rows += 1
            self.findings.add(row.kind if row.kind in KINDS else "type", Place(file.split, file.path, row.line), row.reason)
            return
        row = of_kind(row, self.task)
        place = Place((self.task.split and share_of(row.text, self.task.split)) or file.split, file.path, row.line)
        self.splits.add(place, row)
        self.repeats.add(place.split, number, row)
        self._add_faults(place, row)
        if self.cutoff:
            self.cutoff.add(place, Example("", row.text, row.entities, row.label, row.options))

    def _add_faults(self, place: Place, row: RawRow) -> None:
        kinds = set()
        for kind, message in faults(row, self.task):
            self.findings.add(kind, place, message)
            kinds.add(kind)
        for repair in row.repairs:
            own = re.match(r"line (\d+): ", repair)
            self.findings.add("repaired", place._replace(line=int(own[1])) if own else place, repair)
        if self.task.kind == "ner" and not row.entities and row.label is None:
            self.findings.add("no-entity", place, quoted(row.text))
        if "offsets" in kinds:
            survey = self.surveys.setdefault(place.file, Survey(self.task.reader))
            for entity in row.entities:
                if not agrees(row.text, (entity.start, entity.end), entity.text) and not is_empty(entity, len(row.text)):
                    survey.add(row.text, entity)

    def measured(self, place: Place, tokens: int) -> None:
        """A row's token count has come in."""
        self.splits.counts[place.split].token_lengths[tokens] += 1
        if self.cutoff and tokens > self.cutoff.limit:
            self.findings.add("cutoff", place, f"{tokens:,} tokens, {tokens - self.cutoff.limit:,} too many.")


def diagnose(task: Task, read: Read, files: list[OpenSource], run: Run | None = None) -> Diagnosis:
    """Examine all rows of all files, with a progress bar. Raises ToolError where the prompt's file or the run's tokenizer is missing."""
    from tqdm import tqdm

    diagnosis = Diagnosis(task)
    render, prompt_found = prompt_faults(task)
    for path, line, message in prompt_found:
        diagnosis.findings.add("prompt", Place("", path, line), message)
    if run and render:
        diagnosis.cutoff = Cutoff(run, task, render, diagnosis.measured)
    for file in files:
        _add_encoding(diagnosis.findings, file)
        for number, row in tqdm(file.source.rows(read), desc=f"{task.name} {file.split}", unit=" rows", disable=None, leave=False):
            diagnosis.add(file, number, row)
    if diagnosis.cutoff:
        diagnosis.cutoff.flush()
    _add_what_all_rows_tell(diagnosis, files)
    return diagnosis


def _add_encoding(findings: Findings, file: OpenSource) -> None:
    codec, mark = file.encoding
    if mark:
        findings.add("bom", Place(file.split, file.path, 1), "the file begins with EF BB BF, UTF-8's byte-order mark.")
    if codec != "utf-8":
        name = codec.upper().replace("UTF-16-LE", "UTF-16 without its mark").replace("UTF-16-BE", "UTF-16 (big-endian) without its mark")
        iconv = f"`iconv -f {codec.upper().replace('-LE', 'LE').replace('-BE', 'BE')} -t UTF-8`"
        findings.add(
            "gbk" if codec == "gb18030" else "utf-16", Place(file.split, file.path, 1), f"the whole file is {name}; convert it with {iconv}."
        )


def _add_what_all_rows_tell(diagnosis: Diagnosis, files: list[OpenSource]) -> None:
    findings, splits = diagnosis.findings, diagnosis.splits
    paths = {name: next((file.path for file in files if file.split == name), files[0].path) for name in splits.names}
    for name, counts in splits.counts.items():
        if not counts.rows:
            findings.add("no-rows", Place(name, paths[name], 1), f"{name}: no readable row, {counts.bad_rows:,} bad ones.")
    label_faults(splits, diagnosis.task, findings)
    diagnosis.repeats.index()
    repeat_faults(diagnosis.repeats, paths, findings)
    diagnosis.repeats.close()
    if empty := findings.count("no-entity"):
        findings.about("no-entity", f"{empty / splits.rows:.1%} of all")
    if (cutoff := diagnosis.cutoff) and findings.count("cutoff"):
        findings.about("cutoff", f"{cutoff.limit:,}")
        findings.advise("cutoff", f"The longest row has {cutoff.longest:,} tokens: say cutoff_len: {cutoff.suggestion} in {cutoff.run.path}.")
    for path, survey in diagnosis.surveys.items():
        if str(survey):
            way = "FIX=1 reads them so" if survey.mends_all() else "FIX=1 looks for each string in its text"
            findings.advise("offsets", f"{path}: {survey}; {way}.")
