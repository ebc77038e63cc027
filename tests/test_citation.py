"""Licence, citation and changelog agree with pyproject.toml and the Makefile."""

import hashlib
import re
import tomllib
from typing import Any

import pytest
import yaml

from tools.files import ROOT

APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # sha256 of apache.org/licenses/LICENSE-2.0.txt, as Debian and many wheels ship it
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture
def citation() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_licence_is_apaches_own_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2
    assert (PROJECT["license"], PROJECT["license-files"]) == ("Apache-2.0", ["LICENSE"])


def test_the_citation_says_what_pyproject_says(citation: dict[str, Any]) -> None:
    assert (citation["cff-version"], citation["type"], citation["license"]) == ("1.2.0", "software", PROJECT["license"])
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["authors"] == PROJECT["authors"]


def test_every_reference_has_authors_a_title_a_year_and_an_address(citation: dict[str, Any]) -> None:
    assert len(citation["references"]) >= 8
    for reference in citation["references"]:
        assert reference["title"] and reference["authors"] and 2019 < reference["year"] < 2030, reference
        assert re.fullmatch(r"https://\S+", reference.get("url") or reference["repository-code"]), reference
        assert all("name" in author or "family-names" in author for author in reference["authors"]), reference


def test_the_changelogs_sections_are_dates_newest_first() -> None:
    dates = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert len(dates) > 3 and all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in dates)
    assert dates == sorted(dates, reverse=True)
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_every_variable_that_make_no_longer_takes_stands_in_the_changelog() -> None:
    gone = re.findall(r"([A-Z_]+)\|", (ROOT / "Makefile").read_text(encoding="utf-8").partition("GONE :=")[2].partition("$(foreach")[0])
    assert len(gone) > 20
    assert [name for name in gone if f"`{name}`" not in CHANGELOG] == []
