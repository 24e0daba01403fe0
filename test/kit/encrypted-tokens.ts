import { randomBytes } from 'node:crypto';
import type { EncryptionKey } from '../../src/config/formats.ts';
import type { Service } from '../../src/service.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { AUTHORIZED } from './authorizers.ts';
import type { LogLine } from './logs.ts';
import type { Seen } from './observe.ts';
import { callbackOf, COMPONENT, createTestPlatform, type TestPlatform } from './platform.ts';
import { keysLike } from './redis-shapes/whole.ts';

/** Platforms that encrypt refresh tokens, and replicas beside them that have other keys. */

export const newKey = (id: string): EncryptionKey => ({
  id,
  key: randomBytes(32).toString('base64'),
});
export const OLD = newKey('old');
export const NEW = newKey('new');
export const OTHER = authorizerToken(COMPONENT.appid, 'wx00000000000000aa');
export const CANNOT = 'refresh tokens cannot be opened; none of them is overwritten';

export const settingOf = (keys: readonly EncryptionKey[]) =>
  keys.map(({ id, key }) => `${id}:${key}`).join(',');

/** A platform that has its token and gets a ticket every ten minutes; without keys it encrypts nothing. */
export async function createEncryptingPlatform(
  ...keys: readonly EncryptionKey[]
): Promise<TestPlatform> {
  const env = keys.length === 0 ? {} : { REFRESH_TOKEN_KEYS: settingOf(keys) };
  const platform = await createTestPlatform({ ticket: true, env });
  platform.simulator.setPushing(true);
  return platform;
}

/** A replica on the same Redis and simulator, which gets WeChat's pushes from now on. */
export interface Replica {
  app: Service;
  logs: LogLine[];
  stop(): Promise<void>;
  /** What a service gets that asks this one for the token of `AUTHORIZED`. */
  read(): Promise<Pick<Seen, 'status' | 'value' | 'error'>>;
  /** An internal request to this one. */
  internal(path: string, method?: string): Promise<Response>;
}

export async function addReplicaWithKeys(
  platform: TestPlatform,
  ...keys: readonly EncryptionKey[]
): Promise<Replica> {
  const logs: LogLine[] = [];
  const app = await platform.addReplica({ refreshTokenKeys: keys, logs });
  platform.simulator.setCallbackUrl(COMPONENT.appid, callbackOf(app));
  const internal = (path: string, method = 'GET') => platform.internal(path, { method }, app);
  return {
    app,
    logs,
    internal,
    stop: () => app.stop(),
    async read() {
      const answer = await internal(`/v1/credentials/${AUTHORIZED.kind}/${AUTHORIZED.subject}`);
      const body = (await answer.json()) as Omit<Seen, 'status'>;
      // Reading what is due starts a look behind the answer.
      await app.idle();
      return { ...body, status: answer.status };
    },
  };
}

/** Everything below our prefix, whatever its type: key to content as text. */
export async function everythingIn({ redis, config }: TestPlatform): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of await keysLike(redis, `${config.redisKeyPrefix}*`)) {
    found.set(name, JSON.stringify(await contentOf(redis, name)));
  }
  return found;
}

export async function keysThatHold(platform: TestPlatform, text: string): Promise<string[]> {
  const all = [...(await everythingIn(platform))];
  return all.flatMap(([name, json]) => (json.includes(text) ? [name] : []));
}

async function contentOf(redis: TestPlatform['redis'], name: string): Promise<unknown> {
  const type: string = await redis.type(name);
  switch (type) {
    case 'string':
      return redis.get(name);
    case 'hash':
      return redis.hgetall(name);
    case 'list':
      return redis.lrange(name, 0, -1);
    case 'zset':
      return redis.zrange(name, 0, '-1', 'WITHSCORES');
    case 'set':
      return (await redis.smembers(name)).sort();
    case 'stream':
      return redis.xrange(name, '-', '+');
    default:
      throw new Error(`nobody can read a ${type}`);
  }
}
