"""A name means one thing: no two classes and no two modules of tools/ share one."""

import ast
from collections import Counter

from tools.files import ROOT

MODULES = sorted((ROOT / "tools").rglob("*.py"))


def test_no_two_modules_have_one_name() -> None:
    names = Counter(path.stem for path in MODULES if path.stem != "__init__")
    assert len(names) > 100
    assert [name for name, times in names.items() if times > 1] == []


def test_no_two_classes_have_one_name() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert len(names) > 50
    assert [name for name, times in names.items() if times > 1] == []
