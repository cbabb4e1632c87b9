import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;

/** Leaks outside the heap: a plugin is reloaded again and again, and something keeps each of its class loaders. */
public class ClassLoaders {
    /** What each loader loads anew; its methods are what fills the metaspace. */
    public static class Plugin {
        public double price(double base, int count) {
            double sum = 0;
            for (int item = 0; item < count; item++) {
                sum += item % 3 == 0 ? base * 0.9 : item % 5 == 0 ? base * 0.8 : base;
            }
            return sum;
        }

        public String label(String name, int count) {
            StringBuilder label = new StringBuilder(name).append(" x ").append(count);
            return count > 10 ? label.append(" (bulk)").toString() : label.reverse().reverse().toString();
        }
    }

    private static final class PluginLoader extends ClassLoader {
        Class<?> define(byte[] code) {
            return defineClass(Plugin.class.getName(), code, 0, code.length);
        }
    }

    public static void main(String[] arguments) throws InterruptedException, IOException {
        double perSecond = Service.number("RELOADS_PER_SECOND", 12);
        double bytesPerReload = Service.number("BYTES_PER_RELOAD", 12_000);
        byte[] code;
        try (InputStream stream = ClassLoaders.class.getResourceAsStream("ClassLoaders$Plugin.class")) {
            code = stream.readAllBytes();
        }
        List<Object> plugins = new ArrayList<>();
        Service.tellLeak("native", perSecond * bytesPerReload);
        Service.load(seconds -> perSecond, seconds -> {
            try {
                Object plugin = new PluginLoader().define(code).getDeclaredConstructor().newInstance();
                plugin.getClass().getMethod("label", String.class, int.class).invoke(plugin, "plugin", plugins.size());
                plugins.add(plugin);
            } catch (ReflectiveOperationException broken) {
                throw new IllegalStateException(broken);
            }
            Service.bytes(30 * Service.KIB);
        });
    }
}
