import java.util.concurrent.ConcurrentHashMap;

/** Leaks per request under load that rises and falls: idempotency keys are remembered for ever. */
public class UnboundedMap {
    public static void main(String[] arguments) throws InterruptedException {
        double keptBytes = Service.number("KEPT_KIB", 6) * Service.KIB;
        double perSecond = Service.number("REQUESTS_PER_SECOND", 25);
        double swing = Service.number("SWING", 0.5);
        double tideSeconds = Service.number("TIDE_SECONDS", 260);
        ConcurrentHashMap<String, byte[]> seen = new ConcurrentHashMap<>();
        Service.tellLeak("heap", perSecond * keptBytes);
        Service.load(seconds -> perSecond * (1 + swing * Math.sin(2 * Math.PI * seconds / tideSeconds)), seconds -> {
            seen.put("request-" + seen.size(), Service.bytes(keptBytes));
            for (int part = 0; part < 10; part++) {
                Service.bytes(8 * Service.KIB).clone();
            }
        });
    }
}
