import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { connectAdmin } from '../kit/redis-shapes/access.ts';
import type { RedisShape } from '../kit/redis-shapes/server.ts';
import { startApplication, type Application } from './application.ts';
import { AUTHORIZERS, LIFE_SECONDS, OTHER, PREFIX, PUSHED, WINDOW_SECONDS } from './platform.ts';
import { startReplica, type Replica } from './replica.ts';

/** A Redis of some shape, two replicas as processes, the pretended WeChat and an application, all in real time. */
export interface Stage<Shape extends RedisShape = RedisShape> {
  shape: Shape;
  simulator: Simulator;
  application: Application;
  replicas: readonly [Replica, Replica];
  /** Ours, to look at what is stored. */
  redis: Redis | Cluster;
  apiKey: string;
  close(): Promise<void>;
}

const TICK = '*/5 * * * * *';
/** Milliseconds between two authorizations, so that later on somebody falls due as often. */
const APART_MS = 500;

export async function createStage<Shape extends RedisShape>(
  starting: Promise<Shape>,
): Promise<Stage<Shape>> {
  const undo: (() => Promise<void> | void)[] = [];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const shape = await starting;
    undo.push(() => shape.close());
    const redis = connectAdmin(shape);
    redis.on('error', () => undefined);
    undo.push(() => redis.disconnect());
    const simulator = createSimulator({
      components: [PUSHED, OTHER],
      pushing: false,
      componentAccessTokenSeconds: LIFE_SECONDS,
      preAuthCodeSeconds: LIFE_SECONDS,
      accessTokenSeconds: LIFE_SECONDS,
    });
    await simulator.start();
    undo.push(() => simulator.stop());
    const application = await startApplication();
    undo.push(() => application.close());
    const folder = mkdtempSync(join(tmpdir(), 'wxkeeper-failovers-'));
    undo.push(() => rmSync(folder, { recursive: true }));
    const { key: apiKey, entry } = makeApiKey('failovers', 'admin');
    const env = { ...settings(shape, simulator, application, folder), API_KEYS: entry };
    const start = async () => {
      const replica = await startReplica(env);
      undo.push(() => replica.stop());
      return replica;
    };
    const replicas = [await start(), await start()] as const;
    return { shape, redis, simulator, application, replicas, apiKey, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function settings(
  shape: RedisShape,
  simulator: Simulator,
  { route }: Application,
  folder: string,
): Record<string, string> {
  const configFile = join(folder, 'config.json');
  const components = [PUSHED, OTHER].map((one) => ({
    appid: one.appid,
    appsecret: one.secret,
    token: one.token,
    encoding_aes_key: one.encodingAesKey,
  }));
  writeFileSync(configFile, JSON.stringify({ components, routes: [route] }), { mode: 0o600 });
  return {
    ...shape.env,
    NODE_ENV: 'production',
    REDIS_KEY_PREFIX: PREFIX,
    DELIVERY_NETWORKS: '127.0.0.0/8',
    CONFIG_FILE: configFile,
    WECHAT_API_BASE_URLS: simulator.urls.join(','),
    PUBLIC_HOST: '127.0.0.1',
    PUBLIC_PORT: '0',
    INTERNAL_PORT: '0',
    COMPONENT_ACCESS_TOKEN_CRON: TICK,
    PRE_AUTH_CODE_CRON: TICK,
    REFRESH_WINDOW_SECONDS: String(WINDOW_SECONDS),
  };
}

/** Both in turn, as a load balancer would: one that is gone gets nothing, as soon as that is known. */
export function replicaOf({ replicas: [first, second] }: Stage, turn: number): Replica {
  const [one, other] = turn % 2 === 0 ? [first, second] : [second, first];
  return one.isUp() ? one : other;
}

/** From now on pushes to it go to the replica whose turn it is. */
export function aim(stage: Stage, component: string, turn: number): void {
  const { publicUrl } = replicaOf(stage, turn);
  stage.simulator.setCallbackUrl(component, `${publicUrl}/callback/${component}`);
}

/** Tickets, and authorizers one after the other. */
export async function populate(stage: Stage): Promise<void> {
  const { simulator } = stage;
  for (const { appid } of [PUSHED, OTHER]) {
    aim(stage, appid, 0);
    const { accepted, status } = await simulator.pushTicket(appid);
    if (!accepted) throw new Error(`the first ticket was answered ${status ?? 'not at all'}`);
  }
  for (const [index, { component, appid }] of AUTHORIZERS.entries()) {
    aim(stage, component, index);
    const { eventCode } = simulator.grant(component, appid);
    const { accepted } = await simulator.pushAuthorized(component, appid, eventCode);
    if (!accepted) throw new Error('an authorization was refused before anything had happened');
    await sleep(APART_MS);
  }
}
