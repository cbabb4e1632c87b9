import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.function.DoubleConsumer;
import java.util.function.DoubleUnaryOperator;

/** What every JVM program here shares: parameters, seeded chance, a beat that never loses load, and the truth it tells of itself. */
final class Service {
    static final int KIB = 1024;
    static final int MIB = 1024 * KIB;
    static final Random CHANCE = new Random((long) number("SEED", 1));
    private static final long LIMIT_BYTES = (long) (number("LIMIT_MIB", 200) * MIB);
    private static final int BEAT_MS = 100;

    private Service() {}

    static double number(String name, double otherwise) {
        String value = System.getenv(name);
        return value == null ? otherwise : Double.parseDouble(value);
    }

    /** About so many bytes, from half to half again as many. */
    static byte[] bytes(double size) {
        return new byte[(int) (size * (0.5 + CHANCE.nextDouble()))];
    }

    /** Calls work(seconds since start) once per unit of load, for ever; a late beat makes up for what it missed. */
    static void load(DoubleUnaryOperator perSecond, DoubleConsumer work) throws InterruptedException {
        long start = System.nanoTime();
        double last = 0;
        double owed = 0;
        while (true) {
            Thread.sleep(BEAT_MS);
            double seconds = (System.nanoTime() - start) / 1e9;
            owed += (seconds - last) * perSecond.applyAsDouble(seconds) * (0.5 + CHANCE.nextDouble());
            last = seconds;
            for (; owed >= 1; owed--) {
                work.accept(seconds);
            }
        }
    }

    static void tellHealthy() {
        System.out.printf("{\"leak\":false,\"limitBytes\":%d}%n", LIMIT_BYTES);
    }

    /** Told at the moment the leak begins; the recorder notes when the limit is really reached. */
    static void tellLeak(String kind, double bytesPerSecond) {
        try {
            long residentBytes = Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]) * 4096;
            // In the heap the room is what the heap may still take; outside it, what the process may.
            Runtime runtime = Runtime.getRuntime();
            double room = kind.equals("heap")
                    ? Math.min(runtime.maxMemory() - (runtime.totalMemory() - runtime.freeMemory()), LIMIT_BYTES - residentBytes + runtime.freeMemory())
                    : LIMIT_BYTES - residentBytes;
            long onset = System.currentTimeMillis();
            System.out.printf("{\"leak\":true,\"kind\":\"%s\",\"onsetAt\":%d,\"exhaustsAt\":%d,\"limitBytes\":%d}%n",
                    kind, onset, onset + (long) (1000 * room / bytesPerSecond), LIMIT_BYTES);
        } catch (java.io.IOException impossible) {
            throw new java.io.UncheckedIOException(impossible);
        }
    }
}
