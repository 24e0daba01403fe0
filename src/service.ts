import { once } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { ConfigError } from './config/faults.ts';
import type { Config } from './config/load.ts';
import type { Keeper } from './credentials/keeper.ts';
import { tellCuts } from './http/connections.ts';
import {
  listen,
  listenFault,
  type Limits,
  type Listener,
  type ListenOptions,
} from './http/server.ts';
import { deadline, systemClock } from './lib/clock.ts';
import { proxyFor } from './lib/proxy.ts';
import type { Layouts } from './layouts/publisher.ts';
import { whenReady } from './store/redis/connection.ts';
import { VERSION } from './lib/version.ts';
import { createParts, loadTheRest, type Parts, type PartsOptions } from './parts.ts';

/** The whole service: starts the parts that `parts.ts` makes, and stops them again. */

export interface Service {
  /** Starts listening, then looks at every credential. @throws ConfigError, listen errors */
  start(): Promise<void>;
  /**
   * Stops in the order that loses nothing: once STOP_DELAY_SECONDS have passed, in which whoever
   * spreads requests learns of it, phase after phase.
   * @param hurry ends the delay
   */
  stop(hurry?: AbortSignal): Promise<void>;
  /**
   * Takes the API keys of newly read settings; all other settings count after a restart. Keys that are
   * gone end at once, with the sessions that they have opened. Wrong settings change nothing.
   */
  readKeysAgain(load: () => Config): void;
  /** Resolves when no job and no refresh is running; waiting timers do not count. */
  idle(): Promise<void>;
  publicPort(): number;
  internalPort(): number;
  keeper: Keeper;
}

/**
 * How the service stops, one phase after the other. `work`: whatever begins something, or has something
 * under way, comes to its end, all together and within DRAIN_MS. `held`: what waits for Redis in this
 * process, to which that work may have added, is written a last time. `goodbye`: the log and the other
 * replicas are told. `redis`: nothing needs the connection any more.
 */
const PHASES = ['work', 'held', 'goodbye', 'redis'] as const;

interface Life {
  /** The phase in which it stops. */
  phase: (typeof PHASES)[number];
  part: {
    start?(): Promise<void> | void;
    stop?(): Promise<void> | void;
    /** Resolves when nothing is under way. */
    idle?(): Promise<void>;
  };
}

/** Milliseconds a stopping process spends on what is in flight: one call to WeChat and its commit. */
const DRAIN_MS = 10_000;
/** Milliseconds more for the sockets that are cut when the time is up. */
const DRAIN_SLACK_MS = 1_000;
/** Milliseconds for the whole of a request at the internal port: a video that is passed on to WeChat. */
const UPLOAD_MS = 120_000;
/** Milliseconds to wait for Redis at start; without it the process starts all the same. */
const REDIS_START_MS = 2_000;

export function createService(config: Config, options: PartsOptions): Service {
  const parts = createParts(config, options);
  const { keeper, deps, state } = parts;
  const listeners = createListeners(config, parts, options.limits);
  const lives = livesOf(config, parts, listeners);
  return {
    keeper,
    async start() {
      await tryAddresses(config);
      for (const { part } of lives) {
        await part.start?.();
        // Starting takes a moment, and whoever starts a process may have thought better of it.
        if (state.stopping) return;
      }
    },
    async stop(hurry) {
      state.stopping = true;
      if (listeners.retire()) await pause(config.stopDelayMs, hurry);
      for (const phase of PHASES) {
        const ending = lives.filter((one) => one.phase === phase);
        const ended = Promise.all(ending.map(async ({ part }) => part.stop?.()));
        await (phase === 'work' ? orTooLate(ended) : ended);
      }
      deps.log.info('wxkeeper stopped');
    },
    readKeysAgain: (load) => readKeysAgain(parts, config, load),
    async idle() {
      for (const { part } of lives) await part.idle?.();
    },
    publicPort: () => listeners.port(0),
    internalPort: () => listeners.port(1),
  };
}

/** Whatever has a life, in the order in which it starts; within a phase it is told to stop in it, too. */
function livesOf(config: Config, parts: Parts, listeners: Listeners): readonly Life[] {
  const { watch, heartbeat, alerts, tally, releaseCheck, deps } = parts;
  const { store, log, replica } = deps;
  const selfTest = {
    async start() {
      await watch.idle();
      const { standing } = store.encryption;
      if (standing.state !== 'wrong') return;
      throw new ConfigError([{ setting: undefined, text: standing.problem }]);
    },
    idle: () => watch.idle(),
  };
  const started = () => {
    log.info('wxkeeper started', {
      version: VERSION,
      replica,
      public_port: listeners.port(0),
      internal_port: listeners.port(1),
      components: config.components.map((one) => one.appid),
      accounts: config.accounts.map((one) => one.appid),
      proxy: proxyFor(config, new URL(config.wechatApiBaseUrls[0] ?? ''))?.url.host,
    });
  };
  const beats = {
    async start() {
      await watch.idle();
      await heartbeat.beat().catch(() => undefined);
    },
    stop: () => heartbeat.stop().catch(() => undefined),
  };
  const answered = () => releaseCheck.idle();
  const news = {
    start: () => alerts.started(),
    stop: () => alerts.stop(),
    idle: () => alerts.idle(),
  };
  return [
    { phase: 'redis', part: connectionOf(parts) },
    { phase: 'work', part: selfTest },
    { phase: 'work', part: listeners },
    { phase: 'work', part: { start: started } },
    { phase: 'goodbye', part: { stop: () => tally.tell() } },
    { phase: 'goodbye', part: beats },
    { phase: 'work', part: parts.scheduler },
    ...parts.loops.map((part): Life => ({ phase: 'work', part })),
    ...(parts.layouts ? [publishingOf(parts.layouts)] : []),
    { phase: 'work', part: parts.authorizations },
    { phase: 'work', part: parts.reconciler },
    { phase: 'work', part: parts.deliveries },
    { phase: 'work', part: { stop: answered, idle: answered } },
    { phase: 'work', part: parts.keeper },
    { phase: 'work', part: news },
    { phase: 'held', part: { stop: () => parts.deliveries.close() } },
    { phase: 'held', part: { stop: () => parts.upstreams.close() } },
    { phase: 'held', part: parts.pendingTickets },
    { phase: 'held', part: parts.refusedPushes },
  ];
}

/** What was switched on is published at once; where Redis is away, the next round does it. */
function publishingOf(layouts: Layouts): Life {
  const part: Life['part'] = {
    start: () => void layouts.keep().catch(() => undefined),
    stop: () => layouts.stop(),
    idle: () => layouts.idle(),
  };
  return { phase: 'held', part };
}

function connectionOf({ deps: { store, log } }: Parts): Life['part'] {
  return {
    async start() {
      if (await whenReady(store.redis, REDIS_START_MS)) return;
      log.error('Redis is not there; pushes are refused with 503 until it is');
    },
    stop: () => store.redis.disconnect(),
  };
}

type Listeners = ReturnType<typeof createListeners>;

function createListeners(config: Config, parts: Parts, limits: Partial<Limits> = {}) {
  const { deps, metrics, refusedPushes, state } = parts;
  const listeners: Listener[] = [];
  const told = (listener: 'public' | 'internal') => ({
    onCut: tellCuts(listener, deps.log.in('http'), metrics.counters.onCut),
    limits,
  });
  const open = async (listener: Listener) => {
    listeners.push(listener);
    // Whoever closes them may have been there before.
    if (state.stopping) await listener.close(0);
  };
  return {
    /** The public one first: pushes can be taken long before all the rest is loaded. */
    async start() {
      const { publicHost, publicPort, internalHost, internalPort } = config;
      const pushing: ListenOptions = {
        ...told('public'),
        front: parts.publicFront,
        onUnserved: (request, error) => void refusedPushes.note(request, error),
      };
      await open(await listen(parts.publicApp, publicHost, publicPort, pushing));
      const { app, front } = await loadTheRest(config, parts);
      if (state.stopping) return;
      const patient = { requestMs: UPLOAD_MS, ...limits };
      const reading = { ...told('internal'), limits: patient, front };
      await open(await listen(app, internalHost, internalPort, reading));
    },
    /** Asks whoever comes to go elsewhere. @returns whether there is anybody to ask */
    retire(): boolean {
      for (const listener of listeners) listener.retire();
      return listeners.length > 0;
    },
    async stop() {
      await Promise.all(listeners.map((listener) => listener.close(DRAIN_MS)));
    },
    port: (index: 0 | 1) => listeners[index]?.port ?? 0,
  };
}

/** @throws ConfigError when a listener cannot get the address that the settings give it */
async function tryAddresses(config: Config): Promise<void> {
  const faults = await Promise.all([
    listenFault('PUBLIC', config.publicHost, config.publicPort),
    listenFault('INTERNAL', config.internalHost, config.internalPort),
  ]);
  const found = faults.filter((fault) => fault !== undefined);
  if (found.length > 0) throw new ConfigError(found);
}

/** Resolves after so many milliseconds, or when it shall be quick. */
async function pause(delayMs: number, hurry: AbortSignal | undefined): Promise<void> {
  if (delayMs === 0 || hurry?.aborted === true) return;
  const limit = deadline(systemClock, delayMs);
  const signals = [limit.signal, ...(hurry === undefined ? [] : [hurry])];
  await Promise.race(signals.map((signal) => once(signal, 'abort')));
  limit.cancel();
}

/** Waits for what is under way to come to its end, but not for ever. */
async function orTooLate(drained: Promise<unknown>): Promise<void> {
  const limit = deadline(systemClock, DRAIN_MS + DRAIN_SLACK_MS);
  await Promise.race([drained, once(limit.signal, 'abort')]);
  limit.cancel();
}

function readKeysAgain({ keyRing, deps }: Parts, config: Config, load: () => Config): void {
  const { log } = deps;
  let next: Config;
  try {
    next = load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const faults = error.sentences;
    log.error('settings are wrong; the API keys stay as they were', { faults });
    return;
  }
  log.info('API keys read again', { ...keyRing.replace(next.apiKeys) });
  const others = (one: Config) => ({ ...one, apiKeys: [] });
  if (!isDeepStrictEqual(others(config), others(next))) {
    log.warn('other settings have changed, too; they count after a restart');
  }
}
