"""Turns a model's raw answer into (label, string) pairs, and names the rules that were needed to read them. A class is the pair (label, "").

`parse.parse` reads an answer of a NER task, `classes.parse_class` one of a classification task. Neither raises, and text is never run as code. An answer that can't be
read has no pairs (None), which is not the same as an empty list.

final.py finds the final answer in what a model wrote, assertion.py tells what is asserted from what is denied or empty, scan.py finds JSON-like values, reading.py turns
values into pairs, marks.py reads marks in the text, label_lines.py lines and sentences (sides.py their two sides, tables.py rows of cells), collected.py settles which word is
the label, field_names.py lists the names of fields.
"""

Pair = tuple[str, str]  # (label, string)
