import type { Clock } from '../lib/clock.ts';
import type { Config } from '../config/load.ts';
import type { Account } from '../credentials/kinds/kind.ts';
import type { ClockSkew } from '../store/operations/clock-skew.ts';
import type { SelfTest } from '../store/redis/self-test.ts';
import type { AuthorizersContext } from './authorizers.ts';
import type { ShownRoute } from './deliveries.ts';
import type { ShownLayout } from './layouts.ts';

/** What the status reads from Redis, whoever looks: a replica, or the doctor. */
export interface StoredStatus extends AuthorizersContext {
  clock: Clock;
  /** Upper bound of the refresh window, milliseconds. */
  windowMs: number;
  components: readonly { appid: string; previousKeySet: boolean; previousTokenSet: boolean }[];
  accounts: readonly Account[];
  publicBaseUrl: string | undefined;
  routes: readonly ShownRoute[];
  layouts: readonly ShownLayout[];
  /** Of the process that looks, if it is one that keeps credentials. */
  self?: ProcessStatus;
}

/** What a process knows of itself. */
export interface ProcessStatus {
  replica: string;
  version: string;
  startedAt: number;
  /** Components with a ticket that waits in this process's memory for Redis. */
  ticketsWaiting: () => readonly string[];
  /** Lets this process write down which pushes it has refused lately. Never rejects. */
  writeRefused: () => Promise<void>;
  /** The first tick of a kind's job at or after a moment, epoch ms. */
  nextTick: (kind: string, notBefore: number) => number | undefined;
  jobs: readonly { name: string; expression: string }[];
  /** What trying Redis out has shown; undefined before the first time. */
  selfTest: () => SelfTest | undefined;
  clockSkew: () => ClockSkew;
}

/** What the status looks at, and with it the dashboard, the alerts and the metrics. */
export interface SnapshotContext extends StoredStatus {
  self: ProcessStatus;
}

/** What the status needs to know of the configured components. */
export function withoutSecrets(components: Config['components']): StoredStatus['components'] {
  return components.map(({ appid, previousEncodingAesKey, previousToken }) => ({
    appid,
    previousKeySet: previousEncodingAesKey !== undefined,
    previousTokenSet: previousToken !== undefined,
  }));
}

/**
 * What a reader may see of it: only these appids, or all when undefined. Whatever shows the status to
 * somebody takes it from here, so that none can forget an appid on the way.
 */
export function narrowTo(
  context: SnapshotContext,
  appids: readonly string[] | undefined,
): SnapshotContext {
  if (appids === undefined) return context;
  return {
    ...context,
    components: context.components.filter(({ appid }) => appids.includes(appid)),
    accounts: context.accounts.filter(({ appid }) => appids.includes(appid)),
    layouts: context.layouts.filter(
      (one) => one.appids === 'any' || one.appids.some((appid) => appids.includes(appid)),
    ),
  };
}
