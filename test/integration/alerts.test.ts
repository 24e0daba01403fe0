import { afterEach, describe, expect, it } from 'vitest';
import {
  loseReplica,
  receiversOfAllKinds,
  ROUND,
  SECRET,
  statuses,
  toldOf,
} from '../kit/alerting.ts';
import { createManualClock } from '../kit/clock.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { createWebhookReceiver, type WebhookReceiver } from '../kit/webhook-receiver.ts';

/** Alerts from the rules to real receivers, with a clock that the test moves. */
describe('alerts', () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  });

  async function alerted(): Promise<{ platform: TestPlatform; receiver: WebhookReceiver }> {
    const clock = createManualClock();
    const receiver = await createWebhookReceiver('json', { clock });
    open.push(receiver);
    const platform = await createTestPlatform({ clock, env: { ALERT_WEBHOOK_URL: receiver.url } });
    open.push(platform);
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    await platform.simulator.pushTicket();
    await platform.pass(MINUTE);
    return { platform, receiver };
  }

  it('tell once over two replicas, remind at growing distances, tell the end once', async () => {
    const { platform, receiver } = await alerted();
    await platform.addReplica();
    await platform.pass(2 * MINUTE);
    await loseReplica(platform, 'lost-1');
    await platform.pass(ROUND);
    // Replicas that were asleep miss each other for a moment: that is another problem.
    const told = () =>
      toldOf(receiver, 'replica_lost').filter(({ body }) => body.kind === 'lost-1');
    expect(statuses(told())).toEqual(['firing']);
    const began = told()[0]?.at ?? 0;

    // Ticks of the patrol are 15 s apart: it comes at the first one at or after its time.
    for (const [wait, status] of [
      [HOUR, 'reminder'],
      [4 * HOUR, 'reminder'],
    ] as const) {
      const before = told().length;
      const slept = began + wait - 2 * ROUND - platform.clock.now();
      platform.clock.sleepThrough(slept);
      await platform.pass(2 * ROUND - 1);
      expect(told()).toHaveLength(before);
      await platform.pass(ROUND);
      expect(statuses(told()).slice(before)).toEqual([status]);
    }

    await loseReplica(platform, 'lost-1', true);
    await platform.pass(60_000);
    expect(statuses(told())).not.toContain('resolved');
    await platform.pass(2 * ROUND);
    expect(statuses(told())).toEqual(['firing', 'reminder', 'reminder', 'resolved']);
    const body = told()[3]?.body ?? {};
    expect(body).toMatchObject({ severity: 'warning', alert: 'WxkeeperReplicaLost' });
    expect(Number(body.lasted_seconds)).toBeGreaterThan(4 * 3_600);
    const lasted = Date.parse(String(body.ends)) - Date.parse(String(body.since));
    expect(body.lasted_seconds).toBe(Math.floor(lasted / 1_000));
    await platform.pass(5 * MINUTE);
    expect(told()).toHaveLength(4);
    expect(new Set(receiver.messages.map(({ body }) => body.id)).size).toBe(
      receiver.messages.length,
    );
  });

  it('take what comes back within a minute for the same problem', async () => {
    const { platform, receiver } = await alerted();
    await platform.pass(2 * MINUTE);
    for (let flap = 0; flap < 4; flap += 1) {
      await loseReplica(platform, 'lost-1');
      await platform.pass(ROUND);
      await loseReplica(platform, 'lost-1', true);
      await platform.pass(2 * ROUND);
    }
    expect(statuses(toldOf(receiver, 'replica_lost'))).toEqual(['firing']);
    await platform.pass(60_000);
    expect(statuses(toldOf(receiver, 'replica_lost'))).toEqual(['firing', 'resolved']);
  });

  it('come again at once when it gets graver, and end when the trouble ends, not when it turns', async () => {
    const { platform, receiver } = await alerted();
    const told = () => receiver.messages.filter(({ body }) => String(body.code).includes('ticket'));
    const summary = () => told().map(({ body }) => `${String(body.code)} ${String(body.status)}`);
    await platform.pass(25 * MINUTE - MINUTE);
    expect(summary()).toEqual([]);
    await platform.pass(2 * ROUND);
    expect(summary()).toEqual(['ticket_silent firing']);
    expect(told()[0]?.body).toMatchObject({ severity: 'warning', previous_severity: null });
    await platform.pass(35 * MINUTE);
    expect(summary()).toEqual(['ticket_silent firing', 'ticket_silent firing']);
    expect(told()[1]?.body).toMatchObject({ severity: 'critical', previous_severity: 'warning' });

    // Twelve hours later the ticket has expired, which does not mean that it is silent no longer.
    platform.clock.sleepThrough(11 * HOUR);
    await platform.pass(3 * MINUTE);
    expect(summary().slice(2)).toEqual(['ticket_expired firing']);
    await platform.simulator.pushTicket();
    await platform.pass(2 * MINUTE);
    expect(summary().slice(3).sort()).toEqual([
      'ticket_expired resolved',
      'ticket_silent resolved',
    ]);
  });

  it('go to a robot of each kind in its own form, signed, in Chinese; start and stop, too', async () => {
    const clock = createManualClock();
    const all = await receiversOfAllKinds(clock);
    open.push(all);
    const platform = await createTestPlatform({ clock, env: all.env });
    await platform.simulator.pushTicket();
    await platform.pass(2 * MINUTE);
    await loseReplica(platform, 'lost <@all> [x](http://x)');
    await platform.pass(ROUND);
    // One of each is told singly; five at once are one message for a robot.
    for (const one of ['a', 'b', 'c', 'd', 'e']) await loseReplica(platform, `lost-${one}`);
    await platform.pass(ROUND);
    await platform.close();
    for (const { kind, messages, refusals } of all.receivers) {
      expect({ kind, refusals }).toEqual({ kind, refusals: [] });
      const texts = messages.map(({ text }) => text);
      if (kind === 'json') {
        expect(messages.map(({ body }) => body.alert)).toEqual([
          'WxkeeperStarted',
          ...Array.from({ length: 6 }, () => 'WxkeeperReplicaLost'),
          'WxkeeperStopped',
        ]);
        expect(texts[1]).toContain('A replica is lost');
        continue;
      }
      expect(texts).toHaveLength(4);
      expect(texts[0]).toContain('wxkeeper 已启动');
      expect(texts[1]).toContain('有副本失联');
      expect(texts[1]).toContain('处理：');
      expect(texts[1]).toContain('WxkeeperReplicaLost');
      if (kind !== 'feishu') expect(texts[1]).not.toMatch(/<@|\]\(/);
      expect(texts[2]).toContain('wxkeeper：5 条消息');
      expect(texts[2]?.split('有副本失联')).toHaveLength(6);
      expect(texts[3]).toContain('wxkeeper 正在停止');
    }
    const logs = JSON.stringify(platform.logs);
    for (const { key, url } of all.receivers) {
      expect(logs).not.toContain(key);
      expect(logs).not.toContain(url);
    }
    expect(logs).not.toContain(SECRET);
    expect(logs).toContain(COMPONENT.appid);
  });
});
