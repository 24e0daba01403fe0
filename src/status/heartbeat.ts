import { hostname } from 'node:os';
import { forgetReplicas, noteReplica } from '../store/operations/replicas.ts';
import type { Store } from '../store/redis/store.ts';

/** Says that this process is there, for the others to miss it when it is gone. */
export interface Heartbeat {
  /** @throws KeeperError `store_unavailable` */
  beat(): Promise<void>;
  /** Says goodbye. @throws KeeperError `store_unavailable` */
  stop(): Promise<void>;
}

/** Milliseconds: three beats that nobody heard. */
const GAP_MS = 45_000;

/** @param isRestoring whether this process still writes back what Redis has lost */
export function createHeartbeat(
  store: Store,
  id: string,
  version: string,
  isRestoring: () => boolean = () => false,
): Heartbeat {
  let startedAt: number | undefined;
  let watchingSince: number | undefined;
  let lastAt = -Infinity;
  const note = async (stoppedAt: number | undefined) => {
    const now = store.time.now();
    startedAt ??= now;
    if (watchingSince === undefined || now - lastAt > GAP_MS) watchingSince = now;
    const moments = { startedAt, seenAt: now, watchingSince, stoppedAt };
    const restoring = isRestoring();
    await noteReplica(store, { id, host: hostname(), version, restoring, ...moments });
    // Only what arrived: while Redis is away, nobody watches.
    lastAt = now;
  };
  return {
    async beat() {
      await note(undefined);
      await forgetReplicas(store);
    },
    async stop() {
      if (startedAt !== undefined) await note(store.time.now());
    },
  };
}
