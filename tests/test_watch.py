"""A run that goes on, as it is seen: on a terminal, and as a page from a server on this machine."""

import json
import threading
import urllib.error
import urllib.request

import h5py
import numpy as np
import pytest
from networks import load
from test_pictures import NET

from snnrun import run, view, watch
from snnrun.cli.watch import watched
from snnrun.page import server
from snnrun.results import Results, partial_path
from snnrun.results.store import Store, busy


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run.simulate(run.Request(load(folder, NET.format(seed=1)), folder / "a.h5", [], plot=False))
    return folder / "a.h5"


def test_later_spikes_are_the_same_as_those_of_all(file):
    with Results(file) as found:
        every = found.all_spikes()
        for since in (0.0, 0.1, 133.7, 399.9, 400.0, 1e6):
            for name, train in found.all_spikes(since).items():
                later = every[name].times > since
                np.testing.assert_array_equal(train.times, every[name].times[later])
                np.testing.assert_array_equal(train.neurons, every[name].neurons[later])
                assert train.start == min(since, 400.0)


def test_every_spike_has_a_dot(file):
    with Results(file) as found:
        shown = view.View(found)
        text = "".join(row.plain for row in watch.raster(shown, 40, 14))
        dots = sum(bin(ord(letter) - 0x2800).count("1") for letter in text)
        places = set()
        first = 0
        for one in shown.trains.values():
            y = (one.train.neurons + first) * 56 // 55
            x = np.minimum((one.train.times / 400 * 80).astype(int), 79)
            places |= set(zip(y.tolist(), x.tolist(), strict=True))
            first += one.high
    assert dots == len(places) > 100


def test_a_look_fits_the_terminal_and_says_how_far_the_run_is(file):
    with Results(file) as found:
        look = watch.of(found, 200.0, (60, 20))
    lines = look.text.plain.rstrip("\n").split("\n")
    assert look.complete and len(lines) <= 20 and max(map(len, lines)) <= 60
    assert lines[0].startswith("all kinds  400 ms of 400 ms, 100%")
    assert any(line.startswith("E ") and " Hz " in line for line in lines)


def test_bars_are_as_high_as_values():
    assert watch.bars(np.array([0.0, 4.0, 8.0]), 10) == " ▄█"
    assert watch.bars(np.zeros(3), 10) == "   " and watch.bars(np.zeros(0), 10) == ""


def test_a_file_is_busy_while_it_is_written(tmp_path):
    path = tmp_path / "x"
    assert not busy(path)
    store = Store(path, new=True)
    assert busy(path)
    store.close()
    assert not busy(path)


def test_following_ends_with_the_run_and_when_nobody_writes(file, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "EVERY", 0.01)
    assert watch.follow(file, lambda: True) is True
    stopped = partial_path(tmp_path / "b.h5")
    stopped.write_bytes(file.read_bytes())
    with h5py.File(stopped, "r+") as half:
        half.attrs["status"] = "partial"
    assert watch.follow(tmp_path / "b.h5", lambda: True) is False


def test_no_terminal_means_no_viewer(tmp_path):
    with watched(tmp_path / "a.h5", True) as shown:
        assert shown is False
    with pytest.raises(OSError, match="of the run"), watched(tmp_path / "a.h5", True):
        raise OSError("of the run")


def test_a_page_comes_from_this_machine_for_this_machine(file):
    address = []
    started = threading.Event()

    def ready(where):
        address.append(where)
        started.set()

    threading.Thread(target=server.serve, args=(file, 0, ready), daemon=True).start()
    assert started.wait(10)

    def get(path, **headers):
        with urllib.request.urlopen(urllib.request.Request(address[0] + path, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()

    code, text = get("")
    assert code == 200 and "connect-src 'self'" in text and '<body class="live">' in text
    code, text = get("body?")
    facts = json.loads(text)
    assert facts["complete"] and facts["title"] == "all kinds" and "<section" in facts["html"]
    assert get("body?" + urllib.request.quote(facts["stamp"]))[0] == 204
    for path, headers, expected in (("x", {}, 404), ("", {"Host": "evil.example:80"}, 403)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(path, **headers)
        assert refused.value.code == expected
        refused.value.close()
