import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged, stored } from '../kit/observe.ts';
import { createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { POLLING } from '../kit/waiting.ts';

const NOT_YET = 'a minted value could not be stored yet';
const LOST = 'a minted value could not be stored and is lost';

/** WeChat has minted and killed the old token; now Redis cannot take the new one. */
describe('Redis dies between the mint and its commit', () => {
  let server: RedisServer;
  let platform: TestPlatform;
  beforeEach(async () => {
    server = await startRedisServer({ appendOnly: true });
    platform = await createTestPlatform({ redisUrl: server.url });
    platform.redis.on('error', () => undefined);
    const { simulator, clock } = platform;
    const fault = { type: 'delay', ms: 2_000 } as const;
    simulator.addFault({ api: 'api_component_token', afterMint: true, fault });
    expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
    await vi.waitFor(() => expect(mints()).toBe(1), POLLING);
    await server.kill();
    await clock.advance(2_000);
    await vi.waitFor(() => expect(logged(platform, NOT_YET)).toHaveLength(1), POLLING);
  });
  afterEach(async () => {
    await platform.close();
    await server.stop();
  });

  const mints = () =>
    platform.simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;
  const ready = async () => (await platform.internal('/readyz')).status === 200;

  it('stores it as soon as Redis is back, and mints once more because of the restart', async () => {
    await server.start();
    await vi.waitFor(async () => expect(await ready()).toBe(true), POLLING);
    await vi.waitFor(async () => {
      await platform.clock.advance(1_000);
      expect((await stored(platform, TOKEN)).kept.seq).toBe('1');
    }, POLLING);
    await platform.settle();
    const minted = platform.simulator.latestMint(TOKEN.kind)?.value;
    expect(await stored(platform, TOKEN)).toMatchObject({
      locked: false,
      failures: 0,
      suspect: true,
      kept: { value: minted, mirror: minted },
    });
    expect(mints()).toBe(1);
    // What else the restart may have lost is unknown, so that one more mint settles it.
    await platform.pass(40_000);
    expect(await stored(platform, TOKEN)).toMatchObject({ suspect: false, kept: { seq: '2' } });
    expect(mints()).toBe(2);
    expect(logged(platform, NOT_YET).every(({ level }) => level === 'warn')).toBe(true);
    expect(logged(platform, LOST)).toEqual([]);
  });

  it('says for a person that it is lost when Redis stays away, and mints another one later', async () => {
    const { clock } = platform;
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect(logged(platform, LOST)).toMatchObject([{ level: 'error' }]);
    }, POLLING);
    await server.start();
    await vi.waitFor(async () => expect(await ready()).toBe(true), POLLING);
    await vi.waitFor(async () => {
      await platform.pass(5_000);
      const { kept } = await stored(platform, TOKEN);
      expect(platform.simulator.isLive(TOKEN.kind, kept.mirror ?? '')).toBe(true);
    }, POLLING);
    expect(mints()).toBe(2);
  });
});
