"""A file that changes in one go: what is written becomes part of it with `commit`, wholly or not at all.

HDF5 keeps its own structure here and there in a file and overwrites it as the file grows. A process that is killed between two
of these writes, or a disk that fills up, would leave a file that nobody can read. So what would overwrite something is held in
memory, page by page, until a commit: it then goes into a journal beside the file, and from there into the file. Who finds a whole
journal puts it into the file; a journal that is not whole belongs to a commit that never was. What only makes the file longer is
written at once, since nothing that has been committed refers to it.

HDF5 writes through this as through a Python file (h5py's driver `fileobj`), and never learns of an error, because it may crash
when it closes a file that it could not write. The error is raised by the next commit instead.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = 4096
_HEAD = struct.Struct("<8sqI")  # magic, number of pages, checksum of what follows: numbers of the pages, and the pages
_MAGIC = b"snnrun-1"


class Busy(OSError):
    """A file that another process writes."""


def journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


class Store:
    """A file for h5py, opened for reading and writing. One process has it at a time: it holds a lock on the journal.

    A `new` one takes the place of what is there. With `durable` commits also survive a loss of power. Raises Busy, and OSError
    for what the system says.
    """

    def __init__(self, path: Path, new: bool, durable: bool = False) -> None:
        self.path, self._durable = path, durable
        self._journal = _locked(journal_path(path))
        try:
            if new:
                os.ftruncate(self._journal, 0)
                path.unlink(missing_ok=True)
            else:
                _replay(self._journal, path)
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if new else 0), 0o666)
        except BaseException:
            self._release()
            raise
        self._at = 0
        self._end = self._committed = self._length = os.fstat(self._file).st_size  # the last is what has been written so far
        self._pages: dict[int, bytearray] = {}  # what is not in the file yet
        self._error: BaseException | None = None

    # ---- what h5py calls: nothing here raises

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        buffer = bytearray(max(self._end - self._at, 0) if size < 0 else size)
        return bytes(buffer[: self.readinto(buffer)])

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            got = self._get(self._at, view)
        except BaseException as error:
            got, self._error = len(view), self._error or error
        self._at += got
        return got

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            self._put(self._at, view)
        except BaseException as error:
            self._error = self._error or error
        self._at += len(view)
        self._end = max(self._end, self._at)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._end = self._at if size is None else size
        return self._end

    def flush(self) -> None:
        pass

    # ---- what its owner calls

    def commit(self) -> None:
        """Let everything written so far be part of the file. Raises what has gone wrong since the last commit."""
        if self._error is None:
            try:
                self._commit()
            except BaseException as error:
                self._error = error
        if self._error is not None:
            raise self._error

    def _commit(self) -> None:
        self._there()
        pages = sorted(self._pages)
        if pages:
            body = struct.pack(f"<{len(pages)}q", *pages) + b"".join(self._pages[page] for page in pages)
            if self._durable:
                os.fsync(self._file)  # what the pages refer to
            _written(self._journal, _HEAD.pack(_MAGIC, len(pages), zlib.crc32(body)) + body, 0)
            if self._durable:
                os.fsync(self._journal)
        self._committed = max(self._committed, self._end)  # from here on a journal that is whole will be put into the file
        if pages:
            _apply(self._journal, self._file)
            self._pages.clear()
            if self._durable:
                os.fsync(self._file)
            os.ftruncate(self._journal, 0)

    @property
    def uncommitted(self) -> int:
        """By how many bytes the file is longer than at the last commit."""
        return self._end - self._committed

    def sync(self) -> None:
        """Have the system put on the disk what has been committed."""
        os.fsync(self._file)

    def drop(self) -> None:
        """Forget what has not been committed, and whatever is written from now on."""
        self._error = self._error or BrokenPipeError("dropped")

    def close(self) -> None:
        """Let go of the file as it was at the last commit."""
        try:
            if os.fstat(self._file).st_size > self._committed:
                os.ftruncate(self._file, self._committed)
            if os.fstat(self._journal).st_size:
                _apply(self._journal, self._file)  # of a commit that failed half way
            journal_path(self.path).unlink(missing_ok=True)
        except OSError:
            pass  # what is in the journal is put into the file by whoever opens it next
        os.close(self._file)
        self._release()

    def _release(self) -> None:
        os.close(self._journal)  # and with it the lock

    # ---- reading and writing

    def _held(self, at: int, size: int) -> Iterator[tuple[int, int, int]]:
        """(page, first byte in it, bytes) of each page that a range touches."""
        while size:
            page, first = divmod(at, PAGE)
            count = min(PAGE - first, size)
            yield page, first, count
            at, size = at + count, size - count

    def _put(self, at: int, data: memoryview) -> None:
        # a page that was committed in part is held as a whole
        kept = -(-self._committed // PAGE) * PAGE
        held = len(data) if self._error is not None else max(0, min(kept - at, len(data)))
        if held < len(data):
            try:
                self._whole()
                _written(self._file, data[held:], at + held)
                self._length = max(self._length, at + len(data))
            except OSError as error:  # HDF5 may want to read it again before it is done
                self._error, held = error, len(data)
        done = 0
        for page, first, count in self._held(at, held):
            if page not in self._pages:
                self._pages[page] = bytearray(PAGE)
                if count < PAGE:
                    self._read(page * PAGE, memoryview(self._pages[page]))
            self._pages[page][first : first + count] = data[done : done + count]
            done += count

    def _get(self, at: int, view: memoryview) -> int:
        size = max(min(len(view), self._end - at), 0)
        self._read(at, view[:size])
        done = 0
        for page, first, count in self._held(at, size):
            if page in self._pages:
                view[done : done + count] = self._pages[page][first : first + count]
            done += count
        return size

    def _read(self, at: int, view: memoryview) -> None:
        """Bytes of the file; zeros beyond its end."""
        while view and (got := os.preadv(self._file, [view], at)):
            at, view = at + got, view[got:]
        view[:] = bytes(len(view))

    def _there(self) -> None:
        """That the file is still the one that was opened, as long as it was."""
        mine = os.fstat(self._file)
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise FileNotFoundError(None, "it was removed while the run was going on") from None
        if (mine.st_dev, mine.st_ino) != (found.st_dev, found.st_ino):
            raise FileExistsError(None, "it was replaced while the run was going on")
        self._whole()

    def _whole(self) -> None:
        """That the file is as long as it was made; looked at before it is made longer, which would hide that it was not."""
        if os.fstat(self._file).st_size < self._length:
            raise OSError(None, "it was cut short by somebody else while the run was going on")


def recover(path: Path) -> None:
    """Put a commit that was cut short into its file, unless the file is being written. Does nothing where there is no journal."""
    if not journal_path(path).exists():
        return
    try:
        journal = _locked(journal_path(path))
    except OSError:
        return  # whoever holds it looks after it; and who may not write may read what there is
    try:
        _replay(journal, path)
        journal_path(path).unlink(missing_ok=True)
    except OSError:
        pass
    finally:
        os.close(journal)


def busy(path: Path) -> bool:
    """Whether a process is writing this file; False where that cannot be known."""
    try:
        journal = os.open(journal_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(journal, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(journal)
    return False


def remove(path: Path) -> None:
    """Remove a file, with its journal."""
    for part in (path, journal_path(path)):
        part.unlink(missing_ok=True)


def _locked(path: Path) -> int:
    """A journal with a lock on it. Raises Busy. File systems without locks do without."""
    while True:
        journal = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(journal)
            raise Busy(f"{path} is locked") from None
        except OSError:
            pass
        try:
            found = path.stat()
        except FileNotFoundError:
            found = None
        mine = os.fstat(journal)
        if found is not None and (mine.st_dev, mine.st_ino) == (found.st_dev, found.st_ino):
            return journal
        os.close(journal)  # whoever held the lock has just removed it


def _replay(journal: int, path: Path) -> None:
    """Apply a journal that is whole, and empty it."""
    if os.fstat(journal).st_size and path.exists():
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            _apply(journal, file)
            os.fsync(file)
        finally:
            os.close(file)
    os.ftruncate(journal, 0)


def _apply(journal: int, file: int) -> None:
    """Write the pages of a journal into the file, if it is whole."""
    size = os.fstat(journal).st_size
    content = bytearray(size)
    view = memoryview(content)
    while view and (got := os.preadv(journal, [view], size - len(view))):
        view = view[got:]
    if view or size < _HEAD.size:
        return
    magic, count, checksum = _HEAD.unpack_from(content)
    first = _HEAD.size + 8 * count
    length = first + PAGE * count - _HEAD.size
    body = memoryview(content)[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or count < 0 or len(body) < length or zlib.crc32(body) != checksum:
        return
    pages, begin = struct.unpack_from(f"<{count}q", content, _HEAD.size), 0
    for i in range(1, count + 1):  # pages side by side go in one piece
        if i == count or pages[i] != pages[i - 1] + 1:
            _written(file, memoryview(content)[first + begin * PAGE : first + i * PAGE], pages[begin] * PAGE)
            begin = i


def _written(file: int, data: Any, at: int) -> None:
    """Write all of some bytes. Raises OSError."""
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, at)
        at, view = at + done, view[done:]
