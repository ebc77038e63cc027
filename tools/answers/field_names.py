"""Lists the names of an answer's fields, in this project's prompts and in other people's. Names are compared folded (tools.text.fold).

A task's own two field names need not stand here.
"""

import re

# The field of the label.
LABEL_FIELDS = frozenset(
    (
        *("label", "labels", "tags", "ner_tags", "type", "types", "entity_type", "entitytype", "entity_label", "entity_labels", "entity_class"),
        *("entity_category", "entity_group", "category", "class", "tag", "kind", "ner", "ner_tag", "ner_label", "entity type"),
        *("entity label", "标签", "类型", "类别", "种类", "分类", "属性", "实体类型", "实体类别", "实体标签", "实体种类", "标签名"),
        *("标签名称", "类型名称", "类别名称", "实体的类型", "实体的类别", "实体的标签", "extraction_class", "ner_type", "label_name"),
        *("type_name", "category_name", "entity_kind", "entity kind", "entity category", "texttype", "labelname"),
    )
)
# The field of the entity's text.
TEXT_FIELDS = frozenset(
    (
        *("text", "tokens", "entity", "entities", "entity_text", "entitytext", "entity_name", "entity_value", "entity_content", "name", "word"),
        *("words", "span", "mention", "value", "content", "string", "token", "phrase", "surface", "term", "entity name", "entity text"),
        *("实体", "文本", "名称", "内容", "值", "词", "词语", "名字", "实体名", "实体名称", "实体文本", "实体内容", "实体值", "实体词"),
        *("提及", "原文", "实体的名称", "实体的文本", "实体的内容", "extraction_text", "texts", "entity value", "entity_mention", "names"),
        *("文本内容", "片段", "实体片段", "原文片段", "surface_form", "entity_span", "mention_text", "span_text"),
    )
)
# The list of entities; an empty one says that there are none.
WRAPPERS = frozenset(
    (
        *("entities", "entity", "entity_list", "result", "results", "output", "outputs", "answer", "answers", "data", "items", "list"),
        *("ner", "predictions", "response", "named_entities", "extracted_entities", "label", "labels", "entities_list", "实体"),
        *("实体列表", "实体集合", "结果", "答案", "输出", "识别结果", "提取结果", "抽取结果", "命名实体"),
    )
)
# Fields beside the entities.
OTHER_FIELDS = frozenset(
    (
        *("sentence", "input", "query", "question", "title", "summary", "explanation", "reason", "reasoning", "note", "notes"),
        *("comment", "description", "id", "index", "score", "confidence", "msg", "message", "error", "status", "task", "thought"),
        *("source", "context", "language", "start", "end", "analysis", "句子", "输入", "问题", "标题", "解释", "原因", "理由", "说明"),
        *("备注", "注释", "描述", "分析", "任务", "序号", "编号", "位置", "起始", "结束", "置信度", "提示", "注意"),
    )
)
# The place of an entity in the sentence, by itself.
START_FIELDS = frozenset(
    ("start", "begin", "start_idx", "start_index", "start_offset", "start_pos", "begin_index", "from", "开始", "起始", "起始位置", "开始位置")
)
END_FIELDS = frozenset(("end", "stop", "end_idx", "end_index", "end_offset", "end_pos", "to", "结束", "终止", "结束位置", "终止位置"))
# A key of these holds words about the entities, or nothing that is asserted.
BESIDE = re.compile(
    r".*attributes?|.*属性|metadata|.*(?:explanation|reason|rationale|comment|remark|analys|thought|解释|说明|原因|理由|备注|分析|注释|依据).*|"
    + "|".join(sorted(OTHER_FIELDS))
)
