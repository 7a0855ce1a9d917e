"""A folder that cannot be written gives one line; what else goes wrong is not hidden."""

import pytest

from reports.tables.columns import TableError
from reports.tables.target import made


def test_the_folder_is_there_when_something_is_written(tmp_path):
    with made(tmp_path / "new" / "folder", "the table"):
        (tmp_path / "new" / "folder" / "table.csv").write_text("n\n")

    assert (tmp_path / "new" / "folder" / "table.csv").exists()


def test_what_cannot_be_made_or_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")

    for folder, name in ((tmp_path / "file" / "out", "a"), (tmp_path, "file/a")):
        with (
            pytest.raises(TableError, match=r"cannot write the table to .*--out") as caught,
            made(folder, "the table"),
        ):
            (folder / name).write_text("n\n")
        assert "\n" not in str(caught.value)


def test_other_errors_pass(tmp_path):
    with pytest.raises(KeyError), made(tmp_path, "the table"):
        raise KeyError("n")
