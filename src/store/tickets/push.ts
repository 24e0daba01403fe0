import type { Keys } from '../redis/keys.ts';
import type { ServedUrl } from './refused-pushes.ts';

/** A push on its way into Redis, as `push.lua` takes it. */

/** Field names and texts of one stream entry, as consumer groups read them. */
export type EventFields = Readonly<Record<string, string>>;

/** How a push is counted, in the same step in which it is stored. */
export interface Counted {
  /** Where it came. */
  url: ServedUrl;
  /** Epoch ms. */
  at: number;
  usedPreviousKey: boolean;
  usedPreviousToken: boolean;
}

/** What is to be delivered of a push, stored in the same step as the push itself. */
export interface DeliveryPlan {
  /** Of the push: in the log, the stream and every delivery. */
  id: string;
  /** What is kept until everything is delivered. */
  kept: EventFields;
  /** One for each target, or the one in which it is held back. */
  queues: readonly PlannedQueue[];
}

export interface PlannedQueue {
  /** Of the queue, and of the state of its target. */
  keys: readonly [string, string];
  /** Orders the queue: epoch ms. */
  score: number;
}

/** About what Redis takes for a delivery besides the texts. */
const OVERHEAD_BYTES = 1_000;
/** Milliseconds for which anything of a delivery is kept at the most, with a queue that nobody serves. */
export const DELIVERY_KEPT_MS = 14 * 24 * 3600 * 1000;

/** The keys of a planned push, in the order in which `push.lua` reads them. */
export function deliveryKeys(keys: Keys, appid: string, plan: DeliveryPlan | undefined): string[] {
  if (plan === undefined) return [];
  return [keys.push(appid, plan.id), ...plan.queues.flatMap((one) => one.keys)];
}

function planArgument({ id, kept, queues }: DeliveryPlan): unknown {
  const texts = Object.entries(kept).map(([name, text]) => [name, text.toWellFormed()]);
  // For each that gets it, although it is stored once: what is left when others have got theirs is whole.
  const size = texts.reduce((sum, [, text = '']) => sum + Buffer.byteLength(text), OVERHEAD_BYTES);
  const all = [...texts, ['open', String(queues.length)], ['size', String(size)]];
  return [id, all.flat(), DELIVERY_KEPT_MS, queues.map(({ score }) => [score, size])];
}

/**
 * A push as `push.lua` reads it. Half a character would be no JSON to Redis.
 * @param own what its script wants to know
 */
export function pushArgument(
  own: readonly (string | number | readonly number[])[],
  event: EventFields,
  counted: Counted | undefined,
  plan?: DeliveryPlan,
): string {
  const parts: unknown[] = [
    ...own,
    String(counted?.at ?? ''),
    counted?.url ?? '',
    counted?.usedPreviousKey === true ? '1' : '',
    counted?.usedPreviousToken === true ? '1' : '',
    plan === undefined ? '' : planArgument(plan),
  ];
  for (const name in event) parts.push(name, (event[name] ?? '').toWellFormed());
  return JSON.stringify(parts);
}
