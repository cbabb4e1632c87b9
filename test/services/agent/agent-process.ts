/** An agent as a process of its own, for tests that kill it: URL, state directory and pattern are its arguments. */
import { startAgent } from '../../../services/agent/agent.ts';
import { httpTransport } from '../../../services/agent/transport.ts';

const [, , url = '', directory = '', match = ''] = process.argv;
const ignore = () => undefined;
startAgent({
  transport: httpTransport({ url, token: '' }),
  intervalMs: 50,
  directory,
  spoolBytes: 8 << 20,
  log: { debug: ignore, info: ignore, warn: ignore },
  match: new RegExp(match),
  identity: { service: 'victim', environment: '', version: '', instance: '' },
  host: 'h1',
  onBatch: (batch) => process.stdout.write(`${batch.boot} ${batch.seq}\n`),
});
