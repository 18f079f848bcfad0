"""Writes a model's folder: its files whole or not at all, the manifest last."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from voiceguard.engine.manifest import MANIFEST_FILE
from voiceguard.training.corpora import Corpus, Licence

__all__ = ["MANIFEST_FILE", "MODEL_FILE", "as_toml", "corpus_record", "write_folder"]

MODEL_FILE: Final = "model.onnx"


def write_folder(folder: Path, files: Mapping[str, bytes], manifest: Mapping[str, object]) -> None:
    """Write `files` by name, and the manifest that describes them after them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        _replace(folder / name, content)
    _replace(folder / MANIFEST_FILE, as_toml(manifest).encode())


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def corpus_record(corpus: Corpus) -> dict[str, object]:
    """Return what a manifest says of a corpus that a model was made with."""
    return {
        "name": corpus.name,
        "licence": _licence(corpus.licence),
        "attribution": corpus.licence.attribution,
        "use": corpus.use,
    }


def _licence(licence: Licence) -> str:
    return licence.name if licence.commercial_use else f"{licence.name} (no commercial use)"


def as_toml(table: Mapping[str, object]) -> str:
    """Return plain data as TOML: texts, numbers, arrays of them, tables, arrays of tables."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: Mapping[str, object], path: str = "") -> Iterator[str]:
    """Yield `table` as TOML: values first, then tables, then arrays of tables."""
    nested = {key: value for key, value in table.items() if isinstance(value, dict)}
    arrays = {key: value for key, value in table.items() if _is_array_of_tables(value)}
    for key, value in table.items():
        if key not in nested and key not in arrays:
            # JSON's strings, numbers and arrays of them are TOML's too.
            yield f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in nested.items():
        yield from ("", f"[{path}{_key(key)}]", *_lines(value, f"{path}{_key(key)}."))
    for key, items in arrays.items():
        for item in items if isinstance(items, list) else ():
            yield from ("", f"[[{path}{_key(key)}]]", *_lines(item))


def _is_array_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() else json.dumps(key)
