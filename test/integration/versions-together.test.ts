import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged, read } from '../kit/observe.ts';
import { createTestPlatform, HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { newest, tokenMints } from '../kit/redis-trouble.ts';
import { REFRESHED } from '../kit/scenario.ts';

/** A number and a field that this version has never heard of. */
const LATER = { schema: '9', invented_later: 'kept' };
/** Fields that 0.1.0 knows; it writes no others. */
const FIELDS_OF_010 = [
  ...['value', 'expires_at', 'obtained_at', 'seq', 'clock', 'committed', 'committed_op'],
  ...['reason', 'replica', 'failures'],
];

let platform: TestPlatform;
beforeEach(async () => {
  platform = await createTestPlatform();
  await platform.simulator.pushTicket();
  await platform.settle();
});
afterEach(() => platform.close());

async function status(language: string) {
  const answer = await platform.internal(`/status?lang=${language}`);
  const { components } = (await answer.json()) as {
    components: {
      problems: { code: string }[];
      credentials: { last_error: { message: string } }[];
    }[];
  };
  const [component] = components;
  const [credential] = component?.credentials ?? [];
  if (component === undefined || credential === undefined) throw new Error('no component');
  return { problems: component.problems, last_error: credential.last_error };
}

const key = () => platform.keys.record(TOKEN);

describe('row 84: two versions share one Redis', () => {
  it('goes on with the record of 0.1.0 without a call to WeChat, until it is due', async () => {
    const record = await platform.redis.hgetall(key());
    const former = Object.entries(record).filter(([name]) => FIELDS_OF_010.includes(name));
    await platform.redis.del(key());
    await platform.redis.hset(key(), Object.fromEntries(former));
    await platform.skip(104 * MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, value: record.value });
    expect(tokenMints(platform)).toBe(1);
    await platform.pass(6 * MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect(tokenMints(platform)).toBe(2);
    expect(await platform.redis.hget(key(), 'schema')).toBe('2');
    expect(logged(platform, REFRESHED, TOKEN.kind)).toHaveLength(2);
    await expectHealed(platform);
  });

  it('waits for a mint of 0.1.0, whose lock tells of no epoch and no intent', async () => {
    await platform.skip(109 * MINUTE);
    const lockUntil = platform.clock.simulatedStoreNow() + 70_000;
    await platform.redis.hset(key(), { lock_op: 'of 0.1.0', lock_until: lockUntil, lock_begin: 3 });
    await platform.pass(65_000);
    expect(tokenMints(platform)).toBe(1);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });
    await platform.pass(30_000);
    expect(tokenMints(platform)).toBe(2);
    await expectHealed(platform);
  });

  it('shows the failure that 0.1.0 has written, in both languages, as the trouble that it is', async () => {
    const unheard = 'api_component_token: unreachable: no connection to WeChat';
    const error = { class: 'retry', message: unheard, advice: 'Check DNS.' };
    const written = { last_error: JSON.stringify(error), failures: 2 };
    await platform.redis.hset(key(), { ...written, last_error_at: platform.clock.now() });
    const [en, zh] = [await status('en'), await status('zh')];
    expect(en.problems).toMatchObject([{ code: 'wechat_unreachable' }]);
    expect(Object.keys(en.last_error).sort()).toEqual(['advice', 'at', 'class', 'message']);
    expect(en.last_error).toMatchObject({ class: 'retry', message: unheard });
    expect(zh.last_error.message).toBe('api_component_token：连接不上微信');
  });

  it('writes a failure so that 0.1.0 can show it', async () => {
    platform.simulator.addFault({
      api: 'api_component_token',
      fault: { type: 'status', status: 500 },
    });
    await platform.skip(2 * HOUR);
    const stored = JSON.parse((await platform.redis.hget(key(), 'last_error')) ?? '{}') as unknown;
    expect(stored).toMatchObject({
      class: 'retry',
      fault: 'http_status',
      api: 'api_component_token',
      message: 'api_component_token: http_status: WeChat answered with a server error',
      advice: 'It is tried again.',
    });
  });

  it('keeps what a later version has written beside its own fields', async () => {
    await platform.redis.hset(key(), LATER);
    await platform.skip(HOUR);
    await platform.redis.del(platform.keys.mirror(TOKEN));
    await platform.skip(2 * HOUR);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
    expect(await platform.redis.hget(key(), 'invented_later')).toBe('kept');
    expect(tokenMints(platform)).toBe(2);
  });
});
