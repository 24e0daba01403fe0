import { afterEach, describe, expect, it } from 'vitest';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { callsSince } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';

const API = 'api_start_push_ticket';
const PATH = `/v1/components/${COMPONENT.appid}/start-push-ticket`;

interface Answer {
  status: number;
  retryAfter: number;
  body: { asked?: boolean; error?: { code: string; message: string } };
}

/** A person asks WeChat to push tickets. */
describe('asking for tickets', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  async function ask(port = platform.app.internalPort(), path = PATH): Promise<Answer> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${platform.apiKey}` },
    });
    const retryAfter = Number(response.headers.get('retry-after'));
    return { status: response.status, retryAfter, body: await response.json() } as Answer;
  }

  it('makes them come, and says in the log who has asked', async () => {
    platform = await createTestPlatform();
    expect(await ask()).toMatchObject({ status: 202, body: { asked: true } });
    await platform.pass(2_000);
    const tickets = await platform.redis.get(platform.keys.ticketMirror(COMPONENT.appid));
    expect(tickets).toMatch(/^ticket@@@/);
    const lines = platform.logs.filter(({ message }) => message.includes('asked by hand'));
    expect(lines).toMatchObject([{ level: 'info', appid: COMPONENT.appid, by: 'tests' }]);
  });

  it('is seen in the status, and the watchdog does not ask again at once', async () => {
    platform = await createTestPlatform();
    expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
    await platform.settle();
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    await platform.pass(29 * MINUTE);
    const since = platform.clock.now();
    const ticketKey = platform.keys.ticketRecord(COMPONENT.appid);
    await platform.redis.hset(ticketKey, 'push_unanswered', 1);
    expect((await ask()).status).toBe(202);
    const status = (await (await platform.internal('/status')).json()) as {
      components: { ticket: { push_asked_for_at: string | null } }[];
    };
    const at = status.components[0]?.ticket.push_asked_for_at ?? '';
    expect(Math.abs(Date.parse(at) - since)).toBeLessThan(1_000);
    await platform.pass(15 * MINUTE);
    expect(callsSince(platform, API, since)).toHaveLength(1);
  });

  it('happens once a minute, whichever replica is asked', async () => {
    platform = await createTestPlatform();
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    const other = await platform.addReplica();
    const since = platform.clock.now();
    const ports = [platform.app, other].map((app) => app.internalPort());
    const answers = await Promise.all([...ports, ...ports, ...ports].map((port) => ask(port)));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
    const refused = answers.filter(({ status }) => status !== 202);
    for (const { status, body, retryAfter } of refused) {
      expect([status, body.error?.code]).toEqual([429, 'too_many_requests']);
      expect(retryAfter).toBeGreaterThan(50);
      expect(retryAfter).toBeLessThanOrEqual(60);
    }
    expect(callsSince(platform, API, since)).toHaveLength(1);
    // The minute is Redis's own, in real time.
    const lease = platform.keys.lease('start_push_ticket', COMPONENT.appid);
    expect(await platform.redis.pttl(lease)).toBeGreaterThan(50_000);
    await platform.redis.del(lease);
    expect((await ask()).status).toBe(202);
  });

  it.each([
    { errcode: 40125, code: 'wechat_refused', wait: 600, says: 'AppSecret' },
    { errcode: -1, code: 'wechat_unavailable', wait: 5, says: 'busy' },
  ])('says why when WeChat answers $errcode', async ({ errcode, code, wait, says }) => {
    platform = await createTestPlatform();
    platform.simulator.addFault({ api: API, fault: { type: 'errcode', errcode } });
    const { status, body, retryAfter } = await ask();
    expect([status, body.error?.code, retryAfter]).toEqual([503, code, wait]);
    expect(body.error?.message).toContain(says);
    expect(body.error?.message).not.toContain(COMPONENT.secret);
  });

  it('calls nobody for a component that is not configured, or while Redis is away', async () => {
    const server = await startRedisServer();
    platform = await createTestPlatform({ redisUrl: server.url });
    try {
      const since = platform.clock.now();
      const path = PATH.replace(COMPONENT.appid, 'wxffffffffffffffff');
      const unknown = await ask(undefined, path);
      expect([unknown.status, unknown.body.error?.code]).toEqual([404, 'unknown_component']);
      await server.kill();
      const away = await ask();
      expect([away.status, away.body.error?.code]).toEqual([503, 'store_unavailable']);
      expect(callsSince(platform, API, since)).toEqual([]);
    } finally {
      await server.stop();
    }
  });
});
