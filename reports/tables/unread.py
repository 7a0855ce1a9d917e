"""Names the files that are no tables for us, and says how to make them one."""

from __future__ import annotations

KINDS = (
    "a run directory, CSV, JSON lines, Parquet, a text table, or what a benchmark program wrote "
    "(docs/formats.md lists them)"
)
"""What can be read, as messages say it."""


def no_such_file(path: object) -> str:
    """What to say of a file that is not there."""
    return f"{path} does not exist; give {KINDS}"


_LOOKED_AT = 4096


def _pandas(read: str, also: str = "") -> str:
    return f"in Python: import pandas{also}; pandas.{read}.to_csv('times.csv', index=False)"


_PICKLE = (
    "in the program that made it, write each Measurement m as a row: import pandas; "
    "pandas.DataFrame([{'n': m.sub_label, 'implementation': m.description, 'time_s': m.median} "
    "for m in measurements]).to_csv('times.csv', index=False)"
)
_READ_EXCEL = _pandas("read_excel('FILE')")
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"\xd0\xcf\x11\xe0", f"an old Excel workbook; {_READ_EXCEL}"),
    (
        b"SQLite format 3",
        "an SQLite database, as Nsight Systems exports; "
        + _pandas("read_sql('SELECT * FROM TABLE', sqlite3.connect('FILE'))", ", sqlite3"),
    ),
    (b"PERFILE2", 'data of Linux perf; run "perf stat -x, -o times.csv" for each size instead'),
    (b"NVR\x00", 'a report of Nsight Compute; run "ncu --import FILE --csv > times.csv"'),
    (b"\x89HDF", "HDF5; " + _pandas("read_hdf('FILE')")),
    (b"ARROW1", "Arrow or Feather; " + _pandas("read_feather('FILE')")),
    (b"\x93NUMPY", "an array of NumPy; " + _pandas("DataFrame(numpy.load('FILE'))", ", numpy")),
)


def unread(data: bytes) -> str | None:
    """What a file is that cannot be read, and how to make a table of it; None for other files.

    The message ends the sentence "FILE is …". A pickle is never opened: that runs what it holds.
    """
    head = data[:_LOOKED_AT]
    for start, what in _STARTS:
        if head.startswith(start):
            return what
    if head.startswith(b"PK\x03\x04"):
        return _archive(head)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _pickle(head)
    if head.lstrip().startswith((b"<?xml", b"<!", b"<html", b"<table")):
        return "XML or HTML; of a page with a table, " + _pandas("read_html('FILE')[0]")
    return None


def _archive(head: bytes) -> str:
    if b"data.pkl" in head:
        return _pickle(head)
    if b"[Content_Types].xml" in head or b"xl/" in head or b"_rels/.rels" in head:
        return f"an Excel workbook; save the sheet as CSV, or {_READ_EXCEL}"
    return "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV"


def _pickle(head: bytes) -> str:
    if b"torch.utils.benchmark" in head:
        return f"a pickle of torch.utils.benchmark, and opening one runs what it holds; {_PICKLE}"
    return (
        "a pickle or was saved by torch, and opening one runs what it holds; where you trust it, "
        + _pandas("DataFrame(pandas.read_pickle('FILE'))")
    )
