import { REFUSAL_REASONS, type RefusalReason } from '../../lib/errors.ts';
import { onDisplayKey, onRedis } from '../redis/connection.ts';
import { loadScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';

/** What is known of refused pushes, across replicas and restarts: one hash for each platform. */

/** Where it was sent: one of the two URLs of the console, or an address that is neither. */
export const PUSH_URLS = ['event', 'message', 'other'] as const;
export type PushUrl = (typeof PUSH_URLS)[number];
/** Those at which a push can be accepted. */
export type ServedUrl = Exclude<PushUrl, 'other'>;

/** What tells of the last one. Texts of strangers: cut and cleaned before they get here. */
export interface LastRefused {
  /** Without the query. */
  path: string;
  /** Of the peer, which is the proxy where there is one. */
  address: string;
  /** Seconds that our clock is ahead, for `clock`; the appid, for `unknown_component`. */
  detail: string;
  /** Whether its query had timestamp, nonce and a signature, right or wrong, as WeChat's has. */
  signed: 'yes' | 'no';
}

/** Several that are alike. */
export interface RefusedBatch {
  url: PushUrl;
  reason: RefusalReason;
  count: number;
  /** How many of them came after the last accepted push, and may be pushes at all. */
  row: number;
  /** The first and the last of them, epoch ms. */
  since: number;
  at: number;
  /** URLs at which pushes were accepted between two of them: that says nothing about these. */
  beside: readonly ServedUrl[];
  last: LastRefused;
}

/** As it is stored. */
export interface RefusedPushes extends LastRefused {
  url: PushUrl;
  reason: RefusalReason;
  /** Since wxkeeper counts. */
  total: number;
  /** Without an accepted push between, so far as the writer could see, but for those `beside`. */
  row: number;
  since: number | undefined;
  at: number | undefined;
  beside: readonly ServedUrl[];
}

/** Milliseconds without a refusal after which it is over: three tickets would have come. */
export const ROW_OVER_MS = 30 * 60_000;

const addScript = loadScript('tickets/add-refused');

/** @param component null for what names no configured platform. @throws KeeperError `store_unavailable` */
export async function addRefused(
  { redis, keys }: Store,
  component: string | null,
  batches: readonly RefusedBatch[],
): Promise<void> {
  // As texts: Lua would write a moment of thirteen digits and a fraction shorter than it is.
  const list = batches.map(({ url, reason, count, row, since, at, beside, last }) => ({
    url,
    reason,
    count,
    row,
    beside,
    last,
    apart: REFUSAL_REASONS[reason].apart,
    since: String(since),
    at: String(at),
  }));
  const appid = component ?? ELSEWHERE;
  const touched = [keys.refusedPushes(appid), keys.pushStats(appid)];
  await onRedis(() => runScript(redis, addScript, touched, [ROW_OVER_MS, JSON.stringify(list)]));
}

/** @param component null for what names no configured platform. @throws KeeperError `store_unavailable` */
export async function readRefused(
  { redis, keys }: Store,
  component: string | null,
): Promise<RefusedPushes[]> {
  const key = keys.refusedPushes(component ?? ELSEWHERE);
  const hash = await onDisplayKey<Record<string, string>>(() => redis.hgetall(key), {});
  return PUSH_URLS.flatMap((url) =>
    REASONS.flatMap((reason) => {
      const field = (name: string) => hash[`${url}:${reason}:${name}`];
      const total = countOf(field('total'));
      if (total === 0) return [];
      return [
        {
          url,
          reason,
          total,
          row: countOf(field('row')),
          since: momentOf(field('since')),
          at: momentOf(field('at')),
          beside: SERVED.filter((kind) => field(`beside_${kind}`) !== undefined),
          path: field('path') ?? '',
          address: field('address') ?? '',
          detail: field('detail') ?? '',
          signed: field('signed') === 'yes' ? ('yes' as const) : ('no' as const),
        },
      ];
    }),
  );
}

/** Stands where an appid stands. */
const ELSEWHERE = 'elsewhere';
const REASONS = Object.keys(REFUSAL_REASONS) as RefusalReason[];
const SERVED = ['event', 'message'] as const;

/** What a person has written there may be no number. */
function countOf(text: string | undefined): number {
  const count = Number(text);
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

function momentOf(text: string | undefined): number | undefined {
  const ms = Number(text);
  return text !== undefined && Number.isFinite(ms) ? ms : undefined;
}
