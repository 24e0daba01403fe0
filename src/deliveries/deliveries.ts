import type { Route } from '../config/routes.ts';
import { once } from 'node:events';
import { deadline, type Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Store } from '../store/redis/store.ts';
import type { EnvelopeSecrets } from '../wechat/push/envelope.ts';
import { createDispatcher, type DispatcherOptions } from './dispatcher.ts';
import { planDeliveries, type PlannedPush } from './plan.ts';
import type { PushToDeliver } from './push-to-deliver.ts';
import { createReplies, type Replies, type RepliesOptions } from './replies.ts';
import { keepDeliveries } from './upkeep.ts';
import { createTargetClient } from './target-client.ts';

/** Everything that passes pushes on; without routes it does nothing at all. */
export interface Deliveries {
  /** Undefined without routes. @returns undefined when no route takes the push */
  planDeliveries: ((push: PushToDeliver) => PlannedPush | undefined) | undefined;
  replies: Replies;
  /** Something of this component waits, or may be let go. */
  kick(component: string): void;
  /** A code was exchanged. */
  authorized(component: string): void;
  /** For maintenance rounds. @throws KeeperError `store_unavailable` */
  keep(): Promise<void>;
  /** What is loaded later than the rest; nothing without routes. */
  load(): Promise<void>;
  start(): void;
  /** Resolves when nothing is being delivered; what is planned does not count. */
  idle(): Promise<void>;
  /** No further deliveries; users are still answered. */
  stop(): Promise<void>;
  /** Nobody pushes any more. */
  close(): Promise<void>;
}

export interface DeliveriesOptions {
  store: Store;
  clock: Clock;
  log: Log;
  replica: string;
  components: readonly EnvelopeSecrets[];
  routes: readonly Route[];
  /** Besides public addresses, in CIDR notation. */
  networks: readonly string[];
  /** Of Redis, for what waits of each component. */
  mostBytes: number;
  onAttempt?: DispatcherOptions['onAttempt'];
  onReply?: RepliesOptions['onReply'];
}

/** Milliseconds for the ends of replies to be stored, when Redis is away. */
const CLOSE_MS = 2_000;

export function createDeliveries(options: DeliveriesOptions): Deliveries {
  const { store, clock, routes, components, networks } = options;
  const client = createTargetClient(networks);
  const appids = components.map(({ componentAppid }) => componentAppid);
  const dispatcher = createDispatcher({ ...options, components: appids, client });
  const replies = createReplies({ ...options, client, dispatcher });
  return {
    planDeliveries: routes.length === 0 ? undefined : (push) => planDeliveries(routes, store, push),
    replies,
    kick: (component) => dispatcher.kick(component),
    authorized: (component) => dispatcher.authorized(component),
    keep: () => keepDeliveries({ ...options, components: appids }),
    load: async () => (routes.length === 0 ? undefined : client.load()),
    start: () => dispatcher.start(),
    async idle() {
      await replies.idle();
      await dispatcher.idle();
    },
    stop: () => dispatcher.stop(),
    async close() {
      const limit = deadline(clock, CLOSE_MS);
      await Promise.race([replies.idle(), once(limit.signal, 'abort')]);
      limit.cancel();
      await client.close();
    },
  };
}
