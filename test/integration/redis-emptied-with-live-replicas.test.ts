import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Service } from '../../src/service.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { AUTHORIZER_API } from '../kit/authorizers.ts';
import { callsSince } from '../kit/observe.ts';
import { COMPONENT, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { LIST_API, progressOf } from '../kit/reconciling.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { passUnanswered, POLLING } from '../kit/waiting.ts';

describe('row 129: Redis is emptied under two replicas, each of which remembers other authorizers', () => {
  let server: RedisServer;
  let platform: TestPlatform;
  let other: Service;
  let appids: string[];
  let values: (string | null)[];
  const ids = () => appids.map((appid) => authorizerToken(COMPONENT.appid, appid));
  const mirrors = () =>
    Promise.all(ids().map((id) => platform.redis.get(platform.keys.mirror(id))));

  beforeEach(async () => {
    server = await startRedisServer();
    platform = await createTestPlatform({ ticket: true, redisUrl: server.url });
    platform.redis.on('error', () => undefined);
    other = await platform.addReplica();
    appids = platform.simulator.populate(COMPONENT.appid, 12);
    // What was minted within two minutes is in doubt after a restart.
    await passUnanswered(platform, 5 * MINUTE);
    expect(await progressOf(platform)).toMatchObject({ state: 'done' });
    const apps: Service[] = [platform.app, other];
    // Whichever of them minted it: half of them are seen by one, half by the other.
    for (const [index, id] of ids().entries()) {
      await apps[index % 2]?.keeper.ensureFresh(id, 'patrol');
    }
    values = await mirrors();
    expect(values).not.toContain(null);
  });
  afterEach(async () => {
    await platform.close();
    await server.stop();
  });

  it.each([
    { name: 'by a command', empty: () => platform.redis.flushall() },
    {
      name: 'by a restart without data',
      empty: async () => {
        await server.kill();
        await becomes(platform, 503);
        await server.start();
        await becomes(platform, 200);
        // Connections take real time, of which the clock of the test knows nothing.
        const ready = `http://127.0.0.1:${other.internalPort()}/readyz`;
        await vi.waitFor(async () => expect((await fetch(ready)).status).toBe(200), POLLING);
      },
    },
  ])('$name: every value is the one of before, and the list comes after', async ({ empty }) => {
    const since = platform.clock.now();
    await empty();
    await passUnanswered(platform, 20_000);
    // Not in doubt for anybody, but a call may be under way that Redis knows nothing of any more.
    for (const id of ids()) {
      const { suspect, quarantineUntil } = await readRecord(platform.store, id);
      expect({ suspect, quarantined: quarantineUntil > since }).toEqual({
        suspect: false,
        quarantined: true,
      });
    }
    expect(callsSince(platform, LIST_API, since)).toEqual([]);
    await passUnanswered(platform, 2 * MINUTE);
    expect(await mirrors()).toEqual(values);
    expect(callsSince(platform, AUTHORIZER_API, since)).toEqual([]);
    // And then it is read all the same, for whom nobody remembers.
    expect(callsSince(platform, LIST_API, since)).toHaveLength(1);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', total: 12 });
  });
});
