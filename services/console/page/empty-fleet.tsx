/** Nothing has been seen yet: how to change that. */
import { CopyButton } from './feedback.tsx';

function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <code>{text}</code>
      <CopyButton text={text} />
    </div>
  );
}

export function EmptyFleet() {
  const { origin } = location;
  return (
    <section class="empty">
      <h1>No service seen yet</h1>
      <p>Start an agent on a machine whose processes you want watched. It shows up here within seconds.</p>
      <Command text={`npx leakline agent --to ${origin}`} />
      <p>Only some of the processes? Name them by a pattern on their command line:</p>
      <Command text={`npx leakline agent --to ${origin} --match 'node .*server'`} />
      <p class="muted">
        OpenTelemetry instead: point an OTLP/HTTP metrics exporter at <code>{origin}/v1/metrics</code>.
      </p>
    </section>
  );
}
