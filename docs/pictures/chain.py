"""Draws the chain from raw annotation to the score as SVG, with the check that the served prompt is the trained one.

In: nothing but this file; WORDS has the text of both languages. Out: chain.svg, chain-zh.svg, and each for a dark page.

    .venv/train/bin/python docs/pictures/make.py chain
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from tools.conf.run import Run
from tools.files import write_text

# The colours of the report (tools/report/report.html).
COLOURS = {
    "": {"card": "#ffffff", "ink": "#1c2230", "soft": "#5a6478", "line": "#9ba6ba", "accent": "#2457d6", "hit": "#d5f0dc", "hit-line": "#1a7f3c"},
    "-dark": {
        "card": "#1b2029",
        "ink": "#e6e9f0",
        "soft": "#9ba6ba",
        "line": "#5a6478",
        "accent": "#8cb0ff",
        "hit": "#173d25",
        "hit-line": "#5fd38a",
    },
}
FONTS = "system-ui,-apple-system,'Segoe UI','PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif"
WIDTH, HEIGHT = 1055, 272
TOP, BOTTOM, TALL = 8, 182, 62  # the two rows of boxes, and a box's height
WIDE, GAP = 133, 96

# Key → English, Chinese.
WORDS = {
    "title": (
        "The chain: raw annotation, examples, Alpaca files, adapter, merged model, vLLM, predictions, score",
        "整条链路：原始标注、样本、Alpaca 文件、适配器、合并后的模型、vLLM、预测、得分",
    ),
    "raw": ("Raw annotation", "原始标注"),
    "raw_2": ("as received", "拿到的原样"),
    "examples": ("Examples", "样本"),
    "examples_2": ("text, entities, places", "文本、实体、位置"),
    "alpaca": ("Alpaca files", "Alpaca 文件"),
    "alpaca_2": ("prompt and answer", "提示词与回答"),
    "adapter": ("Adapter", "适配器"),
    "adapter_2": ("LoRA on the base", "基座模型上的 LoRA"),
    "merged": ("Merged model", "合并后的模型"),
    "merged_2": ("whole weights", "完整权重"),
    "vllm": ("vLLM", "vLLM"),
    "vllm_2": ("OpenAI API, /extract, page", "OpenAI API、/extract、网页"),
    "predictions": ("Predictions", "预测"),
    "predictions_2": ("one answer a row", "每行一个回答"),
    "score": ("Score", "得分"),
    "score_2": ("F1 by label, intervals, report", "各标签 F1、置信区间、报告"),
    "gold": ("gold", "标准答案"),
    "check": ("✓ at every start", "✓ 每次启动时检查"),
    "check_2": ("served prompt = trained prompt", "服务端提示词 = 训练提示词"),
}


@dataclass(frozen=True)
class Drawing:
    """Collects the parts of one picture, in one language and one scheme."""

    language: int
    colours: dict[str, str]
    parts: list[str]

    def box(self, key: str, x: float, y: float, width: float = WIDE) -> None:
        """Adds a box with a name and a line below it."""
        middle = x + width / 2
        self.parts.append(
            f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{TALL}" rx="9" fill="{self.colours["card"]}" stroke="{self.colours["line"]}" stroke-width="1.3"/>'
        )
        self.text(middle, y + 27, key, "ink", 14, 600)
        self.text(middle, y + 47, f"{key}_2", "soft", 12)

    def text(self, x: float, y: float, key: str, colour: str, size: float, weight: int = 400, anchor: str = "middle") -> None:
        """Adds a line of WORDS, or of text that is the same in every language."""
        words = WORDS[key][self.language] if key in WORDS else key
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" font-weight="{weight}" fill="{self.colours[colour]}">{escape(words)}</text>'
        )

    def arrow(self, points: str, colour: str = "accent", dashed: bool = False) -> None:
        """Adds a line through `points` with a head at its end."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<polyline points="{points}" fill="none" stroke="{self.colours[colour]}" stroke-width="1.8"{dash} marker-end="url(#{colour})"/>'
        )


def svg(language: int, colours: dict[str, str]) -> str:
    """Returns the picture in a language (0 English, 1 Chinese)."""
    drawing = Drawing(language, colours, [])
    left = [3 + number * (WIDE + GAP) for number in range(5)]
    middle, row, low = [x + WIDE / 2 for x in left], TOP + TALL / 2, BOTTOM + TALL / 2
    for number, verb in enumerate(("data", "data", "train", "export")):
        start, end = left[number] + WIDE + 4, left[number + 1] - 5
        drawing.arrow(f"{start},{row} {end},{row}")
        drawing.text((start + end) / 2, row - 8, f"make {verb}", "accent", 12, 600)
    for x in middle[3:]:
        drawing.arrow(f"{x},{TOP + TALL + 4} {x},{BOTTOM - 5}")
    drawing.text((middle[3] + middle[4]) / 2, (TOP + TALL + BOTTOM) / 2 + 4, "make serve", "accent", 12, 600)
    for start, end, verb in ((left[3], left[2] + WIDE, "predict"), (left[2], left[1] + WIDE, "score")):
        drawing.arrow(f"{start - 4},{low} {end + 5},{low}")
        drawing.text((start + end) / 2, low - 8, f"make {verb}", "accent", 12, 600)
    drawing.text(left[2] + WIDE / 2, BOTTOM + TALL + 22, "make eval = predict + score + report", "soft", 12)
    drawing.arrow(f"{middle[1]},{TOP + TALL + 4} {middle[1]},{BOTTOM - 5}", "line", dashed=True)
    drawing.text(middle[1] - 8, (TOP + TALL + BOTTOM) / 2 + 4, "gold", "soft", 13, anchor="end")
    _check(drawing, middle[2], left[3])
    for number, key in enumerate(("raw", "examples", "alpaca", "adapter", "merged")):
        drawing.box(key, left[number], TOP)
    drawing.box("vllm", left[3], BOTTOM, left[4] + WIDE - left[3])
    drawing.box("predictions", left[2], BOTTOM)
    drawing.box("score", left[0], BOTTOM, left[1] + WIDE - left[0])
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
        f'<path d="M0 0.5 L7.5 4 L0 7.5 Z" fill="{colours[name]}"/></marker>'
        for name in ("accent", "line", "hit-line")
    )
    title = escape(WORDS["title"][language])
    lines = "\n".join(drawing.parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" font-family="{FONTS}">\n'
        f"<title>{title}</title>\n<defs>{heads}</defs>\n{lines}\n</svg>\n"
    )


def _check(drawing: Drawing, x: float, right: float) -> None:
    """Adds the check of the prompt: from the Alpaca files to vLLM."""
    y, wide, tall = (TOP + TALL + BOTTOM) / 2, 226, 48
    drawing.arrow(f"{x},{y - tall / 2} {x},{TOP + TALL + 5}", "hit-line", dashed=True)
    drawing.arrow(f"{x + wide / 2},{y} {right + 30},{y} {right + 30},{BOTTOM - 5}", "hit-line", dashed=True)
    drawing.parts.append(
        f'<rect x="{x - wide / 2:g}" y="{y - tall / 2:g}" width="{wide}" height="{tall}" rx="{tall / 2:g}" fill="{drawing.colours["hit"]}"'
        f' stroke="{drawing.colours["hit-line"]}" stroke-width="1.3"/>'
    )
    drawing.text(x, y - 4, "check", "hit-line", 13, 600)
    drawing.text(x, y + 13, "check_2", "ink", 12)


def chain(run: Run, folder: Path) -> None:
    """Writes the picture in both languages, light and dark. It is of every run."""
    for language, suffix in enumerate(("", "-zh")):
        for scheme, colours in COLOURS.items():
            write_text(folder / f"chain{suffix}{scheme}.svg", svg(language, colours))


MAKERS = {"chain": chain}
