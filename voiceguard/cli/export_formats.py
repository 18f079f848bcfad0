"""Tables as CSV, JSON lines or Parquet, written block by block, so that memory stays bounded."""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final, Protocol

import click

from voiceguard.cli.export_columns import Column, Kind, Row, Value

FORMATS: Final = ("csv", "jsonl", "parquet")

ROW_GROUP_ROWS: Final = 10_000
"""Rows that a group of a Parquet file holds, and that are kept in memory until it is written."""

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would take for a formula
(https://owasp.org/www-community/attacks/CSV_Injection)."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class TableWriter(Protocol):
    """Writes rows."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write the next rows.

        Raises:
            OSError: the disk is full, or the file cannot be written to any more.
        """
        ...


def check_format(name: str) -> None:
    """Refuse a format whose library is not installed, before anything is fetched.

    Raises:
        click.UsageError: it is not; says what to install.
    """
    if name == "parquet" and importlib.util.find_spec("pyarrow") is None:
        message = "Parquet needs pyarrow: install it with pip install 'voiceguard[parquet]'"
        raise click.UsageError(message)


@contextmanager
def table_writer(
    name: str, columns: Sequence[Column[Any]], stream: BinaryIO
) -> Iterator[TableWriter]:
    """Lend a writer of a format; what it still holds is written when the block ends well.

    Args:
        name: one of `FORMATS`.
        columns: of the table.
        stream: left open.
    """
    match name:
        case "csv":
            yield _CsvWriter(columns, stream)
        case "jsonl":
            yield _JsonLinesWriter(columns, stream)
        case _:
            with _parquet_writer(columns, stream) as writer:
                yield writer


def time_text(milliseconds: int) -> str:
    """Return a time as ISO 8601 (RFC 3339), UTC: 2026-11-24T09:30:00.000Z."""
    moment = _EPOCH + dt.timedelta(milliseconds=milliseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with an apostrophe before it."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text


class _CsvWriter:
    """RFC 4180 in UTF-8, lines ended by a line feed."""

    def __init__(self, columns: Sequence[Column[Any]], stream: BinaryIO) -> None:
        self._kinds = tuple(column.kind for column in columns)
        self._stream = stream
        self._write([[column.name for column in columns]])

    def write(self, rows: Sequence[Row]) -> None:
        kinds = self._kinds
        self._write([[_csv_cell(*cell) for cell in zip(kinds, row, strict=True)] for row in rows])

    def _write(self, cells: Sequence[Sequence[Value]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(cells)
        self._stream.write(text.getvalue().encode())


def _csv_cell(kind: Kind, value: Value) -> Value:
    match kind, value:
        case _, None:
            return ""
        case Kind.TEXT, str():
            return harmless(value)
        case Kind.TIME, int():
            return time_text(value)
        case Kind.FLAG, _:
            return "true" if value else "false"
        case _:
            return value


class _JsonLinesWriter:
    """One object a line (https://jsonlines.org), with every column in it."""

    def __init__(self, columns: Sequence[Column[Any]], stream: BinaryIO) -> None:
        self._names = tuple(column.name for column in columns)
        self._times = tuple(
            place for place, column in enumerate(columns) if column.kind is Kind.TIME
        )
        self._stream = stream

    def write(self, rows: Sequence[Row]) -> None:
        self._stream.write("".join(map(self._line, rows)).encode())

    def _line(self, row: Row) -> str:
        cells = list(row)
        for place in self._times:
            value = cells[place]
            cells[place] = None if value is None else time_text(int(value))
        return json.dumps(dict(zip(self._names, cells, strict=True)), ensure_ascii=False) + "\n"


@contextmanager
def _parquet_writer(columns: Sequence[Column[Any]], stream: BinaryIO) -> Iterator[TableWriter]:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

    types = {
        Kind.TEXT: pa.string(),
        Kind.NUMBER: pa.float64(),
        Kind.COUNT: pa.int64(),
        Kind.FLAG: pa.bool_(),
        Kind.TIME: pa.timestamp("ms", tz="UTC"),
    }
    schema = pa.schema([(column.name, types[column.kind]) for column in columns])
    file = pq.ParquetWriter(stream, schema)
    writer = _RowGroupWriter(file, schema, pa)
    try:
        yield writer
        writer.flush()
        file.close()
    finally:
        # Closing writes; of a file that failed, nobody reads what is written.
        with suppress(OSError):
            file.close()


class _RowGroupWriter:
    """Collects rows until they make a row group."""

    def __init__(self, file: Any, schema: Any, arrow: Any) -> None:  # noqa: ANN401 - pyarrow has no types
        self._file = file
        self._schema = schema
        self._arrow = arrow
        self._rows: list[Row] = []

    def write(self, rows: Sequence[Row]) -> None:
        self._rows.extend(rows)
        while len(self._rows) >= ROW_GROUP_ROWS:
            self._write_group(self._rows[:ROW_GROUP_ROWS])
            del self._rows[:ROW_GROUP_ROWS]

    def flush(self) -> None:
        if self._rows:
            self._write_group(self._rows)
            self._rows = []

    def _write_group(self, rows: Sequence[Row]) -> None:
        arrays = [
            self._arrow.array(values, type=item.type)
            for values, item in zip(zip(*rows, strict=True), self._schema, strict=True)
        ]
        self._file.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
