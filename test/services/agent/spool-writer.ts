/** Appends numbered batches to a spool until it is killed; prints each number once append() has returned. For spool-crash.test.ts. */
import { writeSync } from 'node:fs';
import { Spool } from '../../../services/agent/spool.ts';

const [, , directory = '', first = '0'] = process.argv;
const spool = new Spool(directory, 64 << 20);
for (let number = Number(first); ; number++) {
  const payload = Buffer.from(`${number}:${'x'.repeat((number * 7919) % 5000)}`);
  if (spool.append(payload, 1)) writeSync(1, `${number}\n`);
  // Now and then it also acknowledges, as the sender does beside it.
  const oldest = number % 3 === 0 ? spool.next() : undefined;
  if (oldest !== undefined) {
    const [taken = ''] = oldest.payload.toString().split(':');
    // Said before and after: a kill in between leaves it open whether the spool still holds the batch.
    writeSync(1, `acknowledging ${taken}\n`);
    spool.acknowledge(oldest);
    writeSync(1, `acknowledged ${taken}\n`);
  }
}
