"""Builds the page of a run, with its three tabs: a sentence, a file, and the run.

In: a Site. Out: a Gradio page, which tools.web.web opens.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from tools.extract.annotated_file import MAX_ROWS, MEGABYTES
from tools.web import file_tab, run_tab, sentence_tab
from tools.web.drawing import chip
from tools.web.site import KEPT_S, QUIET, Site, colours_of, readers_language
from tools.web.words import CHINESE, LANGUAGES, WORDS, model, say

PREFIX = "ner_factory_"  # of our keys: Gradio's own words stand in the same dictionary
AT_ONCE, IN_LINE = 8, 64  # requests of all browsers that are worked on at once, and that may wait
# Plain font names: Gradio's own themes load theirs from Google.
FONTS = ["system-ui", "-apple-system", "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]
CSS = """
.gradio-container {width: 100% !important; max-width: 1080px !important; margin: 0 auto !important}
footer {display: none !important}
#head h1 {font-size: 1.35rem; font-weight: 650; margin: .3rem 0 .15rem; overflow-wrap: anywhere}
#head p {margin: 0 0 .5rem; color: var(--body-text-color-subdued); font-size: .9rem}
.chip {display: inline-block; padding: .05rem .55rem; margin: 0 .3rem .3rem 0; border-radius: 1rem; font-size: .8rem; color: #1f2937}
.note {padding: .5rem .75rem; margin: .25rem 0; border-left: 3px solid var(--color-accent); border-radius: 4px; font-size: .9rem;
  background: var(--background-fill-secondary); overflow-wrap: anywhere}
.note.bad {border-left-color: #d64541}
.figures {color: var(--body-text-color-subdued); font-size: .8rem; margin: .15rem 0 .35rem}
.scroll {overflow-x: auto; max-width: calc(100vw - 4rem)}
.scroll table.facts {width: 100%; border-collapse: collapse; border: 0; font-size: .85rem; margin: .25rem 0}
.scroll table.facts :is(th, td) {border: 0; border-bottom: 1px solid var(--border-color-primary); padding: .3rem .5rem; vertical-align: top; text-align: left}
.scroll table.facts tr {border: 0}
.scroll table.facts th {font-weight: 600; color: var(--body-text-color-subdued)}
.scroll table.facts td:nth-child(2) {overflow-wrap: anywhere}
.scroll table.scores :is(th, td):not(:first-child) {text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap}
.scroll table.scores tbody tr:nth-last-child(-n+2) td {font-weight: 600}
.model {gap: .5rem !important}
.model h3 {font-size: .95rem; font-weight: 600; margin: .2rem 0; overflow-wrap: anywhere}
.marked {white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; max-height: 26rem; overflow-y: auto; padding: .5rem .75rem; border-radius: 6px;
  border: 1px solid var(--border-color-primary); background: var(--background-fill-primary); color: var(--body-text-color)}
.marked ol {list-style: decimal outside; margin: 0; padding-left: 2.2em}
.marked mark {--full: 100%; padding: .1rem .25rem; border: 1px solid var(--c); border-radius: 4px; color: inherit; unicode-bidi: isolate;
  -webkit-box-decoration-break: clone; box-decoration-break: clone; background: color-mix(in srgb, var(--c) calc((.12 + .88 * var(--s, 1)) * var(--full)), transparent)}
.marked mark.unsure {border: 1px dashed currentColor}
.marked small {margin-left: .35em; font-size: .72em; color: inherit; unicode-bidi: isolate; user-select: none}
.marked .undrawn {color: var(--body-text-color-subdued)}
.dark .marked mark {--full: 38%}
@media (max-width: 600px) {.scroll table.facts {font-size: .78rem} .scroll table.facts :is(th, td) {padding: .3rem .2rem}}
#text textarea {min-height: 4.2rem}
progress {width: 100%; accent-color: var(--color-accent)}
iframe.report {width: 100%; height: 80vh; border: 1px solid var(--border-color-primary); border-radius: 6px; background: #fff}
"""


def build(site: Site) -> tuple[gr.Blocks, gr.I18n]:
    """Returns the page, and its words, which Gradio takes when it is opened."""
    dictionary = gr.I18n(**dictionaries(site))

    def words(key: str) -> Any:
        return dictionary(PREFIX + key)

    theme = gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=MONO)
    title = f"{site.run.name} · NER Factory"
    with gr.Blocks(theme=theme, css=CSS, title=title, analytics_enabled=False, delete_cache=(KEPT_S // 4, KEPT_S)) as page:
        head = gr.HTML(header(site, "en"), elem_id="head", padding=False)
        with gr.Tab(words("sentence"), id="sentence"):
            told = sentence_tab.build(site, words)
        with gr.Tab(words("file"), id="file"):
            file_tab.build(site, words)
        with gr.Tab(words("run"), id="run") as tab:
            run_tab.build(site, words, tab)

        def on_load(request: gr.Request) -> list[str]:
            language = readers_language(request)
            return [header(site, language), sentence_tab.worth(site, language)]

        page.load(on_load, None, [head, told], **QUIET)
    page.queue(max_size=IN_LINE, default_concurrency_limit=AT_ONCE, api_open=False)
    return page, dictionary


def dictionaries(site: Site) -> dict[str, dict[str, str]]:
    """Returns Gradio's dictionaries: browser language → key → words. A model's words stand under its variant, its raw answer's under `raw_<variant>`."""
    english, chinese = ({PREFIX + key: words for key, words in _dictionary(site, language).items()} for language in LANGUAGES)
    return {"en": english, **dict.fromkeys(CHINESE, chinese)}


def _dictionary(site: Site, language: str) -> dict[str, str]:
    number = LANGUAGES.index(language)
    words = {key: both[number] for key, both in WORDS.items()}
    for variant in site.models:
        words[variant] = model(variant)[number]
        words[f"raw_{variant}"] = say(language, "raw", model=words[variant])
    return words | {"file_hint": say(language, "file_hint", megabytes=MEGABYTES, rows=MAX_ROWS)}


def header(site: Site, language: str) -> str:
    """Returns the run's name, its task, base model and engine, and its labels in their colours."""
    facts = [f"{say(language, 'task')} {site.task.name}: {say(language, site.task.kind)}"]
    facts += [f"{say(language, 'base_model')} {site.run.variant('base').served_name}"]
    facts += [site.server.engine] if site.server.engine != "unknown" else []
    colours = colours_of(site.task) if site.is_ner else {}
    chips = "".join(chip(name, colour) for name, colour in colours.items())
    return f"<h1>{escape(site.run.name)}</h1><p>{escape(' · '.join(facts))}</p><div>{chips}</div>"
