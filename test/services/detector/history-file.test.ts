import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readHistory } from '../../../services/detector/history-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'leakline-history-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

let files = 0;

async function read(content: string | Buffer, extension = 'csv') {
  files += 1;
  const file = join(folder, `file-${String(files)}.${extension}`);
  writeFileSync(file, content);
  const counts = { rows: 0, skipped: 0, firstSkipped: '' };
  const rows: { time: number; service: string; instance: string; rss: number; limit: number }[] = [];
  await readHistory(
    file,
    ({ time, service, instance, rss, limit }) => {
      rows.push({ time, service, instance, rss, limit });
    },
    counts,
  );
  return { rows, skipped: counts.skipped, firstSkipped: counts.firstSkipped };
}

const row = { time: 1_700_000_000_000, service: 'shop', instance: 'shop-0', rss: 1000, limit: 5000 };

describe('readHistory', () => {
  it('reads seconds, milliseconds and ISO 8601 with or without a zone alike', async () => {
    const times = ['1700000000', '1700000000000', '2023-11-14T22:13:20Z', '2023-11-14 22:13:20', '2023-11-14T23:13:20+01:00'];
    const { rows } = await read(`time,service,instance,rss,limit\n${times.map((time) => `${time},shop,shop-0,1000,5000`).join('\n')}\n`);
    expect(rows).toEqual(times.map(() => row));
  });

  it('takes a byte order mark, CRLF, quotes, blanks, unknown columns and any order of columns', async () => {
    const { rows, skipped } = await read(
      '\uFEFFrss,colour,"service",instance,limit,time\r\n1000,"red, or ""so""",shop,shop-0,5000,1700000000\r\n,,shop,shop-0,,1700000060\r\n',
    );
    expect(rows[0]).toEqual(row);
    expect(rows[1]?.rss).toBeNaN();
    expect(skipped).toBe(0);
  });

  it('reads gzip by its content and NDJSON by its first character', async () => {
    const csv = 'time,service,instance,rss,limit\n1700000000,shop,shop-0,1000,5000\n';
    expect((await read(gzipSync(csv), 'csv.gz')).rows).toEqual([row]);
    expect((await read(`${JSON.stringify({ ...row, time: '1700000000' })}\n`, 'ndjson')).rows).toEqual([row]);
  });

  it('counts a torn last line and keeps its neighbours', async () => {
    const { rows, skipped, firstSkipped } = await read('time,service,instance,rss,limit\n1700000000,shop,shop-0,1000,5000\n17000000');
    expect(rows).toEqual([row]);
    expect(skipped).toBe(1);
    expect(firstSkipped).toContain(':3:');
  });

  it('keeps what could be read of an archive that is cut off', async () => {
    const lines = Array.from(
      { length: 5000 },
      (_, index) => `${String(1_700_000_000 + index * 60)},shop,shop-0,${String(1000 + index * 17)},5000`,
    );
    const whole = gzipSync(`time,service,instance,rss,limit\n${lines.join('\n')}\n`);
    const { rows, skipped } = await read(whole.subarray(0, whole.length >> 1), 'csv.gz');
    expect(rows.length).toBeGreaterThan(1000);
    expect(skipped).toBeGreaterThan(0);
  });

  it('refuses a header without time or memory, with line and column', async () => {
    await expect(read('service,rss\nshop,1\n')).rejects.toThrow(/:1:1: .*no column "time"/);
    await expect(read('time,service,colour\n1,shop,red\n')).rejects.toThrow(/:1:3: .*no column of memory.*rss/);
    await expect(read('')).rejects.toThrow(/the file is empty/);
  });

  it('refuses negative and infinite bytes as unknown, and times outside of living memory', async () => {
    const { rows, skipped } = await read('time,service,instance,rss,limit\n1700000000,shop,shop-0,-5,Infinity\n12,shop,shop-0,1,1\n');
    expect(rows[0]?.rss).toBeNaN();
    expect(rows[0]?.limit).toBeNaN();
    expect(skipped).toBe(1);
  });
});
