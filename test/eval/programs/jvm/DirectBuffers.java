import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/** Leaks outside the heap from the middle of the run on: a pool takes direct buffers back but hands out new ones. */
public class DirectBuffers {
    public static void main(String[] arguments) throws InterruptedException {
        int bufferBytes = (int) (Service.number("BUFFER_KIB", 32) * Service.KIB);
        double perSecond = Service.number("BUFFERS_PER_SECOND", 5);
        double onsetSeconds = Service.number("ONSET_SECONDS", 220);
        ArrayDeque<ByteBuffer> pool = new ArrayDeque<>();
        List<ByteBuffer> lost = new ArrayList<>();
        Service.load(seconds -> perSecond, seconds -> {
            Service.bytes(40 * Service.KIB);
            boolean leaks = seconds > onsetSeconds;
            ByteBuffer buffer = leaks || pool.size() < 64 ? ByteBuffer.allocateDirect(bufferBytes) : pool.poll();
            for (int at = 0; at < bufferBytes; at += 1024) {
                buffer.put(at, (byte) at);
            }
            if (!leaks) {
                pool.add(buffer);
                return;
            }
            if (lost.isEmpty()) {
                Service.tellLeak("native", perSecond * bufferBytes);
            }
            lost.add(buffer);
        });
    }
}
