import { onDisplayKey } from '../redis/connection.ts';
import type { Store } from '../redis/store.ts';

/** How a layout fares, as people look at it: all replicas write, the last one counts. Times are epoch ms. */
export interface LayoutState {
  /** Keys that belong there, when they were last counted. */
  keys: number | undefined;
  /** When a key was last written. */
  publishedAt: number | undefined;
  /** Keys that were deleted and written again. */
  restored: number;
  /** Keys in which somebody else's value was found. */
  overwritten: number;
  overwrittenAt: number | undefined;
  /** Of the last one: the platform or account, and the kind. */
  overwrittenSubject: string | undefined;
  overwrittenKind: string | undefined;
  /** Rounds in which it could not be published. */
  failures: number;
  failedAt: number | undefined;
  failingSince: number | undefined;
  /** Why: Redis's first words, or ours. */
  failure: string | undefined;
}

/** What happened since the last note. */
export interface LayoutNews {
  keys?: number | undefined;
  published: number;
  restored: number;
  overwritten: number;
  /** Of the last one that was overwritten. */
  last?: { subject: string; kind: string } | undefined;
}

/** @throws KeeperError `store_unavailable` */
export async function noteLayout(
  { redis, keys, time }: Store,
  layout: string,
  news: LayoutNews,
): Promise<void> {
  const { keys: counted, published, restored, overwritten, last } = news;
  const key = keys.layout(layout);
  const now = time.now();
  const fields = {
    ...(counted !== undefined && { keys: counted }),
    ...(published > 0 && { published_at: now }),
    ...(last !== undefined && {
      overwritten_at: now,
      overwritten_subject: last.subject,
      overwritten_kind: last.kind,
    }),
  };
  const work = async () => {
    if (Object.keys(fields).length > 0) await redis.hset(key, fields);
    if (restored > 0) await redis.hincrby(key, 'restored', restored);
    if (overwritten > 0) await redis.hincrby(key, 'overwritten', overwritten);
  };
  await onDisplayKey(work, undefined);
}

/** @param since when it began, as this replica knows it @throws KeeperError `store_unavailable` */
export async function noteLayoutFailure(
  { redis, keys, time }: Store,
  layout: string,
  since: number,
  failure: string,
): Promise<void> {
  const key = keys.layout(layout);
  const work = async () => {
    await redis.hset(key, { failed_at: time.now(), failing_since: since, failure });
    await redis.hincrby(key, 'failures', 1);
  };
  await onDisplayKey(work, undefined);
}

/** It is published again. @throws KeeperError `store_unavailable` */
export async function noteLayoutBack({ redis, keys }: Store, layout: string): Promise<void> {
  const key = keys.layout(layout);
  await onDisplayKey(() => redis.hdel(key, 'failing_since', 'failed_at', 'failure'), 0);
}

/** @throws KeeperError `store_unavailable` */
export async function readLayoutState(
  { redis, keys }: Store,
  layout: string,
): Promise<LayoutState> {
  const hash = await onDisplayKey(() => redis.hgetall(keys.layout(layout)), {});
  const moment = (name: string) => {
    const text = hash[name];
    // A person may have written something else there.
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  };
  return {
    keys: moment('keys'),
    publishedAt: moment('published_at'),
    restored: moment('restored') ?? 0,
    overwritten: moment('overwritten') ?? 0,
    overwrittenAt: moment('overwritten_at'),
    overwrittenSubject: hash.overwritten_subject,
    overwrittenKind: hash.overwritten_kind,
    failures: moment('failures') ?? 0,
    failedAt: moment('failed_at'),
    failingSince: moment('failing_since'),
    failure: hash.failure,
  };
}
