/** Slack against a stand-in that enforces Slack's limits. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../shared/clock.ts';
import { startFakeSlack, type FakeSlack, type FakeSlackOptions } from '../../fakes/slack.ts';
import { event, HOUR, INCIDENT, leak, NOW } from './leak.ts';
import { notifyConfig, openStage, type Stage } from './stage.ts';

let slack: FakeSlack;
let stage: Stage;

async function open(options: FakeSlackOptions = {}) {
  slack = await startFakeSlack({ postIntervalMs: 0, processingMs: 0, ...options });
  stage = openStage();
}

const config = () => notifyConfig({ slackToken: slack.token, slackChannel: 'C0LEAKS01', slackApiUrl: slack.apiUrl });
const notifier = () => stage.notifier(stage.channels(config(), systemClock), { config: config() });

beforeEach(() => open());
afterEach(async () => {
  stage.close();
  await slack.close();
});

const textOf = (blocks: unknown): string => JSON.stringify(blocks);

describe('one incident in Slack', () => {
  it('is one message with slope, time to limit, since when, reason and chart, and its details in the thread', async () => {
    stage.log.append(event('opened', NOW));
    expect(await notifier().deliverPending(NOW)).toMatchObject({ sent: 1 });
    const [root, ...others] = slack.roots();
    expect(others).toEqual([]);
    const said = textOf(root?.blocks);
    for (const part of [
      'checkout leaks 18 MB/h, runs out of memory in 8 h',
      '15–21 MB/h',
      '3.5 % of the limit',
      '97 % sure',
      'v42',
      '3 of 4',
      'JavaScript heap',
    ])
      expect(said).toContain(part);
    expect(said).toContain(`https://leakline.example.org/incidents/${INCIDENT}?action=acknowledge`);
    const image = (root?.blocks as { type: string; slack_file?: { id: string } }[]).find(({ type }) => type === 'image');
    expect(slack.files.get(image?.slack_file?.id ?? '')?.bytes.length).toBeGreaterThan(20_000);
    const thread = slack.messages.filter(({ threadTs }) => threadTs === root?.ts);
    expect(thread).toHaveLength(1);
    expect(textOf(thread[0]?.blocks)).toContain('heapsnapshot-signal');
    expect(textOf(thread[0]?.blocks)).toContain('FROM samples');
  });

  it('is edited when somebody acknowledges and when it is resolved, and the thread tells who and why', async () => {
    stage.log.append(event('opened', NOW));
    const told = notifier();
    await told.deliverPending(NOW);
    stage.log.append(event('acknowledged', NOW + 1000, { actor: 'anna', note: 'looking <!channel>' }));
    await told.deliverPending(NOW + 2000);
    expect(textOf(slack.roots()[0]?.blocks)).toContain('Acknowledged by `anna`');
    expect(textOf(slack.roots()[0]?.blocks)).toContain('&lt;!channel&gt;');
    expect(textOf(slack.roots()[0]?.blocks)).not.toContain('action=acknowledge');
    stage.log.append(
      event('resolved', NOW + 3000, {
        note: 'v43 has stayed calm: floor flat near 210 MB for 6.0 h',
        judgement: leak({ verdict: 'steady', version: 'v43', exhaustsAt: null }),
      }),
    );
    await told.deliverPending(NOW + 4000);
    const root = slack.roots()[0];
    expect(slack.roots()).toHaveLength(1);
    expect(textOf(root?.blocks)).toContain('✅ checkout no longer leaks');
    expect(textOf(root?.blocks)).toContain('v43 has stayed calm');
    expect(slack.messages.filter(({ threadTs }) => threadTs === root?.ts).map(({ isBroadcast }) => isBroadcast)).toEqual([
      false,
      false,
      false,
    ]);
    // The old picture goes when the new one stands.
    expect(slack.files.size).toBe(1);
  });

  it('edits for new figures at most every half minute, and broadcasts a return', async () => {
    stage.log.append(event('opened', NOW));
    const told = notifier();
    await told.deliverPending(NOW);
    stage.log.append(event('updated', NOW + 5_000, { judgement: leak({ slopeBytesPerHour: 30e6 }) }));
    expect(await told.deliverPending(NOW + 6_000)).toMatchObject({ sent: 0, waiting: 1 });
    expect(await told.deliverPending(NOW + 60_000)).toMatchObject({ sent: 1 });
    expect(slack.roots()[0]).toMatchObject({ edits: 1 });
    expect(textOf(slack.roots()[0]?.blocks)).toContain('30 MB/h');
    stage.log.append(event('resolved', NOW + HOUR), event('reopened', NOW + 2 * HOUR));
    await told.deliverPending(NOW + 2 * HOUR);
    expect(slack.roots()).toHaveLength(1);
    expect(slack.messages.filter(({ isBroadcast }) => isBroadcast)).toHaveLength(1);
  });

  it('is not told of what is silenced, and told again when the silence ends', async () => {
    stage.log.append(event('opened', NOW), event('silenced', NOW + 1, { until: NOW + HOUR, actor: 'ben' }));
    const told = notifier();
    expect(await told.deliverPending(NOW + 10)).toMatchObject({ sent: 0 });
    stage.log.append(event('updated', NOW + 60_000, { judgement: leak({ slopeBytesPerHour: 40e6 }) }));
    expect(await told.deliverPending(NOW + 120_000)).toMatchObject({ sent: 0 });
    expect(await told.deliverPending(NOW + HOUR + 1)).toMatchObject({ sent: 1 });
    expect(slack.roots()).toHaveLength(1);
  });

  it('writes the time left anew when half of it is gone, and calls once in the last hour', async () => {
    stage.log.append(event('opened', NOW));
    const told = notifier();
    await told.deliverPending(NOW);
    await told.deliverPending(NOW + 4.1 * HOUR);
    expect(textOf(slack.roots()[0]?.blocks)).toContain('runs out of memory in 4 h');
    await told.deliverPending(NOW + 7.2 * HOUR);
    await told.deliverPending(NOW + 7.3 * HOUR);
    expect(slack.messages.filter(({ isBroadcast }) => isBroadcast)).toHaveLength(1);
    expect(slack.roots()).toHaveLength(1);
  });
});

describe('what Slack may answer', () => {
  it('waits for the chart while Slack processes it, and does without when it takes too long', async () => {
    await slack.close();
    stage.close();
    await open({ processingMs: 700 });
    stage.log.append(event('opened', NOW));
    await notifier().deliverPending(NOW);
    expect(textOf(slack.roots()[0]?.blocks)).toContain('slack_file');
    expect(slack.calls.filter(({ method }) => method === 'chat.postMessage').length).toBeGreaterThan(2);
  });

  it('shows a sparkline where files are not allowed', async () => {
    await slack.close();
    stage.close();
    await open({ scopes: ['chat:write'] });
    stage.log.append(event('opened', NOW));
    expect(await notifier().deliverPending(NOW)).toMatchObject({ sent: 1 });
    expect(textOf(slack.roots()[0]?.blocks)).toMatch(/▁+.*█/);
  });

  it('keeps to one message a second', async () => {
    await slack.close();
    stage.close();
    await open({ postIntervalMs: 1000 });
    stage.log.append(event('opened', NOW));
    expect(await notifier().deliverPending(NOW)).toMatchObject({ sent: 1 });
    expect(slack.messages).toHaveLength(2);
  });

  it('honours Retry-After, and a second channel is not held up', async () => {
    slack.faults.push({ method: 'chat.postMessage', kind: 'status', status: 429, retryAfter: 40 });
    stage.log.append(event('opened', NOW));
    const told = notifier();
    expect(await told.deliverPending(NOW)).toMatchObject({ retried: 1 });
    expect(await told.deliverPending(NOW + 30_000)).toMatchObject({ sent: 0, waiting: 1 });
    expect(await told.deliverPending(NOW + 70_000)).toMatchObject({ sent: 1 });
    expect(slack.roots()).toHaveLength(1);
  });

  it('asks before it repeats a post whose answer was lost', async () => {
    slack.faults.push({ method: 'chat.postMessage', kind: 'silent-after' });
    stage.log.append(event('opened', NOW));
    const { createSlack } = await import('../../../services/notifier/slack.ts');
    const { createLog } = await import('../../../shared/log.ts');
    const channel = createSlack({
      token: slack.token,
      channel: 'C0LEAKS01',
      apiUrl: slack.apiUrl,
      clock: systemClock,
      log: createLog({ level: 'silent', secrets: [] }),
      timeoutMs: 300,
    });
    const told = stage.notifier([channel]);
    expect(await told.deliverPending(NOW)).toMatchObject({ retried: 1 });
    expect(await told.deliverPending(NOW + 20_000)).toMatchObject({ sent: 1 });
    expect(slack.roots()).toHaveLength(1);
    expect(slack.messages).toHaveLength(2);
  });

  it('names the mend when the channel is unknown, and tries again once after a restart', async () => {
    const wrong = notifyConfig({ slackToken: slack.token, slackChannel: 'C0NOWHERE', slackApiUrl: slack.apiUrl });
    stage.log.append(event('opened', NOW));
    const told = stage.notifier(stage.channels(wrong), { config: wrong, clock: { now: () => NOW - 1, sleep: () => Promise.resolve() } });
    expect(await told.deliverPending(NOW)).toMatchObject({ refused: 1 });
    expect(await told.deliverPending(NOW + HOUR)).toMatchObject({ refused: 0, sent: 0 });
    expect(stage.log.deliveries()[0]?.error).toContain('notify.slackChannel');
    const restarted = stage.notifier(stage.channels(config()), {
      config: config(),
      clock: { now: () => NOW + 2 * HOUR, sleep: () => Promise.resolve() },
    });
    expect(await restarted.deliverPending(NOW + 2 * HOUR)).toMatchObject({ sent: 1 });
    expect(slack.roots()).toHaveLength(1);
  });
});
