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

/**
 * A push as `push.lua` reads it. Half a character would be no JSON to Redis.
 * @param own what its script wants to know
 */
export function pushArgument(
  own: readonly (string | number | readonly number[])[],
  event: EventFields,
  counted: Counted | undefined,
): string {
  const parts: unknown[] = [
    ...own,
    String(counted?.at ?? ''),
    counted?.url ?? '',
    counted?.usedPreviousKey === true ? '1' : '',
    counted?.usedPreviousToken === true ? '1' : '',
  ];
  for (const name in event) parts.push(name, (event[name] ?? '').toWellFormed());
  return JSON.stringify(parts);
}
