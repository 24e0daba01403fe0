/** How the status writes times: ISO 8601 in UTC, and whole seconds. */

/** The last moment that has a year of four digits, epoch ms. */
const MAX_MS = Date.UTC(9999, 11, 31);

/**
 * What a person has written into Redis by hand may be no moment: it must not take the whole status
 * with it. Shown as the nearest one.
 */
export function iso(ms: number): string {
  return new Date(Number.isNaN(ms) ? 0 : Math.min(MAX_MS, Math.max(0, ms))).toISOString();
}

export function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined || Number.isNaN(ms) ? null : iso(ms);
}

export function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
