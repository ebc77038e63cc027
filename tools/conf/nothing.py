"""Lists the words by which models answer that there is no entity, in place of a list or of an entity.

In: nothing. Out: NOTHING, which a task's `nothing` adds to. Words are compared after `tools.text.fold`.
"""

from __future__ import annotations

NOTHING = (
    *("没有找到任何实体", "没有找到实体", "没有找到", "未找到任何实体", "未找到实体", "未找到", "找不到任何实体", "找不到实体"),
    *("没有任何实体", "没有实体", "无任何实体", "无实体", "没有命名实体", "没有任何命名实体", "无命名实体"),
    *("不存在任何实体", "不存在实体", "不存在", "不包含任何实体", "不包含实体", "未提及", "未发现任何实体", "未发现实体"),
    *("没有发现任何实体", "没有发现实体", "未识别到任何实体", "未识别到实体", "没有识别到任何实体", "没有识别到实体"),
    *("未识别出任何实体", "未识别出实体", "没有识别出任何实体", "没有识别出实体", "未检测到任何实体", "未检测到实体"),
    *("没有符合条件的实体", "没有相关实体", "无相关实体", "没有可提取的实体", "没有需要提取的实体"),
    *("没有", "无", "空", "暂无", "空列表"),
    *("none", "null", "nil", "n/a", "na", "nothing", "empty", "no entity", "no entities"),
    *("no entities found", "no entity found", "no named entities", "no named entity", "not found"),
)
