import { afterAll, beforeAll, expect, it } from 'vitest';
import { SILENT } from '../../src/commands/doctor/installation.ts';
import { loadRedis } from '../../src/config/load.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { connectRedis, whenReady } from '../../src/store/redis/connection.ts';
import { POLLING } from '../kit/waiting.ts';

/** User and password, each from the URL or from a setting of its own. */

const PASSWORD = 'a%2F@b:c/d?e';
const ESCAPED = encodeURIComponent(PASSWORD);

let server: RedisServer;
beforeAll(async () => {
  const user = ['--user', 'wxkeeper', 'on', `>${PASSWORD}`, '~*', '&*', '+@all'];
  server = await startRedisServer({ listen: 'port', args: [...user, '--user', 'default', 'off'] });
});
afterAll(() => server.stop());

it.each([
  ['both in the URL', `wxkeeper:${ESCAPED}@`, {}],
  ['the user in the URL', 'wxkeeper@', { REDIS_PASSWORD: PASSWORD }],
  ['the password in the URL', `:${ESCAPED}@`, { REDIS_USERNAME: 'wxkeeper' }],
  ['neither', '', { REDIS_USERNAME: 'wxkeeper', REDIS_PASSWORD: PASSWORD }],
])('logs in with %s', async (_where, login, more) => {
  const env = { REDIS_URL: `redis://${login}127.0.0.1:${server.port}`, ...more };
  const redis = connectRedis(loadRedis(env), SILENT);
  try {
    expect(await whenReady(redis, POLLING.timeout)).toBe(true);
    expect(await redis.call('ACL', 'WHOAMI')).toBe('wxkeeper');
  } finally {
    redis.disconnect();
  }
});
