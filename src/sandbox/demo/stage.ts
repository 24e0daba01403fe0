import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { makeApiKey } from '../../config/api-keys.ts';
import { createLog, type Log } from '../../lib/log.ts';
import type { PushRecord } from '../wechat/ledger.ts';
import { createSimulator, type Simulator } from '../wechat/simulator.ts';
import { startGuard } from '../redis/guard.ts';
import { DEMO_COMPONENT } from './component.ts';
import type { Wishes } from './flags.ts';
import { playMerchants } from './merchants.ts';
import { openRedis, type DemoRedis } from './redis.ts';
import type { Scale } from './scale.ts';
import { startService, type Exit, type Service } from './service.ts';

/** Everything that has to be there for the demo, set up in order and taken down in the reverse one. */
export interface Stage {
  redis: DemoRedis;
  simulator: Simulator;
  service: Service;
  /** The demo's own key, good for everything on this machine as long as the demo runs. */
  apiKey: string;
  /** The service's log as a file, while the demo runs. */
  logFile: string;
  /** Log of the demo's own connections. */
  log: Log;
  /** Lets the pushes begin. */
  begin(): void;
  /** Pushes end, what is under way is answered, and the service stops as on any SIGTERM. */
  stopService(): Promise<Exit>;
  /** Everything that is left. */
  stop(): Promise<void>;
}

export class NoRedisError extends Error {}

const { appid } = DEMO_COMPONENT;
const PUSHES_TIMEOUT_MS = 6_000;

/**
 * @param signal ends the setting up at the next step
 * @throws NoRedisError, UsageError, or Error with the service's last words; nothing is left behind
 */
export async function setUpStage(
  wishes: Wishes,
  options: {
    env: Readonly<Record<string, string | undefined>>;
    say: (line: string) => void;
    onPush: (push: PushRecord) => void;
    signal: AbortSignal;
  },
): Promise<Stage> {
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    const failures: unknown[] = [];
    for (const step of undo.splice(0).reverse()) {
      // One that fails must not keep the others from being taken down.
      await step().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };
  try {
    return await buildStage(wishes, options, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function buildStage(
  wishes: Wishes,
  { env, say, onPush, signal }: Parameters<typeof setUpStage>[1],
  undo: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<Stage> {
  const log = createLog({ level: 'error', stream: nowhere() });
  const redis = await openRedis({ data: wishes.data, env, say, log }).catch(asNoRedis);
  undo.push(() => redis.stop());
  signal.throwIfAborted();

  const simulator = createSimulator({
    components: [DEMO_COMPONENT],
    divideTimesBy: wishes.scale.divisor,
    pushing: false,
    onPush,
  });
  undo.push(() => simulator.stop());
  await simulator.start();

  const { key, entry } = makeApiKey('demo', 'admin');
  const folder = await mkdtemp(join(tmpdir(), 'wxkeeper-demo-'));
  const guard = startGuard(folder);
  undo.push(() => guard.dismiss());
  const logFile = join(folder, 'service.log');
  const settings = { ...settingsOf(redis, simulator, wishes.scale), API_KEYS: entry };
  const service = await startService(settings, logFile, (pid) => guard.watch(pid));
  undo.push(() => service.stop());
  signal.throwIfAborted();

  const merchants = new AbortController();
  undo.push(() => {
    merchants.abort();
    return Promise.resolve();
  });
  return {
    redis,
    simulator,
    service,
    logFile,
    log,
    stop,
    apiKey: key,
    begin() {
      simulator.setCallbackUrl(appid, `${service.publicUrl}/callback/${appid}`);
      simulator.setPushing(true);
      void playMerchants(simulator, wishes.scale.ticketSeconds, merchants.signal);
    },
    async stopService() {
      simulator.setPushing(false);
      merchants.abort();
      const timeout = new Promise((resolve) => setTimeout(resolve, PUSHES_TIMEOUT_MS).unref());
      await Promise.race([simulator.idle(), timeout]);
      return await service.stop();
    },
  };
}

/** What an operator would write into the environment, with every time divided alike. */
function settingsOf(redis: DemoRedis, simulator: Simulator, scale: Scale): Record<string, string> {
  return {
    NODE_ENV: 'production',
    ...redis.env,
    REDIS_KEY_PREFIX: redis.prefix,
    COMPONENT_APPID: DEMO_COMPONENT.appid,
    COMPONENT_APPSECRET: DEMO_COMPONENT.secret,
    COMPONENT_TOKEN: DEMO_COMPONENT.token,
    COMPONENT_ENCODING_AES_KEY: DEMO_COMPONENT.encodingAesKey,
    WECHAT_API_BASE_URLS: simulator.urls.join(','),
    PUBLIC_HOST: '127.0.0.1',
    // Any free port: only the service itself can take one without somebody coming in between.
    PUBLIC_PORT: '0',
    INTERNAL_PORT: '0',
    COMPONENT_ACCESS_TOKEN_CRON: scale.cron,
    PRE_AUTH_CODE_CRON: scale.cron,
    REFRESH_WINDOW_SECONDS: String(scale.windowSeconds),
  };
}

function asNoRedis(error: unknown): never {
  if (!(error instanceof Error) || error.constructor !== Error) throw error;
  throw new NoRedisError(error.message, { cause: error });
}

/** What these connections would say, the looks at Redis find out and count. */
function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
