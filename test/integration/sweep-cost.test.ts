import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { authorize, AUTHORIZER_API } from '../kit/authorizers.ts';
import { COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { countCommands, totalOf } from '../kit/redis-commands.ts';

/** Commands that a look may cost: its record, its platform's token, begin, commit, index. */
const COMMANDS_EACH = 50;
/** Of these, readings of a whole record. */
const READINGS_EACH = 5;

let server: RedisServer;
let platform: TestPlatform;
beforeEach(async () => {
  // One of its own: what others do would be counted, too.
  server = await startRedisServer();
  // A pace that holds nothing up: what one tick costs is counted, however much is due.
  const env = { AUTHORIZER_REFRESHES_PER_SECOND: '1000' };
  platform = await createTestPlatform({ ticket: true, redisUrl: server.url, env });
});
afterEach(async () => {
  await platform.close();
  await server.stop();
});

let known = 0;
/** So many more have authorized the platform and have no token yet. */
async function becomeDue(count: number): Promise<void> {
  const first = known;
  known += count;
  const ids = Array.from({ length: count }, (_, index) =>
    authorizerToken(COMPONENT.appid, `wx${String(first + index)}`),
  );
  await Promise.all(ids.map((id) => authorize(platform, id)));
}

const tick = () => platform.app.keeper.refreshDue('authorizer_access_token', 'cron');
const calls = () => platform.simulator.ledger.calls.filter(({ api }) => api === AUTHORIZER_API);

async function costOfTick(): Promise<{ commands: number; readings: number; minted: number }> {
  const before = calls().length;
  const counts = await countCommands(platform.redis, async () => {
    expect(await tick()).toMatchObject({ ok: true });
    await platform.settle();
  });
  const readings = counts['hgetall'] ?? 0;
  return { commands: totalOf(counts), readings, minted: calls().length - before };
}

describe('a tick over many authorizers', () => {
  it('costs what is due, however many there are', async () => {
    await becomeDue(20);
    const alone = await costOfTick();
    expect(alone.minted).toBe(20);
    expect(alone.commands).toBeLessThanOrEqual(20 * COMMANDS_EACH);
    expect(alone.readings).toBeLessThanOrEqual(20 * READINGS_EACH);

    await becomeDue(280);
    await tick();
    await becomeDue(20);
    const among320 = await costOfTick();
    expect(among320.minted).toBe(20);
    // How often one reading of the platform's token serves several looks is a matter of chance.
    expect(among320.commands).toBeGreaterThan(0.8 * alone.commands);
    expect(among320.commands).toBeLessThan(1.2 * alone.commands);

    await becomeDue(60);
    const threeTimes = await costOfTick();
    expect(threeTimes.minted).toBe(60);
    expect(threeTimes.commands).toBeGreaterThan(2 * alone.commands);
    expect(threeTimes.commands).toBeLessThan(4 * alone.commands);
  });

  it('costs next to nothing when nothing is due', async () => {
    await becomeDue(100);
    await tick();
    // The script, and the look at the index in it.
    expect(await costOfTick()).toEqual({ commands: 2, readings: 0, minted: 0 });
  });
});
