"""Leakline's probe for CPython 3.8 and newer: PYTHONPATH=/path/to/probes/python, or `import leakline`.

Every interval a background thread writes one JSON line about memory and garbage collection to the agent's unix
socket. It promises the app: no dependency, no exception, no output, no wait, nothing that outlives it, no memory
that grows. What the agent cannot take at once is dropped.
"""

import gc
import os
import sys
from _socket import AF_UNIX, MSG_NOSIGNAL, SOCK_STREAM, socket
from _thread import allocate_lock, get_native_id, start_new_thread
from time import monotonic, perf_counter, sleep, thread_time

_FIRST_REPORT_SECONDS = 0.25
_DEFAULT_INTERVAL_SECONDS = 10.0
_HELLO_POLL_SECONDS = 0.05
_HELLO_PATIENCE_SECONDS = 2.0
_MIN_BACKOFF_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 30.0
# Longest wait of a fork for the thread to step out of the way; it never does anything that blocks.
_STOP_PATIENCE_SECONDS = 2.0
# Reading the allocators takes 0.1 ms for small heaps and 1 to 8 us a MiB; it may take this share of the time.
_HEAP_READING_SHARE = 0.001
# A gc callback costs ~2.4 us a collection. Above this rate it listens for a part of each interval and scales up.
_OBSERVED_GC_PER_SECOND = 200.0


class _Collections:
    """Counts and times garbage collections; calls on_full right after a full one, in the thread that collected."""

    def __init__(self, on_full):
        self._on_full = on_full
        self._base = self._counts()
        self._last_total = 0
        self._weight = 1.0
        self._started = 0.0
        self.pause_seconds = 0.0
        gc.callbacks.append(self._on_gc)

    @staticmethod
    def _counts():
        stats = gc.get_stats()
        return sum(generation["collections"] for generation in stats), stats[-1]["collections"]

    def _on_gc(self, phase, info):
        # Runs inside the app's thread at any allocation: waits for no lock, allocates next to nothing.
        if phase == "start":
            self._started = perf_counter()
            return
        self.pause_seconds += (perf_counter() - self._started) * self._weight
        if info["generation"] == 2:
            self._on_full()

    def totals(self):
        total, full = self._counts()
        return total - self._base[0], full - self._base[1]

    def next_interval(self, seconds):
        """Chooses how much of the next interval is observed; returns that many seconds, None for all of it."""
        total = self.totals()[0]
        rate = (total - self._last_total) / seconds
        self._last_total = total
        share = min(1.0, _OBSERVED_GC_PER_SECOND / max(rate, _OBSERVED_GC_PER_SECOND))
        self._weight = 1.0 / share
        if self._on_gc not in gc.callbacks:
            gc.callbacks.append(self._on_gc)
        return None if share == 1.0 else seconds * share

    def rest(self):
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)


class _Reporter:
    """The background thread of one process."""

    def __init__(self, heap=None):
        self._wake = allocate_lock()
        self._wake.acquire()
        self._done = allocate_lock()
        self._done.acquire()
        self._running = False
        self._tid = None
        self._stopping = False
        self._due = monotonic() + _FIRST_REPORT_SECONDS
        self._rest_at = None
        self.heap = heap
        self._reading = None
        self._reading_due = 0.0
        self._read_ahead = False
        self._reading_lock = allocate_lock()
        self._heap_used = 0
        self._heap_live = None
        self._socket = None
        self._hello = b""
        self._fixed_interval = _interval(os.environ.get("LEAKLINE_INTERVAL_MS"))
        self._interval = self._fixed_interval or _DEFAULT_INTERVAL_SECONDS
        self._backoff = _MIN_BACKOFF_SECONDS
        self._constant = None
        self.collections = _Collections(self._on_full_collection)

    def start(self):
        self._stopping = False
        if not self._running:
            self._running = True
            start_new_thread(self._run, ())

    def stop(self):
        """Returns when the thread is gone, so that a fork finds no other thread and no lock held."""
        self._stopping = True
        try:
            self._wake.release()
        except RuntimeError:
            pass
        if not self._running or not self._done.acquire(True, _STOP_PATIENCE_SECONDS):
            return
        self._running = False
        task = "/proc/self/task/%d" % self._tid
        for _ in range(1000):
            if not os.path.exists(task):
                break
            sleep(0.0001)

    def close(self):
        self.collections.rest()
        self._disconnect()

    def _run(self):
        self._tid = get_native_id()
        try:
            self._loop()
        except BaseException:
            self.collections.rest()
        finally:
            self._done.release()

    def _loop(self):
        while not self._stopping:
            until = self._due if self._rest_at is None else min(self._due, self._rest_at)
            self._wake.acquire(True, max(0.0, until - monotonic()))
            if self._stopping:
                return
            now = monotonic()
            if self._rest_at is not None and now >= self._rest_at:
                self._rest_at = None
                self.collections.rest()
            if now >= self._due:
                delay, reported = self._tick()
                self._due = now + delay
                if reported:
                    observed = self.collections.next_interval(delay)
                    self._rest_at = None if observed is None else now + observed

    def _tick(self):
        """(seconds to the next tick, whether a line was sent)."""
        try:
            if self._socket is None:
                self._connect()
                return _HELLO_POLL_SECONDS, False
            self._receive()
            if self._hello_due > monotonic():
                return _HELLO_POLL_SECONDS, False
            line = self._line()
            if self._socket.send(line, MSG_NOSIGNAL) != len(line):
                raise OSError("the agent is slow")
            self._backoff = _MIN_BACKOFF_SECONDS
            return self._interval, True
        except OSError:
            self._disconnect()
            delay = self._backoff * (0.5 + os.urandom(1)[0] / 255)
            self._backoff = min(self._backoff * 2, _MAX_BACKOFF_SECONDS)
            return delay, False

    def _connect(self):
        path = os.environ.get("LEAKLINE_SOCKET") or "/tmp/leakline-%d/agent.sock" % os.getuid()
        self._socket = socket(AF_UNIX, SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.connect(path)
        self._hello = b""
        self._hello_due = monotonic() + _HELLO_PATIENCE_SECONDS

    def _receive(self):
        try:
            heard = self._socket.recv(4096)
        except BlockingIOError:
            return
        if not heard:
            raise OSError("the agent is gone")
        if self._hello_due == 0.0 or len(self._hello) > 4096:
            return
        self._hello += heard
        if b"\n" in self._hello:
            told = _interval(self._hello.partition(b'"interval_ms":')[2].partition(b"}")[0].partition(b",")[0])
            self._interval = self._fixed_interval or told or self._interval
            self._hello_due = 0.0

    def _disconnect(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _on_full_collection(self):
        # Here and not in the reporter's thread: by the time that has its turn, the app has made new garbage. And ahead of time, once
        # before the reporter's next turn, which asks oftener and would take them all.
        if self.heap and self._read_heap(not self._read_ahead) and self.heap.knows_large_blocks:
            self._heap_live = self._heap_used

    def _read_heap(self, ahead=False):
        """Takes a reading if its share of the time allows, or on credit. False where the heap was not read, but its blocks perhaps."""
        # A full collection of another thread finds it held only while the libc functions run, without the GIL.
        if (monotonic() < self._reading_due and not ahead) or not self._reading_lock.acquire(False):
            return False
        try:
            # CPU time, not time passed: waiting for a core or for the GIL costs the app nothing.
            started = thread_time()
            blocks = sys.getallocatedblocks()
            self._reading = '"objects":%d' % blocks
            heap = self.heap.read(blocks) if self.heap else None
            if heap:
                self._heap_used, committed = heap
                self._reading += ',"heap_used":%d,"heap_committed":%d' % (self._heap_used, committed)
            self._reading_due = max(monotonic(), self._reading_due) + (thread_time() - started) / _HEAP_READING_SHARE
            self._read_ahead = ahead
            return heap is not None
        except Exception:
            self.heap = False
            return False
        finally:
            self._reading_lock.release()

    def _line(self):
        if self._constant is None:
            self._constant = _identity()
        count, full_count = self.collections.totals()
        fields = [
            self._constant,
            '"gc_count":%d,"gc_full_count":%d,"gc_pause_seconds":%.6f' % (count, full_count, self.collections.pause_seconds),
        ]
        if self.heap is None:
            self.heap = _open_heap()
        self._read_heap()
        if self._reading is not None:
            fields.append(self._reading)
            self._reading = None
        if self._heap_live is not None:
            fields.append('"heap_live":%d' % self._heap_live)
        return ("{%s}\n" % ",".join(fields)).encode()


def _open_heap():
    # Imported this late, ctypes costs short programs nothing.
    try:
        from leakline_heap import Heap

        return Heap()
    except Exception:
        return False  # no ctypes, or no glibc


def _interval(text):
    try:
        seconds = float(text) / 1000
    except (TypeError, ValueError):
        return None
    return seconds if 0.1 <= seconds <= 3600 else None


def _identity():
    """The start time in clock ticks since boot names, with the pid, this process for the agent."""
    from json import dumps

    with open("/proc/self/stat", "rb") as stat:
        start_ticks = int(stat.read().rpartition(b")")[2].split()[19])
    env = os.environ
    attributes = dict(pair.split("=", 1) for pair in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",") if "=" in pair)
    known = {
        "v": 1,
        "pid": os.getpid(),
        "start_ticks": start_ticks,
        "runtime": "python",
        "runtime_version": "%d.%d.%d" % sys.version_info[:3],
        "service": env.get("LEAKLINE_SERVICE") or env.get("OTEL_SERVICE_NAME") or attributes.get("service.name"),
        "environment": env.get("LEAKLINE_ENVIRONMENT")
        or attributes.get("deployment.environment.name")
        or attributes.get("deployment.environment"),
        "version": env.get("LEAKLINE_VERSION") or attributes.get("service.version"),
        "instance": env.get("LEAKLINE_INSTANCE") or attributes.get("service.instance.id"),
    }
    return dumps({name: value for name, value in known.items() if value})[1:-1]


_reporter = None


def _start(heap=None):
    global _reporter
    _reporter = _Reporter(heap)
    _reporter.start()


def _before_fork():
    _reporter.stop()


def _after_fork_in_parent():
    _reporter.start()


def _after_fork_in_child():
    _reporter.close()
    _start(_reporter.heap)


def _at_exit():
    _reporter.stop()


if sys.implementation.name == "cpython" and sys.platform == "linux":
    try:
        import atexit

        _start()
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
        atexit.register(_at_exit)
    except Exception:
        pass
