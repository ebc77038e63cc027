"""A sentence of the task `clue` and its entities, of which answers in every shape are made."""

SENTENCE = "昨晚陈晓楠在腾讯总部采访了导演贾樟柯，聊到电影《山河故人》和他在汾阳的老家。"
NAME = ("name", "陈晓楠")
COMPANY = ("company", "腾讯")
OTHER = ("name", "贾樟柯")
MOVIE = ("movie", "《山河故人》")
PLACE = ("address", "汾阳")
