import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
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

  it('does not take a last line for whole that may be cut inside its last number', async () => {
    const torn = await read('time,service,instance,rss,limit\n1700000000,shop,shop-0,1000,5000\n1700000060,shop,shop-0,1000,50');
    expect(torn.rows).toEqual([row]);
    expect(torn.firstSkipped).toMatch(/:3:1: the last line has no end and may be torn/);
    const quoted = await read('time,service,instance,rss,limit\n1700000000,shop,shop-0,1000,"5000"');
    expect(quoted.rows).toEqual([row]);
    const unused = await read('time,service,instance,rss,limit,colour\n1700000000,shop,shop-0,1000,5000,re');
    expect(unused.rows).toEqual([row]);
    expect((await read(JSON.stringify(row), 'ndjson')).rows).toEqual([row]);
  });

  it('reads each row in its own unit of time', async () => {
    const times = [
      '1700000000',
      '1700000000000',
      '1700000000000000',
      '1700000000000000000',
      '1.7e9',
      '1700000000.000',
      '2023-11-14T22:13:20,000Z',
    ];
    const { rows, skipped } = await read(
      `time,service,instance,rss,limit\n${times.map((time) => `${time.includes(',') ? `"${time}"` : time},shop,shop-0,1000,5000`).join('\n')}\n`,
    );
    expect(rows).toEqual(times.map(() => row));
    expect(skipped).toBe(0);
  });

  it.each(['03/04/2023 10:00', '2023-02-31T10:00:00Z', '2023-11-14T25:00:00Z', '14.11.2023', 'shop 1', '20231114', '', '-1700000000'])(
    'does not guess the time %s',
    async (time) => {
      const { rows, firstSkipped } = await read(`rss,time\n1,1700000000\n2,${time}\n`);
      expect(rows).toHaveLength(1);
      expect(firstSkipped).toMatch(/:3:3: column "time" /);
    },
  );

  it('takes semicolons and tabs, and a separator at the end of every line', async () => {
    expect((await read('time;service;instance;rss;limit\n1700000000;shop;shop-0;1000;5000\n')).rows).toEqual([row]);
    expect((await read('time\tservice\tinstance\trss\tlimit\t\n1700000000\tshop\tshop-0\t1000\t5000\t\n')).rows).toEqual([row]);
  });

  it('leaves out rows with more fields than the header, for nobody knows which one is which', async () => {
    const { rows, firstSkipped } = await read(
      'time,service,instance,rss,limit\n1700000000,shop,eu,shop-0,1000,5000\n1700000000,shop,shop-0,1000,5000\n',
    );
    expect(rows).toEqual([row]);
    expect(firstSkipped).toMatch(/:2:\d+: 6 of 5 fields \(an unquoted separator\?\)/);
  });

  it('names line and column of a cell that is no number, and takes what exporters write for nothing as absent', async () => {
    const { rows, firstSkipped, skipped } = await read(
      'time,rss\n1700000000,NaN\n1700000060,null\n1700000120,512MiB\n1700000180,"1,024"\n1700000240,0x10\n',
    );
    expect(rows.map(({ rss }) => rss)).toEqual([NaN, NaN]);
    expect(skipped).toBe(3);
    expect(firstSkipped).toMatch(/:4:12: column "rss" is "512MiB", not a plain number/);
  });

  it('takes the limit of a cgroup without one for none', async () => {
    const { rows } = await read('time,rss,limit\n1700000000,1,9223372036854771712\n');
    expect(rows[0]?.limit).toBe(0);
  });

  it('names service and instance anew for each row, also where the columns are missing', async () => {
    const { rows } = await read('time,service,rss\n1700000000,shop,1\n1700000000,cart,1\n');
    expect(rows.map(({ service, instance }) => [service, instance])).toEqual([
      ['shop', 'shop'],
      ['cart', 'cart'],
    ]);
  });

  it('reads line breaks inside quotes, and lets no stray quote swallow the lines behind it', async () => {
    const head = 'time,service,instance,rss,limit,note\n';
    const whole = await read(`${head}1700000000,shop,shop-0,1000,5000,"two\nlines"\n1700000000,shop,shop-0,1000,5000,\n`);
    expect(whole.rows).toEqual([row, row]);
    const stray = await read(
      `${head}1700000000,shop,"shop-0,1000,5000,x\n1700000000,"shop","shop-0",1000,5000,\n1700000000,shop,shop-0,1000,5000,\n`,
    );
    expect(stray.rows).toEqual([row, row]);
    expect(stray.skipped).toBe(1);
    expect(stray.firstSkipped).toContain(':2:');
    const open = await read(`${head}1700000000,shop,"shop-0,1000,5000,x\n1700000000,shop,shop-0,1000,5000,y\n`);
    expect(open.rows).toEqual([row]);
    expect(open.firstSkipped).toMatch(/:2:\d+: a quote is opened and never closed/);
  });

  it('refuses what is no history with the mend', async () => {
    await expect(read(Buffer.from('\uFEFFtime,rss\n', 'utf16le'))).rejects.toThrow(/UTF-16; expected UTF-8/);
    await expect(read('[{"time":1}]\n', 'json')).rejects.toThrow(/JSON array; expected an object per line/);
    await expect(read('time,rss,rss\n')).rejects.toThrow(/:1:3: .*has "rss" twice/);
    await expect(read('x'.repeat(1_100_000))).rejects.toThrow(/:1:1: a line is longer than 1000000 bytes/);
    await expect(read(' \n\n')).rejects.toThrow(/the file is empty/);
    await expect(read('time,rss\nyesterday,1\n')).rejects.toThrow(/no row could be read: .*:2:1: /);
  });

  it('reads numbers as JavaScript does', async () => {
    const printed = fc
      .tuple(fc.double({ min: 0, max: 1e21, noNaN: true }), fc.constantFrom('plain', 'fixed', 'exponent'))
      .map(([value, how]) => (how === 'plain' ? String(value) : how === 'fixed' ? value.toFixed(3) : value.toExponential()));
    await fc.assert(
      fc.asyncProperty(fc.array(printed, { minLength: 1, maxLength: 40 }), async (cells) => {
        const { rows } = await read(`time,rss\n${cells.map((cell) => `1700000000,${cell}\n`).join('')}`);
        expect(rows.map(({ rss }) => rss)).toEqual(cells.map(Number));
      }),
      { numRuns: 60 },
    );
  });

  it('reads the same wherever the chunks of a large file end', async () => {
    const expected: (typeof row)[] = [];
    let text = 'time,note,service,instance,rss,limit\r\n';
    for (let index = 0; index < 12_000; index += 1) {
      const service = `${'sérvice'.slice(0, 1 + (index % 7))}-${String(index % 13)}`;
      const note = index % 3 === 0 ? `"${'x'.repeat(index % 97)}, ""y""\n"` : 'z'.repeat(index % 59);
      expected.push({ time: row.time + index, service, instance: `${service}-0`, rss: index * 17.25, limit: 5000 });
      text += `${String(row.time + index)},${note},${service},${service}-0,${String(index * 17.25)},5000\r\n`;
    }
    expect(Buffer.byteLength(text)).toBeGreaterThan(3 * 262_144);
    const plain = await read(text);
    expect(plain.rows).toEqual(expected);
    expect(plain.skipped).toBe(0);
    expect((await read(gzipSync(text), 'csv.gz')).rows).toEqual(expected);
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
