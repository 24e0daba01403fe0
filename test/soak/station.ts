import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import type { CallRecord, MintKind, PushRecord } from '../../src/sandbox/wechat/ledger.ts';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { createKeys, type CredentialId, type Keys } from '../../src/store/redis/keys.ts';
import { createRandom, type Random } from '../interleavings/random.ts';
import { createManualClock, type ManualClock } from '../kit/clock.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';
import type { Version } from './former.ts';
import { createJournal, type Journal } from './journal.ts';
import { createReplica, createReplicaClock, type Replica } from './replica.ts';
import { createTargets, type Ears, type Targets } from './targets.ts';

/** Two replicas on one real Redis, WeChat's simulator over HTTP, and one clock that moves them all. */
export interface Station {
  clock: ManualClock;
  /** For what goes wrong; the service draws from generators of its own. */
  random: Random;
  journal: Journal;
  server: RedisServer;
  /** Where Redis keeps its data. */
  dir: string;
  /** Ours, to look and to meddle. */
  redis: Redis;
  redisUp: boolean;
  keys: Keys;
  simulator: Simulator;
  replicas: readonly [Replica, Replica];
  apiKey: string;
  /** Who wants to hear of WeChat's calls and pushes as they happen. */
  onCall: ((call: CallRecord) => void)[];
  onPush: ((push: PushRecord) => void)[];
  /** Where pushes are delivered to; undefined beside a former version, which knows no routes. */
  targets: Targets | undefined;
  /** Whether there may be work, besides WeChat's and Redis's, that only the clock can end. */
  waits: (() => boolean)[];
  close(): Promise<void>;
}

export interface Kept {
  id: CredentialId & { kind: MintKind };
  /** WeChat's call that mints it. */
  api: 'api_component_token' | 'api_create_preauthcode' | 'stable_token' | 'getticket';
}

export const COMPONENT = {
  appid: 'wx0123456789abcdef',
  secret: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  token: 'callbackToken',
  encodingAesKey: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};
export const ACCOUNT = { appid: 'wx00000000000000a1', secret: 'secret-of-the-account' };
const component = { subject: COMPONENT.appid };
const account = { subject: ACCOUNT.appid };
export const TOKEN: Kept = {
  id: { kind: 'component_access_token', ...component },
  api: 'api_component_token',
};
export const CODE: Kept = {
  id: { kind: 'pre_auth_code', ...component },
  api: 'api_create_preauthcode',
};
export const ACCESS: Kept = { id: { kind: 'access_token', ...account }, api: 'stable_token' };
export const JSAPI: Kept = { id: { kind: 'jsapi_ticket', ...account }, api: 'getticket' };
export const ALL = [TOKEN, CODE, ACCESS, JSAPI] as const;

const PREFIX = 'soak:';

/** @param former the version of the second replica, unless it is today's */
export async function createStation(
  seed: number,
  aloud: boolean,
  former?: Version,
): Promise<Station> {
  const random = createRandom(seed);
  const clock = createManualClock();
  const journal = createJournal(clock, aloud);
  const dir = mkdtempSync(join(tmpdir(), 'wxkeeper-soak-'));
  const server = await startRedisServer({ dir, appendOnly: true });
  const redis = new Redis(server.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  const onCall: Station['onCall'] = [];
  const onPush: Station['onPush'] = [];
  const simulator = createSimulator({
    onCall: (call) => onCall.forEach((hear) => hear(call)),
    onPush: (push) => onPush.forEach((hear) => hear(push)),
    components: [COMPONENT],
    accounts: [ACCOUNT],
    clock,
    pushing: false,
    // One for each replica, so that a call shows whose it is.
    hosts: 2,
  });
  await simulator.start();
  const { key, entry } = makeApiKey('soak', 'admin');
  const targets =
    former === undefined ? await createTargets(clock, () => station.redisUp) : undefined;
  let files = 0;
  /** Each process has its own: so a target knows who asks. */
  const configure = (name: string): { file: string; ears: Ears } => {
    const ears = targets?.listenAs(name) ?? { replica: name, state: 'open', held: [] };
    const file = join(dir, `config-${(files += 1)}.json`);
    const account = { appid: ACCOUNT.appid, appsecret: ACCOUNT.secret, tickets: ['jsapi'] };
    const routes = targets?.routesFor(ears);
    writeFileSync(file, JSON.stringify({ accounts: [account], ...(routes && { routes }) }));
    return { file, ears };
  };
  const make = async (index: 0 | 1) => {
    const wire = await createTcpProxy({ port: Number(new URL(simulator.urls[index] ?? '').port) });
    const chance = createRandom(seed * 2 + index);
    const name = 'AB'.charAt(index);
    const env = {
      REDIS_URL: server.url,
      REDIS_KEY_PREFIX: PREFIX,
      PUBLIC_HOST: '127.0.0.1',
      PUBLIC_PORT: '0',
      INTERNAL_PORT: '0',
      WECHAT_API_BASE_URLS: wire.url('http'),
      COMPONENT_APPID: COMPONENT.appid,
      COMPONENT_APPSECRET: COMPONENT.secret,
      COMPONENT_TOKEN: COMPONENT.token,
      COMPONENT_ENCODING_AES_KEY: COMPONENT.encodingAesKey,
      API_KEYS: entry,
      ...(targets === undefined ? {} : { DELIVERY_NETWORKS: '127.0.0.0/8' }),
    };
    return createReplica(
      name,
      () => {
        const { file, ears } = configure(name);
        return { env: { ...env, CONFIG_FILE: file }, ears };
      },
      journal,
      wire,
      () => createReplicaClock(clock, chance.next),
      index === 1 ? former : undefined,
    );
  };
  const replicas = [await make(0), await make(1)] as const;
  const station: Station = {
    clock,
    random,
    journal,
    server,
    dir,
    redis,
    redisUp: true,
    simulator,
    replicas,
    keys: createKeys(PREFIX),
    apiKey: key,
    onCall,
    onPush,
    targets,
    waits: [() => targets?.all.some(({ waiting }) => waiting > 0) ?? false],
    async close() {
      await Promise.all((targets?.all ?? []).map((target) => target.close()));
      const running = replicas.filter(({ state }) => state !== 'down');
      await Promise.all(running.map(({ app }) => app.stop()));
      await simulator.stop();
      await Promise.all(replicas.map(({ wire }) => wire.close()));
      redis.disconnect();
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return station;
}
