import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Leaks from the middle of the run on: each request leaves its trace in a ThreadLocal of a pooled thread, which never ends. */
public class ThreadLocals {
    private static final ThreadLocal<List<byte[]>> TRACE = ThreadLocal.withInitial(ArrayList::new);
    private static boolean isTold;

    public static void main(String[] arguments) throws InterruptedException {
        double traceBytes = Service.number("TRACE_KIB", 8) * Service.KIB;
        double perSecond = Service.number("REQUESTS_PER_SECOND", 20);
        double onsetSeconds = Service.number("ONSET_SECONDS", 240);
        ExecutorService pool = Executors.newFixedThreadPool(4);
        Service.load(seconds -> perSecond, seconds -> {
            byte[] trace = Service.bytes(traceBytes);
            byte[] page = Service.bytes(60 * Service.KIB);
            if (seconds >= onsetSeconds && !isTold) {
                isTold = true;
                Service.tellLeak("heap", perSecond * traceBytes);
            }
            pool.execute(() -> {
                TRACE.get().add(trace);
                page[0] = 1;
                if (seconds < onsetSeconds) {
                    TRACE.remove();
                }
            });
        });
    }
}
