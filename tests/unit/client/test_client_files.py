"""Files of the client: bounded reads, and writes that are whole, private and never over something."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from strongroom_client.files import (
    FileExists,
    FileProblem,
    make_private_folder,
    read_bytes,
    read_text,
    replace_file,
    write_new,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def no_links(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_a_new_file_is_private_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_new(tmp_path / "key", "secret\n")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert read_text(tmp_path / "key") == "secret\n"
    assert names(tmp_path) == ["key"]


def test_a_file_is_written_where_no_mode_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fchmod", no_links)
    for mode in (0o600, 0o644):
        write_new(tmp_path / f"{mode:o}", b"first", mode=mode)
        replace_file(tmp_path / f"{mode:o}", b"second", mode=mode)
        assert read_bytes(tmp_path / f"{mode:o}") == b"second"
    assert (tmp_path / "600").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["600", "644"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_no_secret_is_written_where_the_file_system_lets_others_read_it(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, set_mode = os.open, os.fchmod

    def mounted_for_all(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(path, flags, mode)
        if flags & os.O_CREAT:
            set_mode(descriptor, 0o755)
        return descriptor

    monkeypatch.setattr(os, "open", mounted_for_all)
    monkeypatch.setattr(os, "fchmod", no_links)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(FileProblem, match="mode 755"):
        write_new(tmp_path / "ca.key", b"key")
    assert names(tmp_path) == []
    write_new(tmp_path / "word", b"no key", secret=False)
    write_new(tmp_path / "certificate", b"no key", mode=0o644)
    with pytest.raises(FileProblem, match="it is secret"):
        replace_file(tmp_path / "word", b"key")
    assert read_bytes(tmp_path / "word") == b"no key"
    assert names(tmp_path) == ["certificate", "word"]


def test_what_others_read_is_readable_whatever_the_mask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_new(tmp_path / "new", b"x", mode=0o644)
        replace_file(tmp_path / "replaced", b"x", mode=0o644)
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in names(tmp_path)} == {0o644}


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_what_is_there_is_never_overwritten(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    write_new(tmp_path / "file", b"first", mode=0o644)
    with pytest.raises(FileExists):
        write_new(tmp_path / "file", b"second")
    assert read_bytes(tmp_path / "file") == b"first"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExists):
        write_new(tmp_path / "dangling", b"through the link")
    assert names(tmp_path) == ["dangling", "file"]


def test_reads_are_bounded_and_say_what_is_wrong(tmp_path: Path) -> None:
    write_new(tmp_path / "file", b"\xff123")
    assert read_bytes(tmp_path / "file", max_bytes=4) == b"\xff123"
    with pytest.raises(FileProblem, match="larger than 3 bytes"):
        read_bytes(tmp_path / "file", max_bytes=3)
    with pytest.raises(FileProblem, match="not text"):
        read_text(tmp_path / "file")
    with pytest.raises(FileProblem, match="No such file"):
        read_bytes(tmp_path / "missing")
    with pytest.raises(FileProblem, match="directory"):
        read_bytes(tmp_path)


def test_a_file_cannot_be_written_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="cannot write"):
        write_new(tmp_path / "nowhere" / "file", b"x")
    write_new(tmp_path / "plain", b"x")
    with pytest.raises(FileProblem, match="cannot make the folder"):
        make_private_folder(tmp_path / "plain" / "folder")
