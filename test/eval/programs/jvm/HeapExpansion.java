import java.util.ArrayDeque;

/** Healthy: load rises over a good part of the run and then stays, and the heap grows with it to its -Xmx, which the limit allows for. */
public class HeapExpansion {
    public static void main(String[] arguments) throws InterruptedException {
        double requestBytes = Service.number("REQUEST_KIB", 64) * Service.KIB;
        double perSecond = Service.number("REQUESTS_PER_SECOND", 60);
        double riseSeconds = Service.number("RISE_SECONDS", 400);
        double heldSeconds = Service.number("HELD_SECONDS", 6);
        ArrayDeque<byte[]> inFlight = new ArrayDeque<>();
        Service.tellHealthy();
        Service.load(seconds -> perSecond * Math.min(1, 0.15 + 0.85 * seconds / riseSeconds), seconds -> {
            inFlight.add(Service.bytes(requestBytes));
            double rate = perSecond * Math.min(1, 0.15 + 0.85 * seconds / riseSeconds);
            while (inFlight.size() > rate * heldSeconds) {
                inFlight.poll();
            }
        });
    }
}
