"""Outputs: lines stay valid whatever happens to the disk; video, window, HTTP and Python get every frame they can take."""

import http.client
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer import api
from edgefer.cli import main
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from edgefer.outputs import Closed, Full, Result, drawing, lines, video
from edgefer.outputs.http import MOST_READERS, HttpStream
from edgefer.sources import Options

TINY = Path(__file__).parent / "data" / "tiny"
WAIT_S = 30
FACE = {"track": 3, "box": [10, 12, 20, 24], "label": "fear", "probabilities": {"fear": 0.7, "anger": 0.3}}


def result(index: int = 0, image: np.ndarray | None = None, **fields) -> Result:
    line = {"frame": index, "source": "s", "time_s": index / 10, "faces": [FACE], "dropped": 0}
    image = np.full((60, 80, 3), 90, np.uint8) if image is None else image
    return Result(line | fields, image)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_video(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    for i in range(frames):
        coarse = np.random.default_rng(i).integers(0, 256, (5, 5, 3), np.uint8)
        writer.write(cv2.resize(coarse, size))
    writer.release()
    return path


def frames_in(path: Path) -> list[np.ndarray]:
    capture, found = cv2.VideoCapture(str(path)), []
    while (got := capture.read())[0]:
        found.append(got[1])
    return found


# --- lines -------------------------------------------------------------------------------------------------------------------


def test_a_live_log_is_written_as_lines_come_and_goes_on_where_it_was(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    for start in (0, 2):
        with lines.opened(str(path), True, print) as log:
            for i in (start, start + 1):
                log.write(result(i))
                assert read(path)[-1]["frame"] == i, "it is there at once, not at the end"
    assert [line["frame"] for line in read(path)] == [0, 1, 2, 3]


@pytest.mark.parametrize("tail", [b'{"frame": 1, "sou', b"\0" * 700], ids=["torn", "zeros"])
def test_a_line_that_a_power_cut_tore_is_taken_away(tmp_path, tail):
    path, notes = tmp_path / "log.jsonl", []
    path.write_bytes(lines.encoded(result(0).line) + tail)
    with lines.opened(str(path), True, notes.append) as log:
        log.write(result(2))
    assert [line["frame"] for line in read(path)] == [0, 2]
    assert f"torn, as by a power cut, and was taken away ({len(tail)} bytes)" in notes[0]


def test_a_file_of_another_kind_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes")
    with lines.opened(str(path), True, print):
        pass
    assert path.read_text() == "my notes"


LIMITED = """
import resource, sys
from edgefer.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
sys.exit(main(sys.argv[1:]))
"""
"""The command, with files of at most 6000 bytes: the same errors as a full disk, from the system itself."""


def limited(*args, **how) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", LIMITED, "run", *map(str, args)], capture_output=True, text=True, **how
    )


def arguments(source, *more) -> list:
    return ["--bundle", TINY, "--detector", "none", "--source", source, *more]


def sentence(told: str) -> str:
    (error,) = [line for line in told.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in told and "Exception" not in told
    return error


def test_a_full_disk_ends_a_run_over_a_file_and_leaves_whole_lines(tmp_path):
    out = tmp_path / "out.jsonl"
    done = limited(*arguments(write_video(tmp_path / "v.avi", 100), "--jsonl", out))
    assert done.returncode == 3
    assert "no more lines can be written (File too large); what is there is good; make room" in sentence(done.stderr)
    assert [line["frame"] for line in read(out)] == list(range(len(read(out)))) and len(read(out)) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "v.avi"]


def test_a_full_disk_under_standard_output(tmp_path):
    source = write_video(tmp_path / "v.avi", 100)
    with (tmp_path / "out.jsonl").open("w") as out:
        command = [sys.executable, "-c", LIMITED, "run", *map(str, arguments(source))]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3 and "no more lines" in sentence(done.stderr)
    assert len(read(tmp_path / "out.jsonl")) > 10


@pytest.mark.parametrize("how", ["--jsonl", "standard output"])
def test_a_device_that_is_full(tmp_path, how):
    source = write_video(tmp_path / "v.avi", 3)
    command = [sys.executable, "-m", "edgefer", "run", *map(str, arguments(source))]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - it is no path of ours
        out = {"stdout": subprocess.PIPE} if how == "--jsonl" else {"stdout": full}
        more = ["--jsonl", "/dev/full"] if how == "--jsonl" else []
        done = subprocess.run(command + more, **out, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3 and "No space left on device" in sentence(done.stderr)


def test_a_live_run_goes_on_without_room_and_says_how_many_lines_are_missing(tmp_path):
    path, notes = tmp_path / "log.jsonl", []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with lines.opened(str(path), True, notes.append) as log:
        log.write(result(0))
        size = path.stat().st_size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
            for i in range(1, 5):
                log.write(result(i))
            assert path.stat().st_size == size, "a part of a line is taken back"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        log.write(result(5))
    assert [line["frame"] for line in read(path)] == [0, 5]
    assert len(notes) == 2 and "the run goes on without them" in notes[0] and "4 lines were left out" in notes[1]


# --- video -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", video.CODECS)
def test_an_annotated_video(tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    assert main(["run", *map(str, arguments(write_video(tmp_path / "v.avi", 7), "--video", out))]) == 0
    found, plain = frames_in(out), frames_in(tmp_path / "v.avi")
    assert len(found) == 7 and found[0].shape == plain[0].shape
    assert np.abs(found[0].astype(int) - plain[0]).mean() > 3, "something is drawn"
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "v.avi"]


def test_a_live_video_keeps_the_time(tmp_path):
    out = video.VideoFile(str(tmp_path / "out.avi"), 10, live=True)
    for i in (0, 1, 2, 7, 7.01):  # frames 3 to 6 were dropped; one came too soon
        out.write(Result(result(i).line | {"faces": []}, np.full((60, 80, 3), int(30 * i), np.uint8)))
    out.close()
    shown = [round(frame.mean() / 30) for frame in frames_in(tmp_path / "out.avi")]
    assert shown == [0, 1, 2, 2, 2, 2, 2, 7], "what was seen last stands still until there is another"


def test_a_live_video_shows_a_long_standstill_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "MOST_REPEATS", 20)
    out = video.VideoFile(str(tmp_path / "out.avi"), 10, live=True)
    for i in (0, 600, 601, 602):
        out.write(result(i))
    out.close()
    assert len(frames_in(tmp_path / "out.avi")) == 1 + 20 + 2


def test_without_opencv_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EnvironmentInvalid, match="OpenCV is not installed"):
        video.VideoFile(str(tmp_path / "out.avi"), 10, live=False)
    assert not list(tmp_path.iterdir())


def test_a_video_of_frames_of_two_sizes_and_none(tmp_path):
    out = video.VideoFile(str(tmp_path / "out.avi"), 10, live=False)
    for image in (None, np.zeros((100, 50), np.uint8)):
        out.write(result(0, image))
    out.write(Result(result().line, None))
    out.close()
    assert [frame.shape for frame in frames_in(tmp_path / "out.avi")] == [(60, 80, 3)] * 2


def test_a_video_ends_before_the_disk_is_full(tmp_path, monkeypatch):
    out = video.VideoFile(str(tmp_path / "out.avi"), 10, live=False)
    out.write(result(0))
    monkeypatch.setattr(video, "LEAST_FREE", 10**18)
    with pytest.raises(Full, match="are free on its disk"):
        for i in range(1, 40):
            out.write(result(i))
    out.close()
    assert len(frames_in(tmp_path / "out.avi")) == video.CHECK_EVERY


def test_a_video_without_frames_is_no_file(tmp_path):
    video.VideoFile(str(tmp_path / "out.avi"), 10, live=False).close()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_to_one_video_leave_a_whole_one(tmp_path):
    first, second = (video.VideoFile(str(tmp_path / "out.avi"), 10, live=False) for _ in range(2))
    for _ in range(3):
        first.write(result(0))
        second.write(result(0))
    first.close()
    second.close(whole=False)
    assert len(frames_in(tmp_path / "out.avi")) == 3 and len(list(tmp_path.iterdir())) == 1


def test_what_is_read_is_not_written_and_nothing_twice(tmp_path, capsys):
    clip = write_video(tmp_path / "clip.avi", 3)
    data = clip.read_bytes()
    for flags in (("--video", clip), ("--jsonl", clip), ("--jsonl", tmp_path / "x", "--health", tmp_path / "x")):
        assert main(["run", *map(str, arguments(clip, *flags))]) == 2
        assert "is named by --" in capsys.readouterr().err
    assert main(["run", *map(str, arguments(clip, "--jsonl", TINY / "bundle.json"))]) == 2
    assert clip.read_bytes() == data and [path.name for path in tmp_path.iterdir()] == ["clip.avi"]


def test_a_video_that_fails_does_not_take_the_lines_with_it(tmp_path, monkeypatch):
    def fails(self, whole=True):
        raise EnvironmentInvalid("no video")

    monkeypatch.setattr(video.VideoFile, "close", fails)
    words = arguments(
        write_video(tmp_path / "v.avi", 3), "--video", tmp_path / "o.avi", "--jsonl", tmp_path / "o.jsonl"
    )
    assert main(["run", *map(str, words)]) == 3
    assert len(read(tmp_path / "o.jsonl")) == 3


def test_a_name_that_is_not_utf8_is_told_escaped():
    line = lines.encoded({"source": os.fsdecode(b"b\xe9.jpg")})
    assert json.loads(line)["source"] == os.fsdecode(b"b\xe9.jpg") and line.isascii()


def test_what_cannot_be_a_video(tmp_path):
    with pytest.raises(UsageError, match="Is a directory"):
        video.VideoFile(str(tmp_path.rename(tmp_path.with_suffix(".avi"))), 10, live=False)
    tmp_path.with_suffix(".avi").rename(tmp_path)
    with pytest.raises(UsageError, match="not UTF-8"):
        video.VideoFile(str(tmp_path / os.fsdecode(b"b\xe9.avi")), 10, live=False)
    with pytest.raises(UsageError, match=r"must end in one of \.mp4, \.avi, \.mkv"):
        video.VideoFile(str(tmp_path / "out.gif"), 10, live=False)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        video.VideoFile(str(tmp_path / "file" / "out.avi"), 10, live=False)


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 1), (60, 80, 3)])
def test_drawing_leaves_the_frame_as_it_is(shape):
    image = np.full(shape, 90, np.uint8)
    drawn = drawing.draw(image, [FACE, FACE | {"box": [-50, -50, 500.4, 400], "track": None}])
    assert (image == 90).all() and drawn.shape == (60, 80, 3) and (drawn != 90).any()


# --- window ------------------------------------------------------------------------------------------------------------------


def test_a_window_needs_a_display(tmp_path, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    source = write_video(tmp_path / "v.avi", 3)
    assert main(["run", *map(str, arguments(source, "--window"))]) == 3
    assert "there is no display for --window" in capsys.readouterr().err


def test_a_window_needs_an_opencv_that_has_some(monkeypatch):
    from edgefer.outputs.window import Window

    monkeypatch.setenv("DISPLAY", ":77")
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: (_ for _ in ()).throw(cv2.error("not implemented")))
    with pytest.raises(EnvironmentInvalid, match=r"the headless one.*pip install 'edgefer\[window\]'"):
        Window()


@pytest.mark.parametrize(
    "key, visible, ends", [(ord("q"), 1, True), (27, 1, True), (ord("x"), 1, False), (-1, 0, True)]
)
def test_a_window_ends_by_a_key_or_its_button(monkeypatch, key, visible, ends):
    from edgefer.outputs.window import Window

    shown = []
    monkeypatch.setenv("DISPLAY", ":77")
    fakes = {"namedWindow": lambda *_: None, "imshow": lambda _, image: shown.append(image), "waitKey": lambda _: key}
    for name, fake in (fakes | {"getWindowProperty": lambda *_: visible, "destroyAllWindows": lambda: None}).items():
        monkeypatch.setattr(cv2, name, fake)
    window = Window()
    if ends:
        with pytest.raises(Closed):
            window.write(result())
    else:
        window.write(result())
    window.close()
    assert shown[0].shape == (60, 80, 3)


# --- HTTP --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def served():
    stream = HttpStream(0)
    yield stream
    stream.close()


def get(served: HttpStream, path: str, **headers) -> http.client.HTTPResponse:
    port = int(served.address.rstrip("/").rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def test_pages(served):
    served.write(result(4))
    assert b"stream.mjpg" in get(served, "/").read()
    assert json.loads(get(served, "/latest.json").read())["frame"] == 4
    picture = cv2.imdecode(np.frombuffer(get(served, "/frame.jpg").read(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (60, 80, 3)
    assert get(served, "/etc/passwd").status == 404


def test_the_stream_gives_the_newest_and_ends_with_the_run(served):
    served.write(result(0))
    answer, parts = get(served, "/stream.mjpg"), []
    assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace; boundary=")
    for i in (1, 2):
        assert answer.readline() == b"--edgefer\r\n" and answer.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(answer.readline().split(b":")[1])
        assert answer.readline() == b"\r\n"
        parts.append(answer.read(length))
        assert answer.readline() == b"\r\n"
        served.write(result(i, np.full((60, 80, 3), 40 * i, np.uint8)))
    assert all(part.startswith(b"\xff\xd8") for part in parts) and parts[0] != parts[1]
    threading.Thread(target=served.close).start()
    answer.read()


def test_a_frame_is_encoded_once_however_many_look():
    stream, one = HttpStream(0), result()
    assert stream.jpeg(one) is stream.jpeg(one)
    stream.close()


def test_only_this_machine_is_served(served):
    served.write(result())
    assert served.address.startswith("http://127.0.0.1:")
    assert served._server.server_address[0] == "127.0.0.1"
    assert get(served, "/", Host="evil.example:80").status == 403
    assert get(served, "/", Host="localhost:8080").status == 200


def test_readers_are_few(served):
    for _ in range(MOST_READERS):
        assert served.readers.acquire(blocking=False)
    assert get(served, "/").status == 503


def test_a_port_that_is_taken(served):
    port = int(served.address.rstrip("/").rpartition(":")[2])
    with pytest.raises(
        EnvironmentInvalid, match=f"port {port} of 127.0.0.1 cannot be served .*name another with --http"
    ):
        HttpStream(port)


def test_a_camera_over_http_that_goes_and_comes_back():
    """Our own stream, read by OpenCV as any network camera's: the server ends and begins again at the same port."""
    first, stop, ended, notes = HttpStream(0), threading.Event(), threading.Event(), []
    port, servers = int(first.address.rstrip("/").rpartition(":")[2]), [first]

    def feed():
        number = 0
        while not stop.wait(0.02):
            number += 1
            servers[-1].write(result(number, np.full((64, 64, 3), number % 250, np.uint8)))

    feeding = threading.Thread(target=feed)
    feeding.start()
    seen = []

    def callback(line, image):
        seen.append((line["time_s"], image.shape))
        if len(seen) == 5:
            servers[-1].close()
            ended.set()
        return not (len(notes) > 1 and len(seen) > 10)

    def note(text):
        notes.append(text)
        if "is lost" in text:
            assert ended.wait(WAIT_S)
            servers.append(HttpStream(port))

    try:
        counts = api.run(TINY, f"{first.address}stream.mjpg", callback, options=Options(note=note), detector="none")
    finally:
        stop.set()
        feeding.join()
        servers[-1].close()
    assert "is lost" in notes[0] and "gives frames again" in notes[1] and len(notes) == 2
    assert counts.frames == len(seen) == counts.faces and {shape for _, shape in seen} == {(64, 64, 3)}
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)


# --- Python ------------------------------------------------------------------------------------------------------------------


def test_a_callback_sees_what_the_command_writes(tmp_path):
    source, seen = str(write_video(tmp_path / "v.avi", 6)), []
    assert main(["run", *map(str, arguments(source, "--jsonl", tmp_path / "out.jsonl"))]) == 0
    counts = api.run(TINY, source, lambda line, image: seen.append((line, image.shape)), detector="none")
    assert counts.frames == 6 and counts.to_json() == {"frames": 6, "faces": 6, "dropped": 0, "unusable": 0}
    assert [line for line, _ in seen] == read(tmp_path / "out.jsonl") and seen[0][1] == (48, 64, 3)
    watched = [line for line, _ in api.watch(TINY, source, detector="none")]
    assert watched == read(tmp_path / "out.jsonl")


def test_a_callback_may_end_the_run_and_its_errors_are_its_callers(tmp_path):
    source = str(write_video(tmp_path / "v.avi", 6))
    assert api.run(TINY, source, lambda line, _: line["frame"] < 2, detector="none").frames == 3
    with pytest.raises(ZeroDivisionError):
        api.run(TINY, source, lambda line, _: 1 / 0, detector="none")


def test_frames_of_ones_own():
    step = api.Recogniser(TINY, detector="none").stepper(smooth=0)
    first = step(np.zeros((40, 50, 3), np.uint8), 0.0)
    assert first["faces"][0]["track"] == 1 and first["faces"][0]["box"] == [0, 0, 50, 40]
    assert "must be a numpy array, not NoneType" in step(None, 0.1)["error"]
    assert step(np.zeros((40, 50, 3), np.uint8), 0.2)["faces"] == first["faces"]


def test_what_a_recogniser_refuses(tmp_path):
    with pytest.raises(InputRejected, match="is not a bundle"):
        api.Recogniser(tmp_path)
    with pytest.raises(UsageError, match="unknown engine"):
        api.Recogniser(TINY, engine="tensorrt")


def test_many_outputs_at_once(tmp_path, capfd):
    source, out = write_video(tmp_path / "v.avi", 5), tmp_path / "out.jsonl"
    more = ["--jsonl", out, "--video", tmp_path / "a.mp4", "--http", 0, "--health", tmp_path / "health.json"]
    assert main(["run", *map(str, arguments(source, *more))]) == 0
    told = capfd.readouterr()
    assert "annotated frames are at http://127.0.0.1:" in told.err and told.out == ""
    assert len(read(out)) == len(frames_in(tmp_path / "a.mp4")) == 5
    health = json.loads((tmp_path / "health.json").read_text())
    assert health["state"] == "stopped" and health["frames"] == 5 and health["pid"] == os.getpid()
