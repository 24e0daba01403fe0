import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GIVE_UP_MS } from '../../src/alerts/delivery.ts';
import { loseReplica, ROUND, toldOf } from '../kit/alerting.ts';
import { createManualClock } from '../kit/clock.ts';
import { TOKEN } from '../kit/liveness.ts';
import { read } from '../kit/observe.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import {
  type Behaviour,
  createWebhookReceiver,
  type WebhookReceiver,
} from '../kit/webhook-receiver.ts';

/** A webhook that does not do its part hurts nobody, and gets its messages as soon as it does. */
describe('a webhook in trouble', () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  });

  async function alerted(kind: WebhookReceiver['kind'] = 'json') {
    const clock = createManualClock();
    const receiver = await createWebhookReceiver(kind, { clock });
    open.push(receiver);
    const env = { ALERT_WEBHOOK_URL: receiver.url, ALERT_WEBHOOK_KIND: kind };
    const platform = await createTestPlatform({ clock, env });
    open.push(platform);
    await platform.simulator.pushTicket();
    await platform.pass(1.5 * MINUTE);
    return { platform, receiver };
  }

  /** As `pass`, when a webhook may hang: goes on when only time can end what is waited for. */
  async function passHanging(platform: TestPlatform, receiver: WebhookReceiver, ms: number) {
    const settle = async () => {
      const work = { settled: false };
      void platform.settle().then(() => (work.settled = true));
      while (!work.settled && receiver.hanging() === 0) await new Promise(setImmediate);
    };
    await platform.clock.advance(ms, settle);
    await settle();
  }

  function complaints({ logs }: TestPlatform) {
    return logs.filter(({ message }) => message === 'an alert could not be sent, trying again');
  }

  const faults: [Behaviour, WebhookReceiver['kind'], string][] = [
    ['down', 'json', 'unreachable'],
    ['fails', 'json', 'http_500'],
    ['redirects', 'json', 'http_302'],
    ['huge', 'json', 'bad_body'],
    ['garbage', 'wecom', 'no_json'],
    ['refuses', 'wecom', 'errcode_93000'],
    ['refuses', 'feishu', 'code_93000'],
    ['garbage', 'serverchan', 'no_json'],
  ];
  it.each(faults)('that %s (%s) is tried again, and named as %s', async (how, kind, fault) => {
    const { platform, receiver } = await alerted(kind);
    const before = receiver.messages.length;
    receiver.behave(how);
    await loseReplica(platform, 'lost-1');
    await platform.pass(2 * ROUND);
    expect(complaints(platform)[0]).toMatchObject({ level: 'warn', webhook: `${kind} 1`, fault });
    expect((await read(platform, TOKEN)).status).toBe(200);
    receiver.behave('ok');
    await platform.pass(MINUTE);
    expect(receiver.messages).toHaveLength(before + 1);
    expect(platform.logs).toContainEqual(
      expect.objectContaining({ level: 'info', message: 'alerts are taken again' }),
    );
    expect(await owed(platform)).toEqual([]);
    expect(JSON.stringify(platform.logs)).not.toContain(receiver.key);
  });

  it('that never answers is left after 5 s, holds nobody up, and does not delay the stop', async () => {
    const { platform, receiver } = await alerted();
    receiver.behave('hang');
    await loseReplica(platform, 'lost-1');
    await passHanging(platform, receiver, ROUND);
    expect(receiver.hanging()).toBe(1);
    // The service goes on: a refresh, a push, an answer.
    const answer = await platform.internal(`/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`);
    expect(answer.status).toBe(200);
    expect((await platform.internal('/status')).status).toBe(200);
    await passHanging(platform, receiver, 5_000);
    await vi.waitFor(() => expect(complaints(platform)[0]).toMatchObject({ fault: 'timeout' }));
    await passHanging(platform, receiver, MINUTE);
    expect(receiver.requests).toBeLessThan(8);

    const begun = performance.now();
    await platform.app.stop();
    expect(performance.now() - begun).toBeLessThan(4_500);
  });

  it('that is down for an hour is told no more of what is long past, which the log says', async () => {
    const { platform, receiver } = await alerted();
    receiver.behave('fails');
    await loseReplica(platform, 'lost-1');
    await platform.pass(MINUTE);
    expect(complaints(platform).length).toBeGreaterThan(2);
    await platform.pass(9 * MINUTE);
    // Ever rarer: 5 s, 10 s, 20 s ... five minutes.
    expect(complaints(platform).length).toBeGreaterThan(4);
    expect(complaints(platform).length).toBeLessThan(10);
    expect(await owed(platform)).not.toEqual([]);
    await loseReplica(platform, 'lost-2');
    await platform.pass(ROUND);
    platform.clock.sleepThrough(GIVE_UP_MS - 10 * MINUTE);
    await platform.pass(ROUND);
    const given = platform.logs.filter(({ message }) =>
      message.startsWith('an alert was given up'),
    );
    expect(given).toContainEqual(
      expect.objectContaining({ level: 'error', code: 'replica_lost', status: 'firing' }),
    );

    receiver.behave('ok');
    await platform.pass(6 * MINUTE);
    const kinds = toldOf(receiver, 'replica_lost').map(({ body }) => body.kind);
    expect(kinds).toContain('lost-2');
    expect(toldOf(receiver, 'replica_lost')[0]?.body).not.toMatchObject({
      kind: 'lost-1',
      status: 'firing',
    });
    expect(await owed(platform)).toEqual([]);
  });

  it('does not keep another one from its messages', async () => {
    const clock = createManualClock();
    const [bad, good] = await Promise.all([
      createWebhookReceiver('json', { clock }),
      createWebhookReceiver('wecom', { clock }),
    ]);
    open.push(bad, good);
    bad.behave('refuses');
    const folder = mkdtempSync(join(tmpdir(), 'wxkeeper-alerts-'));
    const path = join(folder, 'config.json');
    writeFileSync(path, JSON.stringify({ alert_webhooks: [{ url: bad.url }] }));
    const platform = await createTestPlatform({
      clock,
      env: {
        ALERT_WEBHOOK_URL: good.url,
        ALERT_WEBHOOK_KIND: 'wecom',
        CONFIG_FILE: path,
      },
    });
    rmSync(folder, { recursive: true });
    open.push(platform);
    await platform.simulator.pushTicket();
    await platform.pass(1.5 * MINUTE);
    await loseReplica(platform, 'lost-1');
    await platform.pass(ROUND);
    expect(good.messages.at(-1)?.text).toContain('有副本失联');
    expect(bad.requests).toBeGreaterThan(0);
    expect(await owed(platform)).toHaveLength(1);
  });

  it('that does not understand one message gets the others all the same', async () => {
    const { platform, receiver } = await alerted();
    receiver.refuseWith(422, 'lost-1');
    await loseReplica(platform, 'lost-1');
    await platform.pass(ROUND);
    await loseReplica(platform, 'lost-2');
    await platform.pass(2 * ROUND);
    const kinds = () => toldOf(receiver, 'replica_lost').map(({ body }) => body.kind);
    expect(kinds()).toEqual(['lost-2']);
    expect(complaints(platform)[0]).toMatchObject({ fault: 'http_422' });
    receiver.refuseWith(200, '');
    await platform.pass(5 * MINUTE);
    expect(kinds()).toEqual(['lost-2', 'lost-1']);
  });

  it('has room for what only this replica knows, however many others wait', async () => {
    const { platform, receiver } = await alerted();
    receiver.behave('fails');
    for (let count = 0; count < 110; count += 1) await loseReplica(platform, `lost-${count}`);
    await platform.pass(ROUND);
    platform.clock.jumpWallClock(2 * MINUTE);
    await platform.pass(2 * MINUTE);
    receiver.behave('ok');
    await platform.pass(6 * MINUTE);
    expect(toldOf(receiver, 'clock_skew').map(({ body }) => body.status)).toEqual(['firing']);
    expect(toldOf(receiver, 'replica_lost')).toHaveLength(110);
    expect(JSON.stringify(platform.logs)).not.toContain('given up');
  });

  it('gets no more than robots take when everything breaks at once', async () => {
    const { platform, receiver } = await alerted('dingtalk');
    for (let count = 0; count < 70; count += 1) await loseReplica(platform, `lost-${count}`);
    await platform.pass(2 * ROUND);
    expect(receiver.refusals).toEqual([]);
    const text = receiver.messages.map((one) => one.text).join('\n');
    expect(text.split('有副本失联').length - 1).toBe(70);
    expect(receiver.messages.length).toBeLessThan(8);
  });

  async function owed({ redis, keys }: TestPlatform): Promise<string[]> {
    return (await redis.hkeys(keys.alerts)).filter((field) => field.startsWith('owed|'));
  }
});
