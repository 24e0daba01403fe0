import { loadRedis } from '../../../src/config/load.ts';
import { SILENT } from '../../../src/commands/doctor/installation.ts';
import type { RedisClient, RedisPurpose } from '../../../src/store/redis/client.ts';
import { connectRedis, whenReady } from '../../../src/store/redis/connection.ts';
import { POLLING } from '../waiting.ts';
import type { RedisAccess } from './access.ts';

/**
 * A client as the service has it, and not the patient one of a test. To be disconnected.
 * @throws Error when it cannot be used in time
 */
export async function connectAsService(
  { env }: RedisAccess,
  purpose?: RedisPurpose,
): Promise<RedisClient> {
  const redis = connectRedis(loadRedis(env), SILENT, purpose);
  if (await whenReady(redis, POLLING.timeout)) return redis;
  redis.disconnect();
  throw new Error('the client of the service is not ready');
}
