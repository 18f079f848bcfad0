import ast
import inspect
import re
from pathlib import Path

import pytest

import voiceguard.client as module
from voiceguard.client.lifecycle import LINK_TABLE

GUIDE = (Path(__file__).parents[2] / "docs" / "integration.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def test_the_public_names_are_the_ones_in_all():
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(module.__all__)
    assert module.__all__ == sorted(module.__all__)


@pytest.mark.parametrize("name", module.__all__)
def test_every_public_name_is_documented(name):
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
    if inspect.isclass(value):
        own = {n: m for n, m in vars(value).items() if not n.startswith("_") and callable(m)}
        assert all(inspect.getdoc(method) for method in own.values())


@pytest.mark.parametrize("name", sorted({*module.__all__} - {"CallStatistics"}))
def test_the_guide_mentions_every_public_name(name):
    assert name in GUIDE


def test_the_guides_code_is_code_and_uses_names_that_exist():
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                imported = __import__(node.module, fromlist=["*"])
                assert all(hasattr(imported, alias.name) for alias in node.names)


def test_the_guides_state_diagram_is_the_table():
    assert LINK_TABLE.to_mermaid() in blocks("mermaid")
