"""``mmap`` over copies: a file of the guest lies in the interpreter's memory already, and cannot lie there twice.

What is written to a map is written to its file at once, or with the next ``flush`` if it was written through a view.
What is written to the file by other ways is not seen in maps that exist.
"""

import errno
import operator
import os
from collections.abc import Iterator
from typing import Any

ACCESS_DEFAULT, ACCESS_READ, ACCESS_WRITE, ACCESS_COPY = range(4)
ALLOCATIONGRANULARITY = PAGESIZE = 4096
MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_ANON, MAP_NORESERVE, MAP_POPULATE = 1, 2, 32, 32, 16384, 32768
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
error = OSError
_ACCESSES = ("ACCESS_DEFAULT", "ACCESS_READ", "ACCESS_WRITE", "ACCESS_COPY")


class mmap:
    """A file, or nothing, as bytes that can be changed in place."""

    __module__ = "mmap"

    def __new__(
        cls,
        fileno: int,
        length: int,
        flags: int = MAP_SHARED,
        prot: int = PROT_READ | PROT_WRITE,
        access: int = ACCESS_DEFAULT,
        offset: int = 0,
        *,
        trackfd: bool = True,
    ) -> Any:
        """Map so many bytes of an open file, all of it for 0; of none for the file number -1."""
        length, offset, made = operator.index(length), operator.index(offset), super().__new__(cls)
        if length < 0:
            raise OverflowError("memory mapped length must be positive")
        if offset < 0:
            raise OverflowError("memory mapped offset must be positive")
        if access != ACCESS_DEFAULT and (flags != MAP_SHARED or prot != PROT_READ | PROT_WRITE):
            raise ValueError("mmap can't specify both access and flags, prot.")
        if access not in range(4):
            raise ValueError("mmap invalid access parameter.")
        if offset % ALLOCATIONGRANULARITY:
            raise OSError(errno.EINVAL, "Invalid argument")
        made._access, made._offset, made._place, made._file, made._is_tracked = access, offset, 0, -1, trackfd
        made._is_readonly = access == ACCESS_READ or not prot & PROT_WRITE
        made._is_shared = not made._is_readonly and access != ACCESS_COPY and not flags & MAP_PRIVATE
        made._open(fileno, length, flags)
        return made

    def _open(self, fileno: int, length: int, flags: int) -> None:
        self._data: bytearray | None
        if fileno == -1 or flags & MAP_ANONYMOUS:
            if not length:
                raise OSError(errno.EINVAL, "Invalid argument")
            self._data = bytearray(length)
            return
        size = os.fstat(fileno).st_size
        if not length and not size:
            raise ValueError("cannot mmap an empty file")
        if self._offset >= size and not length:
            raise ValueError("mmap offset is greater than file size")
        if self._offset + length > size:
            raise ValueError("mmap length is greater than file size")
        self._data = bytearray(os.pread(fileno, length or size - self._offset, self._offset))
        if self._is_shared:
            os.pwrite(fileno, b"", self._offset)
        self._file = os.dup(fileno)

    def _open_data(self) -> bytearray:
        if self._data is None:
            raise ValueError("mmap closed or invalid")
        return self._data

    def _changeable(self) -> bytearray:
        data = self._open_data()
        if self._is_readonly:
            raise TypeError("mmap can't modify a readonly memory map.")
        return data

    def _changed(self, begin: int, end: int) -> None:
        if self._is_shared and self._file >= 0:
            os.pwrite(self._file, memoryview(self._open_data())[begin:end], self._offset + begin)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._data is None

    def close(self) -> None:
        """Write what views changed, and let go of the bytes. Raises BufferError while there are views."""
        if self._data is None:
            return
        self.flush()
        try:
            self._data.clear()
        except BufferError:
            raise BufferError("cannot close exported pointers exist") from None
        self._data = None
        if self._file >= 0:
            os.close(self._file)

    def __enter__(self) -> Any:
        self._open_data()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_data", None) is not None and self._file >= 0:
            self.flush()
            os.close(self._file)

    def __buffer__(self, flags: int, /) -> memoryview:
        view = memoryview(self._open_data())
        return view.toreadonly() if self._is_readonly else view

    def __len__(self) -> int:
        return len(self._open_data())

    def __iter__(self) -> Iterator[bytes]:
        return (self[place : place + 1] for place in range(len(self)))

    def __contains__(self, item: object) -> bool:
        return any(item == each for each in self)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            places = range(*index.indices(len(self)))
            data = self._open_data()
            near = places.step == 1
            return bytes(data[places.start : places.stop] if near else map(data.__getitem__, places))
        place = self._index(index)
        return self._open_data()[place]

    def __setitem__(self, index: Any, value: Any) -> None:
        data = self._changeable()
        if not isinstance(index, slice):
            place, byte = self._index(index), operator.index(value)
            self._open_data()[place] = byte
            self._changed(place, place + 1)
            return
        places = range(*index.indices(len(data)))
        if len(memoryview(value)) != len(places):
            raise IndexError("mmap slice assignment is wrong size")
        data = self._open_data()
        data[index] = value
        if places:
            self._changed(min(places), max(places) + 1)

    def _index(self, index: Any) -> int:
        # It may close the map.
        place = operator.index(index)
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError("mmap index out of range")
        return place

    def find(self, sub: Any, start: int | None = None, end: int | None = None, /) -> int:
        """Return where these bytes are first, from the place on that was reached; -1 if they are not there."""
        begin, stop = self._bounds(start, end)
        return self._open_data().find(sub, begin, stop)

    def rfind(self, sub: Any, start: int | None = None, end: int | None = None, /) -> int:
        """Return where these bytes are last; -1 if they are not there."""
        begin, stop = self._bounds(start, end)
        return self._open_data().rfind(sub, begin, stop)

    def _bounds(self, start: int | None, end: int | None) -> tuple[int, int]:
        stop = len(self) if end is None else operator.index(end)
        return self._place if start is None else operator.index(start), stop

    def flush(self, offset: int = 0, size: int | None = None, /) -> None:
        """Write to the file what views changed."""
        data = self._open_data()
        size = len(data) - offset if size is None else size
        if offset < 0 or size < 0 or offset + size > len(data):
            raise ValueError("flush values out of range")
        if offset % PAGESIZE:
            raise OSError(errno.EINVAL, "Invalid argument")
        self._changed(offset, offset + size)

    def move(self, dest: int, src: int, count: int, /) -> None:
        """Copy bytes from one place to another."""
        dest, src, count = map(operator.index, (dest, src, count))
        data = self._changeable()
        if min(dest, src, count) < 0 or max(dest, src) + count > len(data):
            raise ValueError("source, destination, or count out of range")
        data[dest : dest + count] = data[src : src + count]
        self._changed(dest, dest + count)

    def read(self, n: int | None = None, /) -> bytes:
        """Return so many bytes from the place on that was reached, all of them for None or less than 0."""
        count = -1 if n is None else operator.index(n)
        begin, length = self._place, len(self)
        self._place = length if count < 0 else min(length, begin + count)
        self._place = max(begin, self._place)
        return self[begin : self._place]

    def read_byte(self) -> int:
        """Return the next byte. Raises ValueError at the end."""
        if self._place >= len(self):
            raise ValueError("read byte out of range")
        self._place += 1
        return int(self[self._place - 1])

    def readline(self) -> bytes:
        """Return the bytes to the end of the line."""
        end = self._open_data().find(b"\n", self._place)
        return self.read(None if end < 0 else end + 1 - self._place)

    def resize(self, newsize: int, /) -> None:
        """Change the number of bytes, and the size of the file."""
        data = self._open_data()
        if not self._is_tracked:
            raise ValueError("resize is not possible without the file")
        if self._access not in (ACCESS_DEFAULT, ACCESS_WRITE) or not self._is_shared:
            raise TypeError("mmap can't resize a readonly or copy-on-write memory map.")
        if newsize < 0 or self._offset + newsize < 0:
            raise ValueError("new size out of range")
        try:
            data.extend(bytes(max(0, newsize - len(data))))
            del data[newsize:]
        except BufferError:
            raise BufferError("mmap can't resize with extant buffers exported.") from None
        if self._file >= 0:
            os.ftruncate(self._file, self._offset + newsize)

    def seek(self, pos: int, whence: int = 0, /) -> int:
        """Go to a place, and return it. Raises ValueError for one that is not there."""
        if whence not in range(3):
            raise ValueError("unknown seek type")
        place = pos + (0, self._place, len(self))[whence]
        if not 0 <= place <= len(self):
            raise ValueError("seek out of range")
        self._place = place
        return place

    def seekable(self) -> bool:
        """Return True."""
        return True

    def size(self) -> int:
        """Return the size of the file; the number of bytes, if there is none."""
        length = len(self)
        if not self._is_tracked:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return os.fstat(self._file).st_size if self._file >= 0 else length

    def tell(self) -> int:
        """Return the place that was reached."""
        self._open_data()
        return self._place

    def write(self, data: Any, /) -> int:
        """Write bytes at the place that was reached, and return their number. Raises ValueError without room."""
        mapped, size = self._changeable(), memoryview(data).nbytes
        if self._place + size > len(mapped):
            raise ValueError("data out of range")
        mapped[self._place : self._place + size] = memoryview(data).cast("B")
        self._place += size
        self._changed(self._place - size, self._place)
        return size

    def write_byte(self, byte: int, /) -> None:
        """Write a byte at the place that was reached. Raises ValueError at the end."""
        value = operator.index(byte)
        if self._place >= len(self._changeable()):
            raise ValueError("write byte out of range")
        self[self._place] = value
        self._place += 1

    def __repr__(self) -> str:
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        if self._data is None:
            return f"<{name} closed=True>"
        shown = f"length={len(self)}, pos={self._place}, offset={self._offset}"
        return f"<{name} closed=False, access={_ACCESSES[self._access]}, {shown}>"
