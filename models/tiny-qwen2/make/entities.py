"""Invents entities of CLUENER's ten labels, put together from parts, so that few of them recur.

In: a seeded `random.Random`. Out: one string. `MAKERS` has a maker for each label.

    PYTHONPATH=.:models/tiny-qwen2 .venv/train/bin/python -m make.entities --count 8
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from make.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

SURNAMES = (
    *"王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱江尹",
    "欧阳",
    "司马",
    "上官",
    "诸葛",
    "慕容",
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰国建文志海燕红春梅云峰龙辉鹏飞宇浩然子轩梓涵雨欣怡思远博文嘉诚俊凯天佑一鸣晓东小雪若曦婉清少卿德胜启航"
    "立新长庚景行知白望舒牧野听澜衡舟砚秋岚珂颖璐昕昱泽睿彤瑶琪琳楠柏松枫岩"
)
FOREIGN = words("卡 罗 德 米 尔 斯 托 马 里 奥 安 东 尼 克 莱 恩 布 鲁 诺 菲 利 普 维 拉 森 姆 贝 格 雷 阿 迪 萨 科 特 伊 凡")
PLACE_FIRST = "云青临安永清平宁泰和东南西北新长金银石白红黑大小上下古福瑞吉庆嘉兴丰乐浦沧澜桐柳松枫梧鹿鹤凤龙"
PLACE_SECOND = "州江河湖山岭川海港城阳阴原林泉溪潭桥浦坪坝关口塘塔台门水谷峰沙岛湾陵昌宁安平远"
LANDSCAPE = words(
    """
    湖 山 寺 古镇 公园 瀑布 森林公园 古城 书院 草原 溶洞 峡谷 博物馆 植物园 海滩 石窟 老街 温泉 湿地公园 大佛 塔 梯田 度假村 纪念馆
    """
)
COMPANY_FIRST = words(
    """
    星辰 远航 宏图 金桥 智云 海纳 天元 鼎新 华拓 蓝鲸 极光 迅捷 中科 恒信 百汇 润泽 启明 腾跃 万象 九州 同方 新橙 飞鱼 云杉 赤兔 白鹭 长风
    双木 三叶 银河
    """
)
COMPANY_FIELD = words("科技 网络 软件 汽车 地产 传媒 电子 生物 能源 物流 食品 服饰 影业 通信 医药 证券 保险 航空 乳业 家居")
COMPANY_LAST = words("有限公司 集团 公司 股份有限公司 控股 工作室 事务所 厂")
TEAM_LAST = words("队 俱乐部 联队 女排 男篮 足球队 青年队 篮球队")
BODY_FIELD = words("作家 消费者 摄影家 足球 篮球 慈善 环保 书法家 围棋 旅游 软件行业 钢铁工业 志愿者 校友 登山 音乐家 餐饮 电子商务")
BODY_LAST = words("协会 联合会 基金会 研究会 俱乐部 学会 联盟 促进会")
SCHOOL_LAST = words("大学 学院 师范大学 理工大学 中学 实验小学 职业技术学院 医科大学 第一医院 人民医院 交响乐团 话剧团")
BUREAU = words(
    """
    教育局 公安局 财政局 卫生局 交通局 环保局 工商局 旅游局 统计局 民政局 规划局 税务局 气象局 人民政府 人民法院 检察院 体育局 文化局 水利局
    林业局 发改委 城管局 住建局 消防支队 海关 监察委 应急管理局 农业农村局
    """
)
STATE_FIRST = words("国家 中央 最高 联邦 北岛国 南洲国 西陆国 东岛国")
STATE_LAST = words(
    """
    发展规划委员会 能源署 外交部 财政部 国防部 审计署 统计总局 教育部 铁道部 气象总局 司法部 商务部 海洋局 移民局 安全委员会 内政部
    """
)
REGION = words("华东区 华南区 华北区 西南区 亚太区 海外 大中华区 全国 江南 东北区")
DEPARTMENT = words(
    """
    市场部 销售部 技术部 人事部 财务部 采购部 研发中心 客服中心 编辑部 外联部 信贷部 风控部 设计部 品牌部 运营部 战略部 法务部 公关部 生产部
    质检部 培训部 投资部 广告部 审计部 物流部
    """
)
ROLE = words("总监 经理 主任 主管 副总监 副经理 负责人 副主任 部长 高级经理 助理 专员 总经理 处长 组长 秘书 顾问 首席代表 副部长 科长")
TRADE = words("结构 软件 电气 机械 算法 网络 桥梁 芯片 测试 安全 材料 环境 给排水 音响 化工 航天 园林 数据")
TRADE_ROLE = words("工程师 高级工程师 总工程师 设计师 研究员 教授 副教授 讲师 分析师 架构师 技师 院士 评论员 教练")
SPORT = words("足球 篮球 排球 游泳 田径 体操 乒乓球 羽毛球 射击 举重 跳水 网球")
SPORT_ROLE = words("主教练 助理教练 领队 队长 解说员 前锋 裁判长 记者 队医 门将 守门员教练 体能教练")
ADJECTIVE = words(
    """
    沉默 遥远 无声 温柔 最后 失落 寂静 孤独 燃烧 迷失 透明 永恒 破碎 漫长 隐秘 金色 蓝色 飞翔 奇妙 看不见 没有名字 冬天 午夜 清晨 回不去
    半山 深海 旧 会唱歌 不眠
    """
)
NOUN = words(
    """
    河流 星空 灯塔 花园 列车 房间 海岸 森林 镜子 信使 钟声 渡口 雨季 麦田 影子 旅人 邻居 大雪 岛屿 月光 屋顶 图书馆 来信 车站 少年 猎人 燕子
    山谷 棋局 裁缝 夏天 铁匠 歌声 老街 石头 长夜 庭院 风筝 帆船 母亲 医生 故乡 渔火 花火 童年 炊烟
    """
)
TOPIC = words(
    """
    经济学 心理学 植物 建筑 逻辑 中国哲学 天文 汉字 统计学 围棋 茶 编程 园艺 摄影 谈判 写作 宋词 地理 财务报表 人工智能 算法 法律 音乐 战争
    瓷器 民俗
    """
)
TOPIC_LAST = words("简史 入门 十讲 通论 概论 笔记 随想 读本 手册 原理 漫谈 之美 教程 词典 全书")
CRIME = words("追击 行动 风云 谜案 疑云 奇缘 大营救 之战 传说 历险记 总动员 往事 情缘 末日 归来 别恋 奇兵 恋曲 神探 悬案")
REALM = words("幻域 仙途 龙魂 星际 王者 机甲 帝国 英雄 暗影 魔域 三国 江湖 圣剑 天空 战国 苍穹 烈焰 荒野 冰封 神迹 深渊 蒸汽 武林 海盗")
REALM_LAST = words(
    """
    传说 远征 争霸 OL 世界 纪元 物语 之刃 战纪 无双 风暴 大乱斗 起源 契约 崛起 对决 守护者 编年史 战线 冒险岛 赛车 农场 塔防 Online
    """
)
LETTERS = "ABCDEFGHKLMNPRSTVXZ"


def place(rng: Random) -> str:
    """Returns the name of a place, without its kind (city, lake)."""
    first, second = rng.choice(PLACE_FIRST), rng.choice(PLACE_SECOND)
    return first + second if first != second else first + "关"


def name(rng: Random) -> str:
    """Returns a person: a Chinese surname and given name, or a foreign name."""
    if rng.random() < 0.14:
        first, last = ("".join(rng.sample(FOREIGN, rng.randint(2, 3))) for _ in range(2))
        return last if rng.random() < 0.6 else first + "·" + last
    return rng.choice(SURNAMES) + "".join(rng.choice(GIVEN) for _ in range(rng.choice((1, 2, 2, 2))))


def scene(rng: Random) -> str:
    """Returns a place of interest."""
    return place(rng) + rng.choice(LANDSCAPE)


def company(rng: Random) -> str:
    """Returns a firm, by its full or its short name."""
    kind = rng.random()
    if kind < 0.12:
        return place(rng) + rng.choice(("银行", "证券", "航空", "人寿", "集团", "电视台", "日报社"))
    if kind < 0.2:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 4))) + rng.choice(("公司", "集团", "汽车", "科技"))
    start = place(rng) if rng.random() < 0.5 else rng.choice(COMPANY_FIRST)
    return start + rng.choice(COMPANY_FIELD) + (rng.choice(COMPANY_LAST) if rng.random() < 0.65 else "")


def organization(rng: Random) -> str:
    """Returns a team, a society, a school or a hospital."""
    kind = rng.random()
    if kind < 0.35:
        return place(rng) + rng.choice(("", rng.choice(COMPANY_FIRST))) + rng.choice(TEAM_LAST)
    if kind < 0.7:
        return place(rng) + rng.choice(("", "市", "省")) + rng.choice(BODY_FIELD) + rng.choice(BODY_LAST)
    return place(rng) + rng.choice(SCHOOL_LAST)


def government(rng: Random) -> str:
    """Returns an office of a town or of a state."""
    if rng.random() < 0.2:
        return rng.choice(STATE_FIRST) + rng.choice(STATE_LAST)
    return place(rng) + rng.choice(("市", "县", "区", "省")) + rng.choice(BUREAU)


def position(rng: Random) -> str:
    """Returns a job title."""
    kind = rng.random()
    if kind < 0.5:
        return (rng.choice(REGION) if rng.random() < 0.6 else "") + rng.choice(DEPARTMENT) + rng.choice(ROLE)
    if kind < 0.75:
        return rng.choice(("", "首席", "资深", "特聘", "见习")) + rng.choice(TRADE) + rng.choice(TRADE_ROLE)
    return rng.choice(("", "前", "女子", "男子", "青年")) + rng.choice(SPORT) + rng.choice(SPORT_ROLE)


def address(rng: Random) -> str:
    """Returns an address, from a province down to a house number."""
    parts = [place(rng) + rng.choice(("省", "市", "县", "自治州"))] if rng.random() < 0.55 else []
    if rng.random() < 0.45 or not parts:
        parts.append(place(rng) + rng.choice(("区", "镇", "乡", "村", "新区", "开发区", "街道")))
    if rng.random() < 0.35:
        parts.append(place(rng) + rng.choice(("路", "大街", "东路", "巷", "大道")))
        parts.append(f"{rng.randint(1, 999)}号" if rng.random() < 0.7 else "")
    return "".join(parts)


def quoted(rng: Random, title: str) -> str:
    """Returns a title in 《》, in 8 % of cases with a quoted word or a backslash in it, which JSON has to escape."""
    kind = rng.random()
    if kind < 0.06:
        title = f'"{title[:2]}"{title[2:]}'
    elif kind < 0.08:
        title = f"{title[:2]}\\{title[2:]}"
    return f"《{title}》"


def book(rng: Random) -> str:
    """Returns a book's title, in 《》."""
    if rng.random() < 0.6:
        return quoted(rng, rng.choice(TOPIC) + rng.choice(TOPIC_LAST))
    return quoted(rng, rng.choice(NOUN) + rng.choice(("与", "和")) + rng.choice(NOUN))


def movie(rng: Random) -> str:
    """Returns a film's title, in 《》."""
    kind = rng.random()
    if kind < 0.4:
        return quoted(rng, place(rng) + rng.choice(CRIME) + rng.choice(("", "", "2", "3", "：" + rng.choice(NOUN))))
    if kind < 0.7:
        return quoted(rng, rng.choice(ADJECTIVE) + "的" + rng.choice(NOUN))
    return quoted(rng, rng.choice(NOUN) + rng.choice(CRIME))


def game(rng: Random) -> str:
    """Returns a game's title, in 《》 half the time."""
    title = rng.choice(REALM) + rng.choice(REALM_LAST) + rng.choice(("", "", "2", "3", "Ⅱ", "：" + rng.choice(REALM)))
    return quoted(rng, title) if rng.random() < 0.5 else title


# CLUENER's labels in CLUENER's order.
MAKERS: dict[str, Callable[[Random], str]] = {
    "name": name,
    "organization": organization,
    "scene": scene,
    "company": company,
    "movie": movie,
    "book": book,
    "government": government,
    "position": position,
    "address": address,
    "game": game,
}


def main() -> None:
    """Prints some entities of every label."""
    import argparse
    import random

    parser = argparse.ArgumentParser(prog="python -m make.entities", description=main.__doc__)
    parser.add_argument("--count", type=int, default=8, help="how many of each label")
    parser.add_argument("--seed", type=int, default=42, help="another seed prints other entities")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for label, make in MAKERS.items():
        print(label, *(make(rng) for _ in range(args.count)), sep="  ")


if __name__ == "__main__":
    main()
