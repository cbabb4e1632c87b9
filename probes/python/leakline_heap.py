"""How many bytes Python objects hold, asked of the allocators: needs CPython's pymalloc, glibc and ctypes."""

import ctypes


class Heap:
    """Bytes held by Python objects.

    Objects up to 512 bytes live in pymalloc, whose own statistics give their bytes exactly. Larger ones are malloc
    blocks among those of C libraries: their number is exact (all blocks less pymalloc's), their bytes are not.
    malloc's bytes in use are therefore credited to Python as far as they move together with that number, and to C
    libraries otherwise: an unbounded dict of pages is heap, a C library that forgets to free is not. Blocks that go
    take along what they were credited with, last come first gone, so a sawtooth comes back to one floor while the
    credit of a block is still being learnt.
    """

    _LARGE_MIN_BYTES = 513
    _LARGE_MAX_BYTES = 16 << 20
    # The whole lifetime is remembered in at most this many means of ever more readings: the noise of objects that
    # come and go averages out, so even a slow leak shows as a movement together.
    _MAX_POINTS = 120
    # Fewer points move together by chance.
    _MIN_POINTS = 15
    # Another thread may collect between one figure and the next. A malloc that falls short of the blocks so often in a
    # row is not glibc's: a preloaded jemalloc, say.
    _MAX_TORN_IN_A_ROW = 5
    # Gains remembered apart; the two that came first become one beyond.
    _MAX_GAINS = 64

    def __init__(self):
        libc = ctypes.CDLL(None)
        size_fields = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
        self._wraps = not hasattr(libc, "mallinfo2")  # glibc before 2.33 counts in 32 bits
        word = ctypes.c_uint32 if self._wraps else ctypes.c_size_t
        self._mallinfo = libc.mallinfo if self._wraps else libc.mallinfo2
        self._mallinfo.restype = type("_Mallinfo", (ctypes.Structure,), {"_fields_": [(name, word) for name in size_fields]})
        # Keeps the GIL, so that the blocks counted just before are those of the statistics.
        self._open_memstream = ctypes.pythonapi.open_memstream
        self._open_memstream.restype = ctypes.c_void_p
        self._fclose = libc.fclose
        self._fclose.argtypes = [ctypes.c_void_p]
        self._free = libc.free
        self._free.argtypes = [ctypes.c_void_p]
        self._print_stats = ctypes.pythonapi._PyObject_DebugMallocStats
        self._print_stats.argtypes = [ctypes.c_void_p]
        self._malloc_bytes = None
        self._torn_in_a_row = 0
        self._large_bytes = None
        self._history = []
        self._readings_per_point = 1
        self._unfinished = []
        self._last_blocks = 0
        self._gains = []  # [blocks, bytes] of each rise that has not gone again

    def _pymalloc_stats(self):
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        stream = self._open_memstream(ctypes.byref(text), ctypes.byref(size))
        if not stream:
            raise MemoryError
        try:
            self._print_stats(stream)
        finally:
            self._fclose(stream)
            report = ctypes.string_at(text, size.value)
            self._free(text)
        return report

    def _read_malloc(self):
        info = self._mallinfo()
        in_use = info.uordblks + info.hblkhd
        if self._wraps:
            before = in_use & 0xFFFFFFFF if self._malloc_bytes is None else self._malloc_bytes
            in_use = before + ((in_use - before + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        self._malloc_bytes = in_use
        return in_use

    def read(self, blocks):
        """(bytes in use, bytes held from the system) of sys.getallocatedblocks() blocks; None where these changed meanwhile."""
        small, arenas, small_blocks = _parse_pymalloc(self._pymalloc_stats())
        large_blocks = max(0, blocks - small_blocks)
        malloc = self._read_malloc()
        if malloc < large_blocks * self._LARGE_MIN_BYTES:
            self._torn_in_a_row += 1
            if self._torn_in_a_row == self._MAX_TORN_IN_A_ROW:
                raise OSError("malloc is not glibc's")
            return None
        self._torn_in_a_row = 0
        self._credit(large_blocks, malloc)
        return small + int(self._large_bytes), arenas + int(self._large_bytes)

    @property
    def knows_large_blocks(self):
        """False in the first readings, when large blocks that came are not credited yet."""
        return len(self._history) >= self._MIN_POINTS

    def _credit(self, blocks, malloc):
        if self._large_bytes is None:
            self._large_bytes = malloc  # so early nearly all of it is the interpreter's
        is_first_credit = self._remember(blocks, malloc) and len(self._history) == self._MIN_POINTS and self._readings_per_point == 1
        if self.knows_large_blocks:
            before = self._history[0][0] if is_first_credit else self._last_blocks
            self._move(int(blocks - before), _slope_if_together(self._history, self._LARGE_MAX_BYTES))
        self._last_blocks = blocks
        self._correct(min(max(self._large_bytes, blocks * self._LARGE_MIN_BYTES), malloc) - self._large_bytes)

    def _move(self, blocks, bytes_per_block):
        while blocks < 0 and self._gains:
            last = self._gains[-1]
            gone = min(-blocks, last[0])
            gone_bytes = last[1] * gone / float(last[0])
            self._large_bytes -= gone_bytes
            blocks += gone
            if gone == last[0]:
                self._gains.pop()
            else:
                self._gains[-1] = [last[0] - gone, last[1] - gone_bytes]
        self._large_bytes += blocks * bytes_per_block
        if blocks > 0:
            self._gains.append([blocks, blocks * bytes_per_block])
            if len(self._gains) > self._MAX_GAINS:
                first, second = self._gains[:2]
                self._gains[:2] = [[first[0] + second[0], first[1] + second[1]]]

    def _correct(self, byte_change):
        self._large_bytes += byte_change
        if self._gains:  # so that it goes with the blocks that came last
            self._gains[-1][1] = max(0.0, self._gains[-1][1] + byte_change)

    def _remember(self, blocks, malloc):
        """True when this reading completed a point."""
        self._unfinished.append((blocks, malloc))
        if len(self._unfinished) < self._readings_per_point:
            return False
        self._history.append(_mean(self._unfinished))
        self._unfinished = []
        if len(self._history) == self._MAX_POINTS:
            self._history = [_mean(self._history[at : at + 2]) for at in range(0, self._MAX_POINTS, 2)]
            self._readings_per_point *= 2
        return True


def _mean(points):
    return sum(x for x, _ in points) / float(len(points)), sum(y for _, y in points) / float(len(points))


def _slope_if_together(points, limit):
    """Bytes per block by least squares; 0 unless the two move together (r squared from 0.25, fully from 0.75)."""
    mean_x, mean_y = _mean(points)
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    yy = sum((y - mean_y) ** 2 for _, y in points)
    xy = sum((x - mean_x) * (y - mean_y) for x, y in points)
    if xx == 0 or yy == 0 or xy <= 0:
        return 0.0
    together = min(max((xy * xy / (xx * yy) - 0.25) / 0.5, 0.0), 1.0)
    return min(together * xy / xx, limit)


def _parse_pymalloc(report):
    """(bytes in blocks, bytes of arenas, blocks) of the text of sys._debugmallocstats()."""
    in_use = arenas = None
    blocks = 0
    for line in report.split(b"\n"):
        words = line.replace(b",", b"").split()
        if len(words) == 5 and words[0].isdigit() and words[3].isdigit():
            blocks += int(words[3])
        elif line.startswith(b"# bytes in allocated blocks"):
            in_use = int(words[-1])
        elif b"bytes/arena" in line:
            arenas = int(words[-1])
    if in_use is None or arenas is None:
        raise ValueError("pymalloc is off")
    return in_use, arenas, blocks
