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

let station: TestPlatform;
beforeEach(async () => {
  station = await createTestPlatform();
  await station.simulator.pushTicket();
  await station.settle();
});
afterEach(() => station.close());

async function status(language: string) {
  const answer = await station.internal(`/status?lang=${language}`);
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

const key = () => station.keys.record(TOKEN);

describe('row 84: two versions share one Redis', () => {
  it('goes on with the record of 0.1.0 without a call to WeChat, until it is due', async () => {
    const record = await station.redis.hgetall(key());
    const former = Object.entries(record).filter(([name]) => FIELDS_OF_010.includes(name));
    await station.redis.del(key());
    await station.redis.hset(key(), Object.fromEntries(former));
    await station.skip(104 * MINUTE);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 1, value: record.value });
    expect(tokenMints(station)).toBe(1);
    await station.pass(6 * MINUTE);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect(tokenMints(station)).toBe(2);
    expect(await station.redis.hget(key(), 'schema')).toBe('2');
    expect(logged(station, REFRESHED, TOKEN.kind)).toHaveLength(2);
    await expectHealed(station);
  });

  it('waits for a mint of 0.1.0, whose lock tells of no epoch and no intent', async () => {
    await station.skip(109 * MINUTE);
    const lockUntil = station.clock.simulatedStoreNow() + 70_000;
    await station.redis.hset(key(), { lock_op: 'of 0.1.0', lock_until: lockUntil, lock_begin: 3 });
    await station.pass(65_000);
    expect(tokenMints(station)).toBe(1);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });
    await station.pass(30_000);
    expect(tokenMints(station)).toBe(2);
    await expectHealed(station);
  });

  it('shows the failure that 0.1.0 has written, in both languages, as the trouble that it is', async () => {
    const unheard = 'api_component_token: unreachable: no connection to WeChat';
    const error = { class: 'retry', message: unheard, advice: 'Check DNS.' };
    const written = { last_error: JSON.stringify(error), failures: 2 };
    await station.redis.hset(key(), { ...written, last_error_at: station.clock.now() });
    const [en, zh] = [await status('en'), await status('zh')];
    expect(en.problems).toMatchObject([{ code: 'wechat_unreachable' }]);
    expect(Object.keys(en.last_error).sort()).toEqual(['advice', 'at', 'class', 'message']);
    expect(en.last_error).toMatchObject({ class: 'retry', message: unheard });
    expect(zh.last_error.message).toBe('api_component_token：连接不上微信');
  });

  it('writes a failure so that 0.1.0 can show it', async () => {
    station.simulator.addFault({
      api: 'api_component_token',
      fault: { type: 'status', status: 500 },
    });
    await station.skip(2 * HOUR);
    const stored = JSON.parse((await station.redis.hget(key(), 'last_error')) ?? '{}') as unknown;
    expect(stored).toMatchObject({
      class: 'retry',
      fault: 'http_status',
      api: 'api_component_token',
      message: 'api_component_token: http_status: WeChat answered with a server error',
      advice: 'It is tried again.',
    });
  });

  it('keeps what a later version has written beside its own fields', async () => {
    await station.redis.hset(key(), LATER);
    await station.skip(HOUR);
    await station.redis.del(station.keys.mirror(TOKEN));
    await station.skip(2 * HOUR);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, value: newest(station) });
    expect(await station.redis.hget(key(), 'invented_later')).toBe('kept');
    expect(tokenMints(station)).toBe(2);
  });
});
