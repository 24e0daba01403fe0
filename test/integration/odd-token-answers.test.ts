import { afterEach, describe, expect, it } from 'vitest';
import { TOKEN, watchMirrors } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, statusOf, stored } from '../kit/observe.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';

const API = 'api_component_token';

describe('row 44: expires_in is missing or odd', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  async function withExpiresIn(fault: { fields?: Record<string, unknown>; remove?: string[] }) {
    platform = await createTestPlatform();
    platform.simulator.addFault({ api: API, fault: { type: 'patch', ...fault } });
    await platform.simulator.pushTicket();
    await platform.settle();
  }

  it.each([
    { name: 'missing', fault: { remove: ['expires_in'] }, life: 600, warns: true },
    { name: '0', fault: { fields: { expires_in: 0 } }, life: 600, warns: true },
    { name: 'negative', fault: { fields: { expires_in: -7200 } }, life: 600, warns: true },
    { name: 'a fraction', fault: { fields: { expires_in: 1.5 } }, life: 600, warns: true },
    { name: 'null', fault: { fields: { expires_in: null } }, life: 600, warns: true },
    { name: 'too long', fault: { fields: { expires_in: 1e9 } }, life: 7200, warns: true },
    { name: 'text', fault: { fields: { expires_in: '7200' } }, life: 7200, warns: false },
  ])('keeps the token when it is $name, for $life s', async ({ fault, life, warns }) => {
    await withExpiresIn(fault);
    const { simulator, redis, keys } = platform;
    const minted = simulator.latestMint(TOKEN.kind);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: minted?.value,
      seq: 1,
      state: 'fresh',
      expires_in: life,
    });
    expect(await stored(platform, TOKEN)).toMatchObject({
      failures: 0,
      locked: false,
      kept: { value: minted?.value, mirror: minted?.value },
    });
    // Redis counts on its own clock: some of it may be gone, and no more than the life is left.
    const left = await redis.pttl(keys.mirror(TOKEN));
    expect(left).toBeLessThanOrEqual(life * 1000);
    expect(left).toBeGreaterThan((life - 300) * 1000);
    const lines = platform.logs.filter(({ message }) => message.includes('expires_in'));
    expect(lines).toMatchObject(warns ? [{ level: 'warn', kind: TOKEN.kind, seq: 1 }] : []);
    expect(lines).toHaveLength(warns ? 1 : 0);
    const { credential, problems } = await statusOf(platform, TOKEN);
    expect(credential).toMatchObject({ state: 'fresh', failures_in_a_row: 0, last_error: null });
    expect(problems).toEqual([]);
    expect(simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind)).toHaveLength(1);
  });

  it('never leaves anybody without a live token after an assumed short life', async () => {
    await withExpiresIn({ remove: ['expires_in'] });
    // Without a mirror a service that reads Redis has nothing, whatever WeChat would accept.
    expect(await watchMirrors(platform, 25 * 60, [TOKEN])).toEqual([]);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2 });
  });
});

describe('row 45: the token in the answer is malformed', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it.each([
    { name: 'empty', value: '' },
    { name: 'a number', value: 1234567890 },
    { name: 'null', value: null },
    { name: 'an object', value: { token: 'inside' } },
    { name: 'with spaces', value: 'has spaces in it' },
    { name: 'with a line break', value: 'first\nsecond' },
    { name: '1025 characters long', value: 'x'.repeat(1025) },
  ])('keeps the old one when it is $name, and asks again', async ({ value }) => {
    platform = await createTestPlatform();
    const { simulator } = platform;
    await simulator.pushTicket();
    await platform.settle();
    await platform.skip(110 * MINUTE - 1_000);
    const before = await stored(platform, TOKEN);
    const since = platform.clock.now();
    simulator.addFault({
      api: API,
      times: 2,
      fault: { type: 'patch', fields: { component_access_token: value } },
    });
    await platform.pass(2_000);

    const after = await stored(platform, TOKEN);
    expect(after).toMatchObject({ kept: before.kept, failures: 1, locked: false, suspect: true });
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
      state: 'due',
    });
    const lines = logged(platform, 'refresh failed: a person should look', TOKEN.kind);
    expect(lines).toMatchObject([{ level: 'error', failure: { class: 'retry' } }]);
    const { credential } = await statusOf(platform, TOKEN);
    expect(credential.last_error?.message).toMatch(/component_access_token.*empty or malformed/);

    await platform.pass(18_000);
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    await platform.pass(10_000);
    const calls = callsSince(platform, API, since);
    expect(calls).toHaveLength(3);
    for (const gap of gaps(calls)) expect(gap).toBeGreaterThanOrEqual(10);
    expect(await stored(platform, TOKEN)).toMatchObject({
      failures: 0,
      suspect: false,
      kept: { seq: '2', mirror: simulator.latestMint(TOKEN.kind)?.value },
    });
  });

  it('takes one of exactly 1024 characters', async () => {
    platform = await createTestPlatform();
    const value = 'x'.repeat(1024);
    platform.simulator.addFault({
      api: API,
      fault: { type: 'patch', fields: { component_access_token: value } },
    });
    await platform.simulator.pushTicket();
    await platform.settle();
    expect((await stored(platform, TOKEN)).kept.mirror).toBe(value);
  });
});
