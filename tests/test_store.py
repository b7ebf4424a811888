"""A results file changes in one go, whatever ends the process that writes it."""

import errno
import os

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnrun.results import store
from snnrun.results.store import PAGE, Busy, Store, journal_path, recover

lengths = st.one_of(st.integers(0, 40), st.integers(PAGE - 30, PAGE + 30), st.integers(0, 3 * PAGE))
operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 4 * PAGE), lengths),
        st.tuples(st.just("read"), st.integers(0, 6 * PAGE), lengths),
        st.tuples(st.just("commit"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


class Killed(BaseException):
    """Stands for the end of the process: nothing more is done."""


def dead(opened: Store) -> None:
    """What the system does for a process that is no more."""
    os.close(opened._file)
    os.close(opened._journal)


@settings(max_examples=150, deadline=None)
@given(steps=operations, killed_at=st.integers(0, 30), part=st.floats(0, 1), durable=st.booleans())
def test_a_file_is_what_was_committed_whenever_its_writer_dies(tmp_path_factory, steps, killed_at, part, durable):
    """Held against an array of bytes; the system's n-th write is cut short, and is the last one."""
    path = tmp_path_factory.mktemp("store") / "file"
    now, committed, written, real, counter = bytearray(), b"", 0, os.pwrite, iter(range(10**6))

    def pwrite(file, data, at):
        if next(counter) == killed_at:
            real(file, memoryview(data)[: int(part * len(data))], at)
            raise Killed
        return real(file, data, at)

    opened, alive, possible = Store(path, True, durable), True, [b""]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.os, "pwrite", pwrite)
        for what, at, size in steps:
            if what == "write":
                at = min(at, len(now))  # HDF5 leaves no holes that it would read
                data = bytes((written + i) % 251 for i in range(size))
                written += size
                opened.seek(at)
                assert opened.write(data) == size
                now[at : at + size] = data
            elif what == "read":
                opened.seek(at)
                if opened._error is None:
                    assert opened.read(size) == bytes(now[at : at + size])
            else:
                possible = [committed, bytes(now)]
                try:
                    opened.commit()
                except Killed:
                    alive = False
                    break
                committed = bytes(now)
                possible = [committed]
    dead(opened)
    recover(path)
    found = path.read_bytes()
    assert any(found[: len(one)] == one for one in possible), "neither the last commit nor the one before"
    if alive:
        assert found[: len(committed)] == committed
    assert not journal_path(path).exists()


def filled(opened: Store, rounds: int, committed: list[int]) -> None:
    """Write growing datasets and attributes as a run does; note each round that was committed."""
    file = h5py.File(opened, "w", libver=("v108", "v108"))
    try:
        data = [file.create_dataset(n, (0,), "f8", maxshape=(None,), chunks=(64,), fletcher32=True) for n in "ab"]
        for number in range(rounds):
            for values in data:
                values.resize(100 * (number + 1), axis=0)
                values[-100:] = number
            file.attrs["reached"] = number
            file.create_group(f"group{number}").attrs["text"] = "x" * 3000
            file.flush()
            opened.commit()
            committed.append(number)
    finally:
        opened.drop()
        file.close()
        opened.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_hdf5_does_not_learn_of_a_write_that_failed_and_the_last_commit_can_be_read(tmp_path, monkeypatch, code):
    """For every n the n-th write fails, and all after it."""
    real, failures = os.pwrite, 0
    for n in range(10**6):
        path, committed, counter = tmp_path / f"{n}.h5", [], iter(range(10**6))

        def pwrite(file, data, at, counter=counter, n=n):
            if next(counter) >= n:
                raise OSError(code, os.strerror(code))
            return real(file, data, at)

        monkeypatch.setattr(store.os, "pwrite", pwrite)
        try:
            filled(Store(path, True), 4, committed)
            break
        except OSError as error:
            assert error.errno == code
            failures += 1
        finally:
            monkeypatch.setattr(store.os, "pwrite", real)
        recover(path)
        if committed:
            with h5py.File(path) as file:
                last = committed[-1]
                assert file.attrs["reached"] in (last, last + 1)  # a whole journal that could not be put into the file
                last = int(file.attrs["reached"])
                for name in "ab":
                    np.testing.assert_array_equal(file[name][:], np.repeat(np.arange(last + 1), 100))
        assert not journal_path(path).exists()
    assert failures > 15 and committed == [0, 1, 2, 3]


def test_only_one_writes_a_file_and_others_may_read_it(tmp_path):
    path = tmp_path / "file.h5"
    opened = Store(path, True)
    with pytest.raises(Busy):
        Store(path, False)
    file = h5py.File(opened, "w", libver=("v108", "v108"))
    file["x"] = [1, 2]
    file.flush()
    opened.commit()
    recover(path)  # leaves alone what is being written
    assert journal_path(path).exists()
    with h5py.File(path) as other:
        assert list(other["x"]) == [1, 2]
    file.close()
    opened.commit()
    opened.close()
    assert not journal_path(path).exists()
    Store(path, False).close()


@pytest.mark.parametrize("what", ["removed", "replaced", "cut short"])
def test_a_file_that_others_tamper_with_is_said_to_be(tmp_path, what):
    path = tmp_path / "file"
    opened = Store(path, True)
    opened.write(b"x" * 10_000)
    opened.commit()
    if what == "cut short":
        os.truncate(path, 5)
    else:
        path.unlink()
        if what == "replaced":
            path.write_bytes(b"something else")
    opened.write(b"y")
    with pytest.raises(OSError, match=what):
        opened.commit()
    opened.close()
    if what == "replaced":
        assert path.read_bytes() == b"something else"


def test_a_file_that_was_cut_short_and_grows_again_is_said_to_be(tmp_path):
    opened = Store(tmp_path / "file", True)
    opened.write(b"x" * 10_000)
    opened.commit()
    os.truncate(tmp_path / "file", 5)
    opened.write(b"y" * 20_000)
    with pytest.raises(OSError, match="cut short"):
        opened.commit()
    opened.close()


def test_a_ctrl_c_within_a_write_is_raised_by_the_commit(tmp_path, monkeypatch):
    opened = Store(tmp_path / "file", True)
    monkeypatch.setattr(store.os, "pwrite", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert opened.write(b"abc") == 3
    with pytest.raises(KeyboardInterrupt):
        opened.commit()
