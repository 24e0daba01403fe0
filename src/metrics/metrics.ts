import type { Log } from '../lib/log.ts';
import type { SnapshotContext } from '../status/context.ts';
import type { Counters } from './counters.ts';
import type { MetricsRegistry } from './registry.ts';

/** What Prometheus reads: the status at this moment, and what this process has counted. */
export interface Metrics {
  /** They count from the first moment on, also what comes before the library is there. */
  counters: Counters;
  /** Loads the library, which takes a while; a scrape does it as well. */
  load(): Promise<void>;
  /**
   * The text of a scrape. While Redis is away it says so, with all that needs no Redis.
   * @param status narrowed to what the caller may see
   */
  scrape(status: SnapshotContext): Promise<string>;
}

/** As Prometheus calls its text format. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function createMetrics(): Metrics {
  const { counters, passTo } = heldCounters();
  let registry: Promise<MetricsRegistry> | undefined;
  const loaded = () =>
    (registry ??= import('./registry.ts').then(({ createRegistry }) => {
      const made = createRegistry();
      passTo(made.counters);
      return made;
    }));
  return {
    counters,
    async load() {
      await loaded();
    },
    scrape: async (status) => (await loaded()).scrape(status),
  };
}

/** Counters that keep what they are told until there is somebody to pass it on to. */
function heldCounters(): { counters: Counters; passTo: (target: Counters) => void } {
  const held: ((to: Counters) => void)[] = [];
  let target: Counters | undefined;
  const tell = (count: (to: Counters) => void) => {
    if (target === undefined) held.push(count);
    else count(target);
  };
  return {
    counters: {
      onCall: (call) => tell((to) => to.onCall(call)),
      onOutcome: (...look) => tell((to) => to.onOutcome(...look)),
      onPush: (...push) => tell((to) => to.onPush(...push)),
      onComplaint: (outcome) => tell((to) => to.onComplaint(outcome)),
      onDelivery: (...attempt) => tell((to) => to.onDelivery(...attempt)),
      onReply: (...reply) => tell((to) => to.onReply(...reply)),
      onPassedOn: (...call) => tell((to) => to.onPassedOn(...call)),
      onRead: (read) => tell((to) => to.onRead(read)),
      onRequest: (...request) => tell((to) => to.onRequest(...request)),
      onCut: (...cut) => tell((to) => to.onCut(...cut)),
      onLine: (level) => tell((to) => to.onLine(level)),
    },
    passTo(made) {
      target = made;
      for (const count of held.splice(0)) count(made);
    },
  };
}

/** Writes the same log, and counts what it says is wrong. */
export function countLines(log: Log, count: Counters['onLine']): Log {
  return {
    error(...line) {
      count('error');
      log.error(...line);
    },
    warn(...line) {
      count('warn');
      log.warn(...line);
    },
    info: (...line) => log.info(...line),
    debug: (...line) => log.debug(...line),
    in: (room) => countLines(log.in(room), count),
    close: () => log.close(),
  };
}
