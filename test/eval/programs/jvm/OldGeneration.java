import java.util.ArrayDeque;

/** Healthy: sessions live just long enough to be promoted, so the old generation climbs in a line until a full collection empties it. */
public class OldGeneration {
    public static void main(String[] arguments) throws InterruptedException {
        double sessionBytes = Service.number("SESSION_KIB", 16) * Service.KIB;
        double perSecond = Service.number("SESSIONS_PER_SECOND", 25);
        int live = (int) (perSecond * Service.number("LIVE_SECONDS", 20));
        ArrayDeque<byte[]> sessions = new ArrayDeque<>();
        Service.tellHealthy();
        Service.load(seconds -> perSecond, seconds -> {
            sessions.add(Service.bytes(sessionBytes));
            if (sessions.size() > live) {
                sessions.poll();
            }
            for (int part = 0; part < 4; part++) {
                Service.bytes(10 * Service.KIB).clone();
            }
        });
    }
}
