import java.util.LinkedHashMap;
import java.util.Map;

/** Healthy: a bounded cache warms up as fast as keys are first asked for, ever slower, and then stands. */
public class WarmCache {
    public static void main(String[] arguments) throws InterruptedException {
        double entryBytes = Service.number("ENTRY_KIB", 12) * Service.KIB;
        int keys = (int) (Service.number("CACHE_MIB", 60) * Service.MIB / entryBytes);
        double warmSeconds = Service.number("WARM_SECONDS", 120);
        Map<Integer, byte[]> cache = new LinkedHashMap<>(16, 0.75f, true) {
            @Override
            protected boolean removeEldestEntry(Map.Entry<Integer, byte[]> eldest) {
                return size() > keys;
            }
        };
        Service.tellHealthy();
        Service.load(seconds -> keys / warmSeconds, seconds -> {
            cache.computeIfAbsent(Service.CHANCE.nextInt(keys), key -> Service.bytes(entryBytes));
            Service.bytes(24 * Service.KIB);
        });
    }
}
