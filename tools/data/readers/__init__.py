"""Lists the readers of raw annotation, one format each. A new format is a file here and one entry in READERS.

A reader takes a path and yields one RawRow or BadRow for each row of the file, in order. It never raises because of a row, whatever bytes the file holds.
"""

from __future__ import annotations

from tools.data.raw.row import Reader
from tools.data.readers.bio import read_bio
from tools.data.readers.brat import read_brat
from tools.data.readers.ccfbdci import read_ccfbdci
from tools.data.readers.classification import read_classification
from tools.data.readers.cluener import read_cluener
from tools.data.readers.doccano import read_doccano
from tools.data.readers.examples import read_canonical
from tools.data.readers.fasttext import read_fasttext
from tools.data.readers.iepile import read_iepile
from tools.data.readers.instruction import read_instruction
from tools.data.readers.label_studio import read_label_studio
from tools.data.readers.marked import read_marked
from tools.data.readers.slash_tags import read_slash_tags
from tools.data.readers.spans import read_spans
from tools.data.readers.table_rows import read_table
from tools.data.readers.token_lists import read_token_lists
from tools.data.readers.uie import read_uie

DECODING = frozenset({"table"})  # readers that read any encoding; the others read UTF-8
READERS: dict[str, Reader] = {
    "bio": read_bio,
    "brat": read_brat,
    "ccfbdci": read_ccfbdci,
    "classification": read_classification,
    "cluener": read_cluener,
    "doccano": read_doccano,
    "fasttext": read_fasttext,
    "jsonl": read_canonical,
    "iepile": read_iepile,
    "instruction": read_instruction,
    "label_studio": read_label_studio,
    "marked": read_marked,
    "slash_tags": read_slash_tags,
    "spans": read_spans,
    "table": read_table,
    "tokens": read_token_lists,
    "uie": read_uie,
}
