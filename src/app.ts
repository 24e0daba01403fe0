import { once } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { deadline, systemClock } from './lib/clock.ts';
import type { AppOptions } from './compose-ground.ts';
import { compose } from './compose.ts';
import { ConfigError } from './config/faults.ts';
import type { Config } from './config/load.ts';
import type { Keeper } from './credentials/keeper.ts';
import { tellCuts } from './http/connections.ts';
import { listen, listenFault, type Listener } from './http/server.ts';
import { whenReady } from './store/redis/connection.ts';
import { VERSION } from './lib/version.ts';

/** The whole service: starts the parts that `compose.ts` has joined, and stops them again. */

export interface App {
  /** Starts listening, then looks at every credential. @throws ConfigError, listen errors */
  start(): Promise<void>;
  /**
   * Stops in the order that loses nothing: once STOP_DELAY_SECONDS have passed, in which whoever
   * spreads requests learns of it, the listeners, ticks, mints in flight, Redis.
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

/** Milliseconds a stopping process spends on what is in flight: one call to WeChat and its commit. */
const DRAIN_MS = 10_000;
/** Milliseconds more for the sockets that are cut when the time is up. */
const DRAIN_SLACK_MS = 1_000;
/** Milliseconds to wait for Redis at start; without it the process starts all the same. */
const REDIS_START_MS = 2_000;

type Parts = ReturnType<typeof compose>;

export function createApp(config: Config, options: AppOptions): App {
  const parts = compose(config, options);
  const { keeper, patrols, scheduler, pendingTickets, heartbeat, log } = parts;
  const { redis, encryption } = parts.store;
  const listeners: Listener[] = [];
  return {
    keeper,
    async start() {
      await tryAddresses(config);
      if (!(await whenReady(redis, REDIS_START_MS))) {
        log.error('Redis is not there; pushes are refused with 503 until it is');
      }
      await parts.watch.idle();
      const { standing } = encryption;
      if (standing.state === 'wrong')
        throw new ConfigError([{ setting: undefined, text: standing.problem }]);
      await openListeners(config, parts, options, listeners);
      // Loading takes a moment, and whoever starts a process may have thought better of it.
      if (parts.life.stopping) return;
      log.info('wxkeeper started', {
        version: VERSION,
        replica: parts.replica,
        public_port: listeners[0]?.port,
        internal_port: listeners[1]?.port,
        components: config.components.map((one) => one.appid),
        accounts: config.accounts.map((one) => one.appid),
      });
      await parts.watch.idle();
      await heartbeat.beat().catch(() => undefined);
      await scheduler.start();
      for (const one of patrols) one.start();
      parts.alerts.started();
    },
    async stop(hurry) {
      parts.life.stopping = true;
      for (const listener of listeners) listener.retire();
      if (listeners.length > 0) await pause(config.stopDelayMs, hurry);
      await drain(parts, listeners);
      await Promise.all([pendingTickets.stop(), parts.refusedPushes.stop()]);
      parts.tally.tell();
      await heartbeat.stop().catch(() => undefined);
      redis.disconnect();
      log.info('wxkeeper stopped');
    },
    readKeysAgain: (load) => readKeysAgain(parts, config, load),
    async idle() {
      const { watch, authorizations, reconciler, releaseCheck, alerts } = parts;
      const working = [authorizations, reconciler, releaseCheck, keeper, alerts];
      for (const one of [watch, scheduler, ...patrols, ...working]) await one.idle();
    },
    publicPort: () => listeners[0]?.port ?? 0,
    internalPort: () => listeners[1]?.port ?? 0,
  };
}

/** The public one first: pushes can be taken long before all the rest is loaded. */
async function openListeners(
  config: Config,
  parts: Parts,
  { limits = {} }: AppOptions,
  listeners: Listener[],
): Promise<void> {
  const { publicHost, publicPort, internalHost, internalPort } = config;
  const told = (listener: 'public' | 'internal') => ({
    onCut: tellCuts(listener, parts.log.in('http'), parts.metrics.counters.onCut),
    limits,
  });
  const pushing = { ...told('public'), ...parts.publicDoor };
  const open = async (listener: Listener) => {
    listeners.push(listener);
    // Whoever closes them may have been there before.
    if (parts.life.stopping) await listener.close(0);
  };
  await open(await listen(parts.publicApp, publicHost, publicPort, pushing));
  const { internalApp, front } = await loadTheRest(config, parts);
  if (parts.life.stopping) return;
  const reading = { ...told('internal'), front };
  await open(await listen(internalApp, internalHost, internalPort, reading));
}

/**
 * Loads what pushes do without. At once, although some of it is needed only much later: what cannot be
 * loaded must be noticed by whoever starts the process, not by a user.
 */
async function loadTheRest(config: Config, parts: Parts) {
  const { composeInternal } = await import('./compose-internal.ts');
  await import('./http/public/authorize.ts');
  await parts.metrics.load();
  return composeInternal(config, parts);
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

/** Stops whatever begins something, and lets what is under way come to its end. */
async function drain(parts: Parts, listeners: readonly Listener[]) {
  const drained = Promise.all([
    ...listeners.map((listener) => listener.close(DRAIN_MS)),
    parts.scheduler.stop(),
    ...parts.patrols.map((one) => one.stop()),
    parts.authorizations.stop(),
    parts.reconciler.stop(),
    parts.releaseCheck.idle(),
    parts.keeper.stop(),
    parts.alerts.stop(),
  ]);
  const limit = deadline(systemClock, DRAIN_MS + DRAIN_SLACK_MS);
  await Promise.race([drained, once(limit.signal, 'abort')]);
  limit.cancel();
}

function readKeysAgain(
  { keyRing, log }: Pick<Parts, 'keyRing' | 'log'>,
  config: Config,
  load: () => Config,
): void {
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
