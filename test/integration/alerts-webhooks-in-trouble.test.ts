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
    const station = await createTestPlatform({ clock, env });
    open.push(station);
    await station.simulator.pushTicket();
    await station.pass(1.5 * MINUTE);
    return { station, receiver };
  }

  /** As `pass`, when a webhook may hang: goes on when only time can end what is waited for. */
  async function passHanging(station: TestPlatform, receiver: WebhookReceiver, ms: number) {
    const settle = async () => {
      const work = { settled: false };
      void station.settle().then(() => (work.settled = true));
      while (!work.settled && receiver.hanging() === 0) await new Promise(setImmediate);
    };
    await station.clock.advance(ms, settle);
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
    const { station, receiver } = await alerted(kind);
    const before = receiver.messages.length;
    receiver.behave(how);
    await loseReplica(station, 'lost-1');
    await station.pass(2 * ROUND);
    expect(complaints(station)[0]).toMatchObject({ level: 'warn', webhook: `${kind} 1`, fault });
    expect((await read(station, TOKEN)).status).toBe(200);
    receiver.behave('ok');
    await station.pass(MINUTE);
    expect(receiver.messages).toHaveLength(before + 1);
    expect(station.logs).toContainEqual(
      expect.objectContaining({ level: 'info', message: 'alerts are taken again' }),
    );
    expect(await owed(station)).toEqual([]);
    expect(JSON.stringify(station.logs)).not.toContain(receiver.key);
  });

  it('that never answers is left after 5 s, holds nobody up, and does not delay the stop', async () => {
    const { station, receiver } = await alerted();
    receiver.behave('hang');
    await loseReplica(station, 'lost-1');
    await passHanging(station, receiver, ROUND);
    expect(receiver.hanging()).toBe(1);
    // The service goes on: a refresh, a push, an answer.
    const answer = await station.internal(`/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`);
    expect(answer.status).toBe(200);
    expect((await station.internal('/status')).status).toBe(200);
    await passHanging(station, receiver, 5_000);
    await vi.waitFor(() => expect(complaints(station)[0]).toMatchObject({ fault: 'timeout' }));
    await passHanging(station, receiver, MINUTE);
    expect(receiver.requests).toBeLessThan(8);

    const begun = performance.now();
    await station.app.stop();
    expect(performance.now() - begun).toBeLessThan(4_500);
  });

  it('that is down for an hour is told no more of what is long past, which the log says', async () => {
    const { station, receiver } = await alerted();
    receiver.behave('fails');
    await loseReplica(station, 'lost-1');
    await station.pass(MINUTE);
    expect(complaints(station).length).toBeGreaterThan(2);
    await station.pass(9 * MINUTE);
    // Ever rarer: 5 s, 10 s, 20 s ... five minutes.
    expect(complaints(station).length).toBeGreaterThan(4);
    expect(complaints(station).length).toBeLessThan(10);
    expect(await owed(station)).not.toEqual([]);
    await loseReplica(station, 'lost-2');
    await station.pass(ROUND);
    station.clock.sleepThrough(GIVE_UP_MS - 10 * MINUTE);
    await station.pass(ROUND);
    const given = station.logs.filter(({ message }) => message.startsWith('an alert was given up'));
    expect(given).toContainEqual(
      expect.objectContaining({ level: 'error', code: 'replica_lost', status: 'firing' }),
    );

    receiver.behave('ok');
    await station.pass(6 * MINUTE);
    const kinds = toldOf(receiver, 'replica_lost').map(({ body }) => body.kind);
    expect(kinds).toContain('lost-2');
    expect(toldOf(receiver, 'replica_lost')[0]?.body).not.toMatchObject({
      kind: 'lost-1',
      status: 'firing',
    });
    expect(await owed(station)).toEqual([]);
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
    const station = await createTestPlatform({
      clock,
      env: {
        ALERT_WEBHOOK_URL: good.url,
        ALERT_WEBHOOK_KIND: 'wecom',
        CONFIG_FILE: path,
      },
    });
    rmSync(folder, { recursive: true });
    open.push(station);
    await station.simulator.pushTicket();
    await station.pass(1.5 * MINUTE);
    await loseReplica(station, 'lost-1');
    await station.pass(ROUND);
    expect(good.messages.at(-1)?.text).toContain('有副本失联');
    expect(bad.requests).toBeGreaterThan(0);
    expect(await owed(station)).toHaveLength(1);
  });

  it('that does not understand one message gets the others all the same', async () => {
    const { station, receiver } = await alerted();
    receiver.refuseWith(422, 'lost-1');
    await loseReplica(station, 'lost-1');
    await station.pass(ROUND);
    await loseReplica(station, 'lost-2');
    await station.pass(2 * ROUND);
    const kinds = () => toldOf(receiver, 'replica_lost').map(({ body }) => body.kind);
    expect(kinds()).toEqual(['lost-2']);
    expect(complaints(station)[0]).toMatchObject({ fault: 'http_422' });
    receiver.refuseWith(200, '');
    await station.pass(5 * MINUTE);
    expect(kinds()).toEqual(['lost-2', 'lost-1']);
  });

  it('has room for what only this replica knows, however many others wait', async () => {
    const { station, receiver } = await alerted();
    receiver.behave('fails');
    for (let count = 0; count < 110; count += 1) await loseReplica(station, `lost-${count}`);
    await station.pass(ROUND);
    station.clock.jumpWallClock(2 * MINUTE);
    await station.pass(2 * MINUTE);
    receiver.behave('ok');
    await station.pass(6 * MINUTE);
    expect(toldOf(receiver, 'clock_skew').map(({ body }) => body.status)).toEqual(['firing']);
    expect(toldOf(receiver, 'replica_lost')).toHaveLength(110);
    expect(JSON.stringify(station.logs)).not.toContain('given up');
  });

  it('gets no more than robots take when everything breaks at once', async () => {
    const { station, receiver } = await alerted('dingtalk');
    for (let count = 0; count < 70; count += 1) await loseReplica(station, `lost-${count}`);
    await station.pass(2 * ROUND);
    expect(receiver.refusals).toEqual([]);
    const text = receiver.messages.map((one) => one.text).join('\n');
    expect(text.split('有副本失联').length - 1).toBe(70);
    expect(receiver.messages.length).toBeLessThan(8);
  });

  async function owed({ redis, keys }: TestPlatform): Promise<string[]> {
    return (await redis.hkeys(keys.alerts)).filter((field) => field.startsWith('owed|'));
  }
});
