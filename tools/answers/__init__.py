"""Turns a model's raw answer into (label, string) pairs, and names the rules that were needed to read them. A class is the pair (label, "").

`parse.parse` reads an answer of a NER task, `classes.parse_class` one of a classification task. Neither raises, and text is never run as code. An answer that can't be
read has no pairs (None), which is not the same as an empty list.

An answer goes this way:

    trained.py       is it the trained form? Then that is all.
    final.py         the final answer in what a model wrote: behind thoughts, drafts, echoes
    scan.py          the JSON-like values in it (escapes.py; programs.py makes calls values) → reading.py, given_places.py
    marks.py         without values: marks in the text
    label_lines.py   without marks: lines and sentences, with their two sides (sides.py) or cells (tables.py)
    collected.py     all of them add pairs here, which settles what is the label and what is no entity

assertion.py tells what is asserted from what is denied or empty, label_names.py what is a label, field_names.py what is a field; each shape asks them.
"""

Pair = tuple[str, str]  # (label, string)
Span = tuple[str, int, int]  # (label, start, end) in the text, end exclusive
