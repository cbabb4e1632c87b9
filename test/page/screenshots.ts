/**
 * Takes the pictures for the README from a real console in real Chromium:
 * `npx tsx test/page/screenshots.ts [folder]` (default docs/images).
 */
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { systemClock } from '../../shared/clock.ts';
import { launchChromium, watchComplaints } from './chromium.ts';
import { seedFleet } from './demo-fleet.ts';
import { buildPage, createTestConsole } from './running-console.ts';

interface Picture {
  readonly name: string;
  readonly path: string;
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: 'light' | 'dark';
  readonly ready: string;
  readonly before?: string;
}

const folder = process.argv[2] ?? join(import.meta.dirname, '../../docs/images');
const everything = process.argv.includes('--all');

async function take(browser: Browser, base: string, picture: Picture): Promise<void> {
  const { name, path, width = 1360, height = 850, scheme = 'light', ready, before } = picture;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, deviceScaleFactor: 1.5 });
  const page = await context.newPage();
  const complaints = watchComplaints(page);
  await page.goto(base + path);
  await page.locator(ready).first().waitFor();
  if (before !== undefined) await page.locator(before).first().click();
  await page.evaluate('document.fonts.ready');
  await page.waitForLoadState('networkidle');
  await page.screenshot({ path: join(folder, `${name}.png`) });
  if (complaints.length > 0) process.stderr.write(`${name}: ${complaints.join('\n')}\n`);
  await context.close();
}

const assetsDir = await mkdtemp(join(tmpdir(), 'leakline-page-'));
await Promise.all([buildPage(assetsDir), mkdir(folder, { recursive: true })]);
const console = await createTestConsole({ assetsDir });
const started = systemClock.now();
const { incidents } = await seedFleet(console.store, started, 48);
process.stdout.write(`seeded in ${systemClock.now() - started} ms\n`);
const base = await console.server.listen('127.0.0.1:0');
const browser = await launchChromium();
const checkout = '/services/production/checkout';
const incident = `/incidents/${incidents['checkout'] ?? ''}`;
const pictures: Picture[] = [
  { name: 'console-fleet', path: '/', ready: '.fleet-row' },
  { name: 'console-service', path: checkout, ready: '.u-over', height: 1000 },
];
const further: Picture[] = [
  { name: 'fleet-dark', path: '/', ready: '.fleet-row', scheme: 'dark' },
  { name: 'fleet-phone', path: '/', ready: '.fleet-row', width: 390, height: 844 },
  { name: 'service-dark', path: '/services/production/image-resizer', ready: '.u-over', scheme: 'dark', height: 1500 },
  { name: 'service-phone', path: checkout, ready: '.u-over', width: 390, height: 1600 },
  { name: 'service-search', path: '/services/production/search-index', ready: '.u-over', height: 1000 },
  { name: 'incidents', path: '/incidents', ready: 'table' },
  { name: 'incident', path: incident, ready: '.timeline', height: 1000 },
  { name: 'incident-dialog', path: `${incident}?action=silence`, ready: 'dialog' },
  { name: 'sql', path: '/sql', ready: 'textarea', before: '.primary' },
];
for (const picture of everything ? [...pictures, ...further] : pictures) await take(browser, base, picture);
await browser.close();
await console.close();
process.exit();
