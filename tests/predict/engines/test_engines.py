"""The table of engines and their options."""

import importlib
from dataclasses import fields

import pytest

from tools import cli
from tools.predict.engines import ENGINES, ONLY, Options


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_of_the_table_can_be_made_ready(name: str) -> None:
    assert callable(importlib.import_module(ENGINES[name]).ready)


def test_an_option_of_some_engines_names_engines_that_there_are() -> None:
    assert all(engine in ENGINES for engines in ONLY.values() for engine in engines)
    assert ONLY.keys() - {"decoding", "sampling"} <= {field.name for field in fields(Options)}


def test_the_options_defaults_are_the_command_lines() -> None:
    assert Options().concurrency == cli.CONCURRENCY
