"""The page's own files: both languages, nothing said elsewhere, nothing from elsewhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import voiceguard.review

STATIC = Path(voiceguard.review.__file__).with_name("static")
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
LANGUAGES = {"en", "zh"}
KEY = re.compile(r'^  "([\w.]+)": "((?:[^"\\]|\\.)*)",$', re.MULTILINE)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
NOT_WORDS = {"Abort", "Arrow", "Enter", "Escape"}
"""Names of keys and errors that the browser gives."""


def texts(language: str) -> dict[str, str]:
    return dict(KEY.findall((STATIC / "js" / "strings" / f"{language}.js").read_text()))


def test_the_languages_have_the_same_keys_and_places() -> None:
    english, chinese = texts("en"), texts("zh")
    assert len(english) > 150
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        places = re.compile(r"\{\w+\}")
        assert sorted(places.findall(text)) == sorted(places.findall(chinese[key])), key
        assert text.strip(), key
        assert chinese[key].strip(), key


def test_every_text_that_is_asked_for_is_there_and_none_is_spare() -> None:
    source = "".join(path.read_text() for path in SCRIPTS if path.parent.name != "strings")
    asked = set(re.findall(r'\bt\("([\w.]+)"', source))
    assert asked <= texts("en").keys()
    quoted = set(re.findall(r'["`]([\w.]+)["`]', source))
    stems = {stem.rstrip(".") for stem in re.findall(r"[`]([\w.]+\.)\$\{", source)}
    stems |= set(re.findall(r'(?:tWord|tCount)\("([\w.]+)"', source))
    spare = {
        key
        for key in texts("en")
        if key not in quoted and not any(key.startswith(f"{stem}.") for stem in stems)
    }
    assert spare == set()


def test_no_words_of_the_page_stand_outside_its_languages() -> None:
    for path in SCRIPTS:
        if path.parent.name == "strings":
            continue
        source = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"[\u4e00-\u9fff]", source), path
        for plain, template in LITERAL.findall(source):
            text = re.sub(r"\$\{[^}]*\}", "", plain or template)
            words = set(re.findall(r"(?<![\w.-])[A-Z][a-z]{2,}", text))
            assert words <= NOT_WORDS, f"{path.name}: {text!r}"


def test_data_never_becomes_markup_and_nothing_comes_from_elsewhere() -> None:
    for path in [*SCRIPTS, *STATIC.glob("css/*.css"), STATIC / "index.html"]:
        source = path.read_text()
        for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert danger not in source, f"{path}: {danger}"
        links = set(re.findall(r"https?://[^\s\"'`)]+", source))
        assert links <= {"http://www.w3.org/2000/svg"}, path


def test_scripts_are_of_a_size_to_read() -> None:
    assert all(len(path.read_text().splitlines()) < 400 for path in SCRIPTS)


def test_the_code_of_others_is_what_its_notes_say() -> None:
    vendor = STATIC / "vendor"
    notes = (vendor / "README.md").read_text()
    for path in vendor.rglob("*.js"):
        assert str(path.relative_to(vendor)) in notes
        assert hashlib.sha256(path.read_bytes()).hexdigest() in notes
    assert "BSD 3-Clause" in (vendor / "wavesurfer" / "LICENSE").read_text()
