"""Holds the page's words, each in English and in Chinese. The browser's language decides which are shown.

In: a key and values. Out: the words with the values filled in.

    .venv/train/bin/python -c "from tools.web.words import say; print(say('zh', 'asking', done=1, total=2))"
"""

from __future__ import annotations

from tools.extract.annotated_file import FAULTS, Fault

LANGUAGES = ("en", "zh")
# Browser languages that are shown Chinese; every other one is shown English.
CHINESE = ("zh", "zh-CN", "zh-TW", "zh-HK", "zh-SG", "zh-Hans", "zh-Hant")

WORDS: dict[str, tuple[str, str]] = {
    # the page
    "ner": ("named entities", "命名实体识别"),
    "classification": ("text classification", "文本分类"),
    "task": ("task", "任务"),
    # a sentence
    "sentence": ("Try a sentence", "试一句"),
    "text": ("Text", "文本"),
    "text_hint": ("Type or paste a text; Enter asks, Shift+Enter begins a new line.", "输入或粘贴文本；回车提交，Shift+回车换行。"),
    "options": ("Options, separated by commas or lines", "候选类别，用逗号或换行分隔"),
    "ask": ("Ask", "提交"),
    "examples": ("Sentences from the dev split", "dev 集中的句子"),
    "chosen": ("The answer: {name}", "回答：{name}"),
    "under_the_hood": ("Prompt and raw answers", "提示词与原始回答"),
    "system": ("Prompt: system", "提示词：system"),
    "user": ("Prompt: user", "提示词：user"),
    "raw": ("Raw answer: {model}", "原始回答：{model}"),
    "label": ("Label", "标签"),
    "string": ("String", "字符串"),
    "position": ("Positions", "位置"),
    "confidence": ("Confidence", "置信度"),
    "no_confidence": ("unknown", "未知"),
    "more": ("and {count:,} more", "另有 {count:,} 处"),
    "nowhere": ("not in the text", "原文中没有"),
    "elsewhere": ("not in the window that it was found in", "不在它所属的窗口中"),
    "unknown_label": ("not a label of the task", "不是该任务的标签"),
    "covered": ("within a longer entity", "在更长的实体之内"),
    "rows_left": ("and {count:,} more rows; the exported file has all", "另有 {count:,} 行；导出的文件包含全部"),
    "undrawn": (
        "{characters:,} more characters with {entities:,} marked entities aren't drawn; the exported file has all.",
        "后面 {characters:,} 个字符及其中 {entities:,} 个可标出的实体未显示；导出的文件包含全部。",
    ),
    "below": (
        "{count:,} entities don't reach the threshold, and aren't shown.",
        "{count:,} 个实体未达到阈值，未显示。",
    ),
    "none_found": ("No entity found.", "没有找到实体。"),
    "figures": (
        "{seconds:.2f} s · prompt {prompt:,} tokens · answer {answer:,} tokens",
        "{seconds:.2f} 秒 · 提示词 {prompt:,} 个 token · 回答 {answer:,} 个 token",
    ),
    "windows": ("{done:,} of {total:,} windows", "已完成 {done:,} / {total:,} 个窗口"),
    "in_windows": (
        "The text is longer than every text of training, which had {longest:,} characters at most. So each model was asked in {count:,} windows; the prompt below is that of the first.",
        "文本比所有训练文本都长（训练文本最多 {longest:,} 个字符），因此分成 {count:,} 个窗口，逐个向每个模型提问；下方是第一个窗口的提示词。",
    ),
    "marked": ("Text with its entities", "标出实体的文本"),
    "threshold": ("Least confidence of the entities that are shown", "显示的实体的最低置信度"),
    "export": ("Export what is shown", "导出当前显示的内容"),
    "exported": ("Exported files, one a model", "导出的文件，每个模型一个"),
    "uncalibrated": (
        "The confidences are the model's own, and may be too high: this run isn't calibrated. To calibrate it: {command}",
        "置信度是模型自己给出的，可能偏高：该实验尚未校准。校准命令：{command}",
    ),
    "stale": (
        "The confidences are the model's own, because the calibration can't be used. {error}",
        "置信度是模型自己给出的，因为校准不可用。{error}",
    ),
    "calibrated": (
        "The confidences of {model} are calibrated on the {split} split, which promises a precision: {steps}. Any other model's are its own.",
        "“{model}”的置信度已在数据划分 {split} 上校准，据此保证的精确率：{steps}。其他模型的置信度是模型自己给出的。",
    ),
    "precision_from": ("at least {precision:.2f} from {threshold:.3f} on", "置信度不低于 {threshold:.3f} 时，至少 {precision:.2f}"),
    "precision_never": ("{precision:.2f} at no threshold", "任何阈值都达不到 {precision:.2f}"),
    "figures_windows": (
        "{count:,} windows · prompts {prompt:,} tokens · answers {answer:,} tokens",
        "{count:,} 个窗口 · 提示词 {prompt:,} 个 token · 回答 {answer:,} 个 token",
    ),
    "empty": ("There is no text. Type one first.", "没有文本，请先输入。"),
    "at_limit": (
        "The text has exactly {limit:,} characters, which is the limit: anything pasted beyond it is missing.",
        "文本恰好 {limit:,} 个字符，已达上限：粘贴时超出的部分已丢失。",
    ),
    "no_options": (
        "This task's options differ by text: name at least two, separated by commas or lines.",
        "该任务的候选类别因文本而异：请至少写出两个，用逗号或换行分隔。",
    ),
    "neutralised": (
        "The text contains control tokens. They were sent as plain text, with full-width characters: {tokens}",
        "文本中有控制 token，已改成全角字符，作为普通文本发送：{tokens}",
    ),
    "truncated": ("The answer was cut off at {limit:,} tokens; the rest is missing.", "回答在 {limit:,} 个 token 处被截断，后面的内容缺失。"),
    "unparsable": (
        "The answer couldn't be read: it isn't in the task's format. The raw answer is below.",
        "回答无法解析：不是任务要求的格式。原始回答见下方。",
    ),
    "truncated_windows": (
        "The answers about some windows were cut off at {limit:,} tokens; the rest of them is missing.",
        "部分窗口的回答在 {limit:,} 个 token 处被截断，后面的内容缺失。",
    ),
    "unparsable_windows": (
        "The answers about some windows couldn't be read: they aren't in the task's format. The raw answers are below.",
        "部分窗口的回答无法解析：不是任务要求的格式。原始回答见下方。",
    ),
    "no_option": ("The answer is none of the options.", "回答不在候选类别之中。"),
    "no_probabilities": ("The server didn't give probabilities.", "服务没有返回概率。"),
    "gone": (
        "The server doesn't answer any more ({url}). To start it again: make web CONF={conf}",
        "服务已没有响应（{url}）。请重新启动：make web CONF={conf}",
    ),
    "too_long": (
        "The text is too long: with its prompt it has {tokens:,} tokens, and at most {room:,} fit. The server's context has {limit:,}, of which {answer:,} are kept for the answer.",
        "文本过长：连同提示词共 {tokens:,} 个 token，最多只能有 {room:,} 个。服务的上下文有 {limit:,} 个，其中 {answer:,} 个留给回答。",
    ),
    "refused": ("The server refused the text: {error}", "服务拒绝了该文本：{error}"),
    # a file
    "file": ("A file", "标注文件"),
    "file_hint": (
        "**txt**: one text a line · **csv**: column `text`, or the only column of text · **jsonl**: field `text`. UTF-8, at most {megabytes} MB and {rows:,} rows.",
        "**txt**：每行一条文本 · **csv**：`text` 列，或唯一的文本列 · **jsonl**：`text` 字段。UTF-8 编码，最多 {megabytes} MB、{rows:,} 行。",
    ),
    "upload": ("File", "文件"),
    "which": ("Model", "模型"),
    "annotate": ("Annotate", "标注"),
    "stop": ("Stop", "停止"),
    "results": ("Annotated file", "标注结果"),
    "preview": ("The first rows", "前几行"),
    "no_file": ("Choose a file first.", "请先选择文件。"),
    "asking": ("{done:,} of {total:,} rows", "已完成 {done:,} / {total:,} 行"),
    "finished": (
        "{rows:,} rows in {seconds:.0f} s: {answered:,} answered, {entities:,} entities, {unread:,} answers that couldn't be read, {failed:,} with an error, {blank:,} blank.",
        "共 {rows:,} 行，用时 {seconds:.0f} 秒：{answered:,} 行已回答，{entities:,} 个实体，{unread:,} 个回答无法解析，{failed:,} 行出错，{blank:,} 行为空。",
    ),
    "stopped": ("Stopped. `error` names each row that wasn't asked.", "已停止。未提问的行在 error 中注明。"),
    "broken": ("The server stopped answering. Its answers until then are in the file.", "服务中途停止响应。此前的回答已写入文件。"),
    "not_asked": ("not asked: stopped before", "未提问：在此之前已停止"),
    # the run
    "run": ("The run", "实验"),
    "scores": ("Scores", "得分"),
    "evaluation": ("Evaluation", "评测"),
    "curve": ("Training loss", "训练损失"),
    "facts": ("Facts", "概况"),
    "report": ("Report", "报告"),
    "open_report": ("Open the report here", "在此打开报告"),
    "download_report": ("Download the report", "下载报告"),
    "precision": ("Precision", "精确率"),
    "recall": ("Recall", "召回率"),
    "support": ("Support", "支持数"),
    "micro": ("Micro average", "微平均"),
    "macro": ("Macro average", "宏平均"),
    "scored": ("{rows:,} rows of {task} {split}, protocol {protocol}", "{task} {split}，共 {rows:,} 个样本，评测口径 {protocol}"),
    "no_scores": ("Not evaluated yet. To evaluate: {command}", "尚未评测。评测命令：{command}"),
    "no_report": ("No report yet. To write it: {command}", "尚无报告。生成命令：{command}"),
    "no_training": ("No whole record of a training here. To train: {command}", "没有完整的训练记录。训练命令：{command}"),
    "base_model": ("base model", "基座模型"),
    "trained": ("trained", "训练时间"),
    "training_seconds": ("seconds", "用时（秒）"),
    "command": ("command", "命令"),
    "commit": ("commit", "提交"),
    "machine": ("machine", "机器"),
    "step": ("step", "步"),
    "loss": ("loss", "损失"),
    **FAULTS,
}

MODELS: dict[str, tuple[str, str]] = {
    "base": ("base model", "基座模型"),
    "adapter": ("base + adapter", "基座 + 适配器"),
    "best": ("base + best checkpoint", "基座 + 最佳检查点"),
    "merged": ("merged model", "合并后的模型"),
    "merged-": ("merged model, {}", "合并后的模型，{}"),
    "checkpoint-": ("base + checkpoint {}", "基座 + 检查点 {}"),
}


def model(variant: str) -> tuple[str, str]:
    """Returns the words for one of a run's models, in English and in Chinese."""
    kind, dash, rest = variant.partition("-")
    english, chinese = MODELS[kind + dash]
    return english.format(rest), chinese.format(rest)


def say(language: str, key: str, **values: object) -> str:
    """Returns the words of a key in one of LANGUAGES."""
    return WORDS[key][LANGUAGES.index(language)].format(**values)


def say_fault(language: str, fault: Fault) -> str:
    """Returns a fault's words in one of LANGUAGES."""
    return say(language, fault.key, **fault.values)


def language_of(accepted: str) -> str:
    """Returns one of LANGUAGES for an Accept-Language header: the browser's first language decides, as it does in the page itself."""
    return "zh" if accepted.strip().lower().startswith("zh") else "en"
