"""Turns a model's raw answer into (label, string) pairs, and names the rules that were needed to read them. A class is the pair (label, "").

`parse.parse` reads an answer of a NER task, `classes.parse_class` one of a classification task. Neither raises, and text is never run as code. An answer that can't be
read has no pairs (None), which is not the same as an empty list.

scan.py finds JSON-like values in free text, reading.py turns values into pairs, label_lines.py reads words without JSON, field_names.py lists the names of fields.
"""

Pair = tuple[str, str]  # (label, string)
