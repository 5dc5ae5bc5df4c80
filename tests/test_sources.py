"""Sources: raw frames are what they say, a live source drops and counts and never queues, what is lost comes back."""

import io
import threading

import cv2
import numpy as np
import pytest

from edgefer.errors import EdgeferError, InputRejected, Unreachable, UsageError
from edgefer.sources import Options, camera, open_source, raw, without_password
from edgefer.sources.live import STUCK_S, TRIES, Live
from edgefer.sources.pixels import FORMATS

WAIT_S = 30
QUICK = (0.0, 0.0)
"""No pause before a lost source is tried again."""


# --- raw frames --------------------------------------------------------------------------------------------------------------


def frames_of(data: bytes, **options) -> list:
    return list(raw.stream(io.BytesIO(data), Options(**options)).frames)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("pixels", FORMATS)
def test_every_form_has_the_size_it_says(pixels):
    one = int(8 * 6 * FORMATS[pixels].bytes_per_pixel)
    found = frames_of(bytes(3 * one), size=(8, 6), pixels=pixels, rate=10)
    assert [frame.index for frame in found] == [0, 1, 2] and [frame.time for frame in found] == [0, 0.1, 0.2]
    for frame in found:
        assert frame.image.dtype == np.uint8 and frame.image.shape[:2] == (6, 8)
        assert frame.image.ndim == (2 if "gray" in pixels else 3) and frame.dropped == 0


@pytest.mark.parametrize("pixels", ["rgb24", "bgr24", "rgba", "bgra"])
def test_the_order_of_colours(pixels):
    order = (0, 1, 2) if pixels.startswith("rgb") else (2, 1, 0)
    data = noise(6, 8, 4 if pixels.endswith("a") else 3)
    (frame,) = frames_of(data.tobytes(), size=(8, 6), pixels=pixels)
    assert (frame.image == data[..., order]).all()


def test_grey_of_8_and_16_bits():
    data = noise(6, 8)
    assert (frames_of(data.tobytes(), size=(8, 6), pixels="gray")[0].image == data).all()
    wide = (data.astype("<u2") << 8) + 77
    assert (frames_of(wide.tobytes(), size=(8, 6), pixels="gray16le")[0].image == data).all()


@pytest.mark.parametrize(
    "pixels, shape, code",
    [
        ("nv12", (12, 16), cv2.COLOR_YUV2RGB_NV12),
        ("yuv420p", (12, 16), cv2.COLOR_YUV2RGB_I420),
        ("yuyv422", (8, 16, 2), cv2.COLOR_YUV2RGB_YUYV),
    ],
)
def test_colours_are_opencvs(pixels, shape, code):
    data = noise(*shape)
    height = shape[0] if pixels == "yuyv422" else shape[0] * 2 // 3
    (frame,) = frames_of(data.tobytes(), size=(16, height), pixels=pixels)
    assert np.abs(frame.image.astype(int) - cv2.cvtColor(data, code)).max() <= 2


def test_full_range_colours_are_opencvs():
    planes = noise(3, 8, 8)
    planes[1:] = planes[1:, :1, :1]  # one colour, so that how chroma is spread does not matter
    wanted = cv2.cvtColor(np.stack([planes[0], planes[2], planes[1]], -1), cv2.COLOR_YCrCb2RGB)
    data = planes[0].tobytes() + planes[1, :4, :4].tobytes() + planes[2, :4, :4].tobytes()
    (frame,) = frames_of(data, size=(8, 8), pixels="yuvj420p")
    assert np.abs(frame.image.astype(int) - wanted).max() <= 2


@pytest.mark.parametrize(
    "header, pixels, bytes_",
    [
        ("YUV4MPEG2 W8 H6 F30:1 Ip A1:1 C420jpeg", "yuv420p", 72),
        ("YUV4MPEG2 W8 H6 F30:1 C420mpeg2 XCOLORRANGE=FULL", "yuvj420p", 72),
        ("YUV4MPEG2 W8 H6 F30:1 Cmono", "gray", 48),
        ("YUV4MPEG2 W8 H6 F30:1 C444", "yuv444p", 144),
        ("YUV4MPEG2 W8 H6 F30:1", "yuv420p", 72),
    ],
)
def test_a_header_says_it_all(header, pixels, bytes_):
    data = noise(2, bytes_)
    stream = header.encode() + b"\n" + b"".join(b"FRAME\n" + frame.tobytes() for frame in data)
    found, same = frames_of(stream), frames_of(data.tobytes(), size=(8, 6), pixels=pixels, rate=30)
    assert [frame.time for frame in found] == [frame.time for frame in same] == [0, pytest.approx(1 / 30)]
    for a, b in zip(found, same, strict=True):
        assert (a.image == b.image).all()


@pytest.mark.parametrize(
    "error, told, data, options",
    [
        (UsageError, "unknown form of pixels 'rgb'; edgefer has bgr24", b"", {"pixels": "rgb", "size": (8, 6)}),
        (UsageError, "needs --size", b"", {"pixels": "gray"}),
        (UsageError, "--size needs --pixels", b"", {"size": (8, 6)}),
        (UsageError, "even width and height, not 7×6", b"", {"pixels": "nv12", "size": (7, 6)}),
        (UsageError, "0×6 pixels: each side must be", b"", {"pixels": "gray", "size": (0, 6)}),
        (InputRejected, "does not begin with a YUV4MPEG2 header", b"\x00" * 100, {}),
        (InputRejected, "does not begin with a YUV4MPEG2 header", b"", {}),
        (InputRejected, "header .* cannot be read", b"YUV4MPEG2 W8\n", {}),
        *(
            (InputRejected, f"colour space {space} is not known", f"YUV4MPEG2 W8 H6 C{space}\n".encode(), {})
            for space in ("420p10", "420p9", "mono16", "444alpha", "422")
        ),
        (InputRejected, "444 in full range is not known", b"YUV4MPEG2 W8 H6 C444 XCOLORRANGE=FULL\n", {}),
        (InputRejected, "a frame begins with b'nonsense", b"YUV4MPEG2 W8 H6 Cmono\nnonsense\n", {}),
    ],
)
def test_streams_that_are_none(error, told, data, options):
    with pytest.raises(error, match=told):
        frames_of(data, **options)


def test_a_stream_that_ends_within_a_frame_says_so():
    whole, torn = frames_of(bytes(48 + 20), size=(8, 6), pixels="gray")
    assert whole.error is None and torn.image is None
    assert "ended within frame 1: 20 of its 48 bytes" in torn.error


@pytest.mark.parametrize(
    "name, options, told",
    [
        ("clip.mp4", {"pixels": "gray"}, "--source -"),
        ("clip.mp4", {"live": True}, "--source -"),
        ("clip.mp4", {"size": (8, 6)}, "has its own"),
    ],
)
def test_flags_for_another_kind_of_source(name, options, told):
    with pytest.raises(UsageError, match=told):
        open_source(name, Options(**options))


# --- live --------------------------------------------------------------------------------------------------------------------


class Scripted:
    """A capture that gives what the test feeds: an item is a frame, None none, an exception is raised."""

    def __init__(self, *items, ends: bool = False):
        self.items, self.ends, self.closed = list(items), ends, False
        self.used = threading.Event()

    def read(self):
        if not self.items:
            self.used.set()
            return None
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def picture(self, raw_):
        return raw_

    def close(self):
        self.closed = True


class Camera:
    """Opens one capture after the other; an exception in the list is one that cannot be opened."""

    def __init__(self, *captures):
        self.captures, self.opened = list(captures), 0

    def __call__(self):
        self.opened += 1
        capture = self.captures.pop(0) if self.captures else Scripted()
        if isinstance(capture, Exception):
            raise capture
        return capture


def image(level: int = 0) -> np.ndarray:
    return np.full((6, 8), level, np.uint8)


AWAY = Unreachable("no camera answers there")


def test_the_newest_frame_wins_and_the_others_are_counted():
    """All frames come before the second is asked for."""
    capture, gate = Scripted(*map(image, range(10)), ends=True), threading.Event()
    first_read = capture.read

    def read():
        if len(capture.items) == 9:
            assert gate.wait(WAIT_S)
        return first_read()

    capture.read = read
    live = Live("camera", lambda: capture, Options(), clock=lambda: 100 + 0.5 * (10 - len(capture.items)))
    frames = live.frames()
    first = next(frames)
    gate.set()
    live._thread.join(WAIT_S)
    last = next(frames)
    assert (first.index, first.dropped, first.time) == (0, 0, 0.0)
    assert (last.index, last.dropped, last.image[0, 0]) == (9, 8, 9)
    assert last.time == 4.5, "the time it came, by the given clock"
    assert list(frames) == [] and capture.closed


def test_a_camera_that_goes_comes_back():
    notes = []
    first, dead, second = Scripted(image(1)), Scripted(), Scripted(image(2), ends=True)
    opener, seen, frames = Camera(first, AWAY, AWAY, dead, AWAY, second), threading.Event(), []

    def open_when_seen():
        assert opener.opened == 0 or seen.wait(WAIT_S)
        return opener()

    for frame in Live("camera", open_when_seen, Options(note=notes.append), back_off=QUICK).frames():
        frames.append(frame)
        seen.set()
    assert [frame.image[0, 0] for frame in frames] == [1, 2] and [frame.index for frame in frames] == [0, 1]
    assert opener.opened == 6 and first.closed and dead.closed
    assert len(notes) == 2 and "is lost" in notes[0] and "gives frames again" in notes[1], (
        "said once, however often tried"
    )


def test_a_hiccup_is_no_loss():
    notes = []
    capture = Scripted(image(1), *[None] * (TRIES - 1), image(2), ends=False)
    opener = Camera(capture, Scripted(ends=True))
    frames = list(Live("camera", opener, Options(note=notes.append), back_off=QUICK).frames())
    assert frames[-1].image[0, 0] == 2 and opener.opened == 2


def test_pauses_double_up_to_a_limit():
    live = Live("camera", Camera(Scripted(ends=True)), Options(), back_off=(0.5, 30.0))
    pauses = []
    live._stop.wait = pauses.append
    live._opener = Camera(*[AWAY] * 9)
    for _ in range(9):
        assert live._again() is None
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    live._put(0, image(), None)
    live._opener = Camera(AWAY)
    live._again()
    assert pauses[-1] == 0.5, "a frame begins the count anew"


def test_a_camera_that_is_not_there():
    with pytest.raises(Unreachable):
        Live("camera", Camera(AWAY), Options())
    notes, waited = [], []
    options = Options(wait=True, note=notes.append, waiting=lambda: waited.append(1))
    frames = list(Live("camera", Camera(AWAY, AWAY, Scripted(image(), ends=True)), options, back_off=QUICK).frames())
    assert len(frames) == 1 and "waiting for source camera" in notes[0] and "gives frames" in notes[1]


def test_who_waits_is_told_so_and_can_end_it():
    live, calls = None, []

    def waiting():
        calls.append(1)
        live.close()

    live = Live("camera", Camera(), Options(waiting=waiting), back_off=QUICK)
    assert list(live.frames()) == [] and calls
    assert not live._thread.is_alive()


def test_a_driver_that_hangs_ends_the_run_so_that_it_is_started_again():
    capture, entered, gate, ticks = Scripted(), threading.Event(), threading.Event(), [0.0]

    def read():
        entered.set()
        assert gate.wait(WAIT_S)

    def waiting():
        if entered.is_set():
            ticks[0] += STUCK_S / 2 + 1

    capture.read = read
    live = Live("camera", lambda: capture, Options(waiting=waiting), clock=lambda: ticks[0])
    with pytest.raises(Unreachable, match="its driver has not answered for 60 s"):
        list(live.frames())
    gate.set()
    live.close()


def test_a_silent_pipe_is_not_a_driver_that_hangs():
    capture, gate, ticks = Scripted(ends=True), threading.Event(), [0.0]
    capture.read = lambda: gate.wait(WAIT_S) and None

    def waiting():
        ticks[0] += STUCK_S
        if ticks[0] > 4 * STUCK_S:
            gate.set()

    assert list(Live("pipe", lambda: capture, Options(waiting=waiting), clock=lambda: ticks[0]).frames()) == []


def test_what_goes_wrong_in_the_reader_is_raised_where_frames_are_asked_for():
    frames = Live("camera", Camera(Scripted(image(), ZeroDivisionError("a bug"))), Options()).frames()
    with pytest.raises(ZeroDivisionError, match="a bug"):
        for _ in frames:
            pass


def test_a_live_pipe_drops_and_a_file_in_a_pipe_does_not():
    data = np.arange(50, dtype=np.uint8).repeat(48).tobytes()
    stream = raw.stream(io.BytesIO(data), Options(size=(8, 6), pixels="gray", live=True))
    frames = list(stream.frames)
    assert stream.live and sum(frame.dropped for frame in frames) + len(frames) == frames[-1].index + 1
    assert frames[-1].index == 49 and frames[-1].image[0, 0] == 49
    assert len(frames_of(data, size=(8, 6), pixels="gray")) == 50


@pytest.mark.parametrize(
    "given, shape",
    [
        (np.zeros((6, 8, 3), np.uint8), (6, 8, 3)),
        (np.zeros((6, 8, 4), np.uint8), (6, 8, 3)),
        (np.zeros((6, 8), np.uint8), (6, 8)),
        (np.zeros((6, 8, 1), np.uint8), (6, 8)),
        (np.zeros((6, 8), np.uint16), (6, 8)),
    ],
)
def test_what_drivers_give(given, shape):
    found = camera.picture(cv2, given)
    assert found.shape == shape and found.dtype == np.uint8


def test_sixteen_bits_keep_their_upper_half():
    assert camera.picture(cv2, np.full((2, 2), 0x8123, np.uint16))[0, 0] == 0x81


@pytest.mark.parametrize(
    "given", [None, np.zeros((0, 0, 3), np.uint8), np.zeros((6, 8, 2), np.uint8), np.zeros((6, 8))]
)
def test_frames_that_are_none_have_an_error_and_do_not_end_the_run(given):
    with pytest.raises(InputRejected, match="the camera gave a frame"):
        camera.picture(cv2, given)
    capture = Scripted(np.zeros(1) if given is None else given, image(5), ends=True)
    capture.picture = lambda raw_: camera.picture(cv2, raw_)
    frames = list(Live("camera", Camera(capture), Options()).frames())
    assert frames[-1].image[0, 0] == 5 and all("the camera gave" in frame.error for frame in frames[:-1])


def test_opencvs_camera(monkeypatch):
    """What is asked of a device, and what becomes of its errors."""

    asked = {}

    class Capture:
        def __init__(self, name, *_):
            self.name, self.count = name, 0

        def isOpened(self):
            return self.name != "/dev/null"

        def set(self, setting, value):
            asked[setting] = value

        def read(self):
            self.count += 1
            if self.count == 2:
                raise cv2.error("a driver's error")
            return True, np.full((6, 8, 3), (10, 20, 30), np.uint8)

        def release(self):
            self.name = "/dev/null"

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    source = open_source("0", Options(size=(640, 480), rate=15))
    frames = [frame for frame, _ in zip(source.frames, range(3), strict=False)]
    source.close()
    assert source.live and source.moving and frames[0].source == "0"
    assert tuple(frames[0].image[0, 0]) == (30, 20, 10), "BGR has become RGB"
    assert asked[cv2.CAP_PROP_FRAME_WIDTH] == 640 and asked[cv2.CAP_PROP_FPS] == 15
    with pytest.raises(
        Unreachable, match=r"source /dev/null cannot be opened: no camera answers there; .*ls /dev/video"
    ):
        open_source("/dev/null")


@pytest.mark.parametrize("name", ["7", "rtsp://user:secret@127.0.0.1:9/x", "http://127.0.0.1:9/x.mjpg"])
def test_sources_that_are_not_there(name):
    with pytest.raises(EdgeferError, match="cannot be opened") as caught:
        open_source(name)
    assert caught.value.exit_code == 5 and "secret" not in str(caught.value)


def test_a_password_is_not_logged():
    for given, shown in {
        "rtsp://me:pa%20ss@cam.local:554/a@b": "rtsp://cam.local:554/a@b",
        "rtsp://admin:p@ss?#@cam/x": "rtsp://cam/x",
        "http://cam/x?u=a@b&access_token=t": "http://cam/x?u=a@b&access_token=***",
        "http://cam/x?user=me&PWD=s&channel=1": "http://cam/x?user=***&PWD=***&channel=1",
        "/dev/video0": "/dev/video0",
        "videos/a?key=1@b.mp4": "videos/a?key=1@b.mp4",
    }.items():
        assert without_password(given) == shown
