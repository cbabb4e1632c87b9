/**
 * Writes seeded batches to a store and says on standard output which are acknowledged, rolling up in between,
 * until it is killed. Run by crash.test.ts: `node --import tsx crash-child.ts DIR FIRST_BATCH`.
 */
import { migrate } from '../../../shared/store/migrate.ts';
import { rollUp } from '../../../shared/store/rollups.ts';
import { insertSamples } from '../../../shared/store/samples.ts';
import { openStore } from '../../../shared/store/store.ts';
import { crashBatch } from './crash-batch.ts';
import { columnsOf } from './fixture.ts';

const [, , path = '', first = '0', base = '0'] = process.argv;
const store = await openStore({ path });
await migrate(store);
process.stdout.write('ready\n');
const rolling = (async () => {
  for (;;) await rollUp(store);
})();
rolling.catch((error: unknown) => {
  process.stderr.write(String(error));
  process.exit(1);
});
for (let batch = Number(first); ; batch++) {
  await insertSamples(store, columnsOf(crashBatch(Number(base), batch)));
  process.stdout.write(`${batch}\n`);
}
