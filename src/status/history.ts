import type { HistoryEntry } from '../store/credentials/record.ts';
import { isoOrNull, seconds } from '../lib/time-format.ts';
import type { CredentialStatus } from './schema.ts';

/**
 * What the intervals between mints say, in whole seconds.
 * @param entries newest first
 */
export function summarizeHistory(entries: readonly HistoryEntry[]): CredentialStatus['history'] {
  const times = entries.map((entry) => entry.obtainedAt);
  const intervals = times.slice(1).map((earlier, index) => (times[index] ?? 0) - earlier);
  const oldest = times.at(-1);
  const total = intervals.reduce((sum, interval) => sum + interval, 0);
  return {
    count: times.length,
    mean_interval_seconds: intervals.length === 0 ? null : seconds(total / intervals.length),
    longest_interval_seconds: intervals.length === 0 ? null : seconds(Math.max(...intervals)),
    since: isoOrNull(oldest),
  };
}
