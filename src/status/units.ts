/** How the status writes times: ISO 8601 in UTC, and whole seconds. */

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : iso(ms);
}

export function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
