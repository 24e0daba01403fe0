import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { createService, type Service } from '../../src/service.ts';
import { createLog } from '../../src/lib/log.ts';
import type { EncryptionKey } from '../../src/config/formats.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { AUTHORIZED, createPlatform } from './authorizers.ts';
import type { Seen } from './observe.ts';
import { COMPONENT, createManualCron, skipQuietly, type Station } from './platform.ts';

/** Stations that seal refresh tokens, and replicas beside them that have other keys. */

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

/** A replica on the same Redis and simulator. */
export interface Replica {
  app: Service;
  logs: string[];
  stop(): Promise<void>;
  /** What a service gets that asks this one for the token of `AUTHORIZED`. */
  read(): Promise<Pick<Seen, 'status' | 'value' | 'error'>>;
  /** An internal request to this one. */
  internal(path: string, method?: string): Promise<Response>;
}

export interface SealedPlatform {
  station: Station;
  addReplica(...keys: readonly EncryptionKey[]): Promise<Replica>;
  /** Lets time pass for the station and all replicas. */
  pass(ms: number): Promise<void>;
  /** The same without trouble, at a tenth of the cost: see `skipQuietly`. */
  skip(ms: number): Promise<void>;
  /** Everything below our prefix, whatever its type: key to content as text. */
  everything(): Promise<Map<string, string>>;
  keysThatHold(text: string): Promise<string[]>;
  close(): Promise<void>;
}

export async function createSealedPlatform(
  ...keys: readonly EncryptionKey[]
): Promise<SealedPlatform> {
  const env = keys.length === 0 ? {} : { REFRESH_TOKEN_KEYS: settingOf(keys) };
  const station = await createPlatform({ env });
  station.simulator.setPushing(true);
  const replicas = new Set<Replica>();
  const settle = async () => {
    for (let round = 0; round < 3; round += 1) {
      await station.settle();
      for (const { app } of replicas) await app.idle();
    }
  };
  const everything = async () => {
    const found = new Map<string, string>();
    const match = `${station.config.redisKeyPrefix}*`;
    for await (const names of station.redis.scanStream({ match }) as AsyncIterable<string[]>) {
      for (const name of names) found.set(name, JSON.stringify(await contentOf(station, name)));
    }
    return found;
  };
  const pass = async (ms: number) => {
    await station.clock.advance(ms, settle);
    await settle();
  };
  return {
    station,
    everything,
    pass,
    skip: (ms) => skipQuietly(station.clock, pass, ms),
    async addReplica(...own) {
      const replica = await startReplica(station, own);
      replicas.add(replica);
      const { stop } = replica;
      replica.stop = async () => {
        replicas.delete(replica);
        await stop();
      };
      return replica;
    },
    async keysThatHold(text) {
      const all = [...(await everything())];
      return all.flatMap(([name, json]) => (json.includes(text) ? [name] : []));
    },
    async close() {
      await Promise.all([...replicas].map((one) => one.stop()));
      await station.close();
    },
  };
}

async function startReplica(station: Station, keys: readonly EncryptionKey[]): Promise<Replica> {
  const logs: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      logs.push(chunk.toString());
      done();
    },
  });
  const { clock, config, simulator, apiKey } = station;
  const app = createService(
    { ...config, refreshTokenKeys: keys },
    { clock, startCron: createManualCron(clock), log: createLog({ level: 'debug', stream }) },
  );
  try {
    await app.start();
  } catch (error) {
    await app.stop();
    throw error;
  }
  const callback = `http://127.0.0.1:${app.publicPort()}/callback/${COMPONENT.appid}`;
  simulator.setCallbackUrl(COMPONENT.appid, callback);
  const internal = (path: string, method = 'GET') =>
    fetch(`http://127.0.0.1:${app.internalPort()}${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}` },
    });
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

async function contentOf({ redis }: Station, name: string): Promise<unknown> {
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
