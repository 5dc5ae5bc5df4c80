"""Files appear whole or not at all, and errors carry their exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer import errors, files


def test_write_and_read(tmp_path):
    files.write_json(tmp_path / "new" / "a.json", {"ü": 1})
    assert files.read_json(tmp_path / "new" / "a.json") == {"ü": 1}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.new_text(path) as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_nan_is_not_json(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    files.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "real.txt").read_text() == "new" and (tmp_path / "link.txt").is_symlink()


def test_a_pipe_is_written_straight(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    files.write_text(tmp_path / "pipe", "line")
    assert os.read(reader, 10) == b"line" and (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "below.txt"):
        with pytest.raises(errors.UsageError, match="cannot be written"):
            files.write_text(path, "x")


def test_new_folder_replaces_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"
    with files.new_folder(path) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError), files.new_folder(path) as folder:
        (folder / "b").write_text("2")
        raise RuntimeError
    assert [p.name for p in path.iterdir()] == ["a"]
    with files.new_folder(path) as folder:
        (folder / "c").write_text("3")
    assert [p.name for p in path.iterdir()] == ["c"] and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_new_folder_may_be_the_current_one(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with files.new_folder(Path()) as folder:
        (folder / "a").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["here", "here/a"]


def test_what_is_not_ours_is_not_replaced(tmp_path):
    files.check_ours(tmp_path / "new", "mark")
    files.check_ours(tmp_path, "mark")
    (tmp_path / "thesis.txt").touch()
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(errors.UsageError, match="holds something else and would be replaced"):
            files.check_ours(path, "mark")
    (tmp_path / "mark").touch()
    files.check_ours(tmp_path, "mark")


def test_a_result_that_cannot_be_written_is_known_before(tmp_path):
    files.check_writable(tmp_path / "new.json")
    (tmp_path / "old.json").write_text("old")
    files.check_writable(tmp_path / "old.json")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.json", "old")]
    os.mkfifo(tmp_path / "pipe")
    files.check_writable(tmp_path / "pipe")
    with pytest.raises(errors.UsageError, match="cannot be written"):
        files.check_writable(tmp_path / "old.json" / "below.json")


def test_what_was_there_comes_back_whatever_fails(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    moves, real = [], Path.replace

    def failing(self, target):
        moves.append(target)
        if len(moves) == 2:
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError), files.new_folder(tmp_path / "out"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "real"]
    assert (tmp_path / "out").is_symlink()


def test_a_full_disk_says_what_to_do(capsys):
    assert errors.exit_with(lambda: files.write_text("/dev/full", "x")) == 3
    assert capsys.readouterr().err == "error: /dev/full cannot be used (No space left on device); make room there\n"


def test_what_may_pass_by_itself_is_no_mistake_of_the_users(capsys):
    def main():
        raise OSError(24, "Too many open files", "x")

    assert errors.exit_with(main) == 70


@pytest.mark.parametrize(
    ("path", "why"), [("missing", "No such file"), ("file/below", "Not a directory"), ("x" * 300, "too long")]
)
def test_what_the_system_refuses_is_one_sentence(path, why, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert errors.exit_with(lambda: (tmp_path / path).read_text()) == 3
    told = capsys.readouterr().err
    assert told.startswith(f"error: {tmp_path / path} cannot be used (") and why in told and told.count("\n") == 1


@pytest.mark.parametrize(
    "error, code",
    [
        (errors.BudgetBroken, 1),
        (errors.UsageError, 2),
        (errors.EnvironmentInvalid, 3),
        (errors.Unreachable, 5),
        (errors.InputRejected, 6),
        (KeyboardInterrupt, 130),
        (ZeroDivisionError, 70),
    ],
)
def test_exit_codes(error, code, capsys):
    def main():
        raise error("the sentence")

    assert errors.exit_with(main) == code
    told = capsys.readouterr().err
    if issubclass(error, errors.EdgeferError):
        assert told == "error: the sentence\n"


def test_success_is_zero():
    assert errors.exit_with(lambda: None) == 0


PRINTS = "from edgefer.errors import exit_with\ndef main():\n    for _ in range(100_000): print('a line')\n"
BREAKS = "from edgefer.errors import exit_with\ndef main(): raise BrokenPipeError('of a device')\n"


@pytest.mark.parametrize(("program", "code"), [(PRINTS, 141), (BREAKS, 70)])
def test_only_a_reader_that_left_is_no_error(program, code):
    """As ``| head`` leaves, with the shell's code for it; a pipe to something else that breaks is a fault."""
    command = [sys.executable, "-c", program + "raise SystemExit(exit_with(main))"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if program == PRINTS:
        process.stdout.readline()
        process.stdout.close()
    assert process.wait(60) == code
    assert bool(process.stderr.read()) == (program == BREAKS)


def test_an_output_without_room_or_letters():
    program = "from edgefer.errors import exit_with\nraise SystemExit(exit_with(lambda: print('→ ü')))"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment)
    assert (done.returncode, done.stdout) == (0, b"\\u2192 \xfc\n")
    with open("/dev/full", "w") as full:  # noqa: PTH123 - it is no path of ours
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True)
    told = "error: the output could not be written (No space left on device); make room where it goes\n"
    assert (done.returncode, done.stderr) == (3, told)
