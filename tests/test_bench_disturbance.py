"""Throttling, stolen time, drift, a sustained run and a camera's pace: on made-up devices and a fake clock."""

import pytest

from benchmarks import camera, disturbance, environment, sustained


def reading(**told) -> dict:
    silent = {"temperature_c": {}, "mhz": None, "throttle_events": None, "throttled": None, "ticks": None}
    return {**silent, **told}


class TestFindings:
    def test_a_quiet_machine_or_one_that_tells_nothing_gives_none(self):
        quiet = [
            reading(throttle_events=3, throttled="throttled=0x0", ticks={"total": t, "steal": 0}) for t in (10, 99)
        ]
        for readings in (quiet, [reading(), reading()], []):
            assert disturbance.findings(readings, [1.0, 1.1]) == disturbance.Findings()

    def test_thermal_events_during_the_run_spoil_it(self):
        found = disturbance.findings([reading(throttle_events=3), reading(throttle_events=5)], [1.0])
        assert "2 thermal events" in found.spoiling[0]

    def test_a_throttled_pi_spoils_it_and_one_that_was_throttled_before_does_not(self):
        now = disturbance.findings([reading(throttled="throttled=0x0"), reading(throttled="throttled=0x50005")], [1.0])
        assert now.spoiling == ("throttled: the board reports under-voltage, throttled",)
        before = [reading(throttled="throttled=0x50000")] * 2
        assert disturbance.findings(before, [1.0]) == disturbance.Findings()

    def test_a_pi_that_was_throttled_between_two_readings_spoils_it(self):
        found = disturbance.findings(
            [reading(throttled="throttled=0x0"), reading(throttled="throttled=0x40000")], [1.0]
        )
        assert found.spoiling == ("throttled: the board reports throttled",)

    @pytest.mark.parametrize(("steal", "spoils", "said"), [(1, False, False), (5, False, True), (30, True, True)])
    def test_stolen_time(self, steal, spoils, said):
        ticks = [{"total": 0, "steal": 0}, {"total": 100, "steal": steal}]
        found = disturbance.findings([reading(ticks=t) for t in ticks], [1.0])
        assert bool(found.spoiling) == spoils
        assert bool(found.spoiling + found.remarks) == said

    def test_drift_is_remarked(self):
        assert "30% slower" in disturbance.findings([], [1.0, 1.2, 1.3]).remarks[0]
        assert disturbance.findings([], [1.0, 1.3, 1.1]).remarks == ()


def test_ticks_of_proc_stat():
    assert environment.ticks("cpu  10 1 5 80 2 0 1 4 0 0\ncpu0 …") == {"total": 103, "steal": 4}
    assert environment.ticks("") is None


def test_the_climate_of_this_machine_has_every_field():
    assert environment.climate().keys() == reading().keys()


class Device:
    """A worker whose inferences take ``ns`` and get slower by ``creep`` a slice as it warms up."""

    def __init__(self, creep: float):
        self.ns, self.creep, self.heat = 1e6, creep, 50.0

    def ask(self, do: str, **request) -> dict:
        if do == "climate":
            return reading(temperature_c={"cpu": self.heat, "board": 40.0}, mhz=1500.0)
        self.ns, self.heat = self.ns * (1 + self.creep), self.heat + 1
        n = round(request["seconds"] * 1e9 / self.ns)
        return {"ns": [self.ns] * n}


class TestSustained:
    def test_every_slice_has_its_temperature_and_frequency(self):
        slices = sustained.run(Device(creep=0.0), 20)
        assert 19 <= len(slices) <= 21
        assert [piece["temperature_c"] for piece in slices[:3]] == [51.0, 52.0, 53.0]
        assert slices[5]["t_s"] == pytest.approx(5, abs=0.02)
        assert slices[0]["mhz"] == 1500.0
        assert "51 to" in sustained.note(slices)

    def test_a_device_that_slows_down_shows_by_how_much(self):
        found = sustained.figures(sustained.run(Device(creep=0.02), 30))["sustained_slowdown"]
        assert found.value == pytest.approx(1.02**20, rel=0.05)
        assert found.ci95 is None, "seconds on end are no independent repeats"

    def test_too_short_a_run_gives_no_figure(self):
        assert sustained.figures(sustained.run(Device(creep=0.0), 5)) == {"sustained_slowdown": None}


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def paced(cost_s: float, frames: int = 31) -> tuple[dict, list[int]]:
    clock, seen = Clock(), []

    def step(number: int) -> None:
        seen.append(number)
        clock.now += cost_s

    return camera.paced(step, frames, 0.1, clock, clock.sleep), seen


class TestCamera:
    def test_a_fast_loop_drops_nothing_and_its_results_are_as_old_as_it_takes(self):
        found, seen = paced(0.03)
        assert (found["dropped"], seen) == (0, list(range(31)))
        assert found["age_s"] == pytest.approx([0.03] * 31)

    def test_a_slow_loop_drops_the_older_frame_and_never_queues(self):
        found, seen = paced(0.25)
        assert found["dropped"] == 31 - len(seen)
        assert seen[:4] == [0, 2, 5, 7]
        assert max(found["age_s"]) < 0.25 + 0.1
