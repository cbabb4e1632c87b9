import java.util.ArrayDeque;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A JVM service with a cache: `leaky` keeps every entry, `healthy` the last 8 MiB. Both make garbage.
 * Arguments: leaky|healthy [MiB kept per second, default 4 [seconds between full collections, default the JVM's own choice]].
 */
public class Cache {
    private static final int ENTRY_BYTES = 16 * 1024;
    private static final int TICKS_PER_SECOND = 50;

    public static void main(String[] arguments) throws InterruptedException {
        boolean isLeaky = arguments[0].equals("leaky");
        double keptPerTick = (arguments.length > 1 ? Double.parseDouble(arguments[1]) : 4) * (1 << 20) / ENTRY_BYTES / TICKS_PER_SECOND;
        double collectSeconds = arguments.length > 2 ? Double.parseDouble(arguments[2]) : Double.POSITIVE_INFINITY;
        ArrayDeque<byte[]> cache = new ArrayDeque<>();
        System.out.println("cache: " + arguments[0]);
        double owed = 0;
        for (long tick = 1; ; tick++) {
            Thread.sleep(1000 / TICKS_PER_SECOND);
            if (tick % (collectSeconds * TICKS_PER_SECOND) == 0) {
                System.gc();
            }
            owed += keptPerTick * ThreadLocalRandom.current().nextDouble(0.5, 1.5);
            for (; owed >= 1; owed--) {
                cache.add(new byte[ENTRY_BYTES]);
                for (int garbage = 0; garbage < 8; garbage++) {
                    new byte[ENTRY_BYTES].clone();
                }
                if (!isLeaky && cache.size() > (8 << 20) / ENTRY_BYTES) {
                    cache.poll();
                }
            }
        }
    }
}
