import { Counter, type Registry } from 'prom-client';

/**
 * A counter of what happens at each request. The library checks and looks up a set of labels anew for each
 * count, which a request that is served quickly notices; here it is told when somebody reads the metrics.
 */
export interface Tally {
  /** @param values of the labels, in the order of their names */
  count(...values: readonly string[]): void;
}

export function createTally(
  registry: Registry,
  options: { name: string; help: string; labelNames: readonly string[] },
): Tally {
  const { labelNames } = options;
  const counts = new Map<string, { labels: Record<string, string>; untold: number }>();
  new Counter({
    ...options,
    registers: [registry],
    collect() {
      for (const one of counts.values()) {
        if (one.untold > 0) this.inc(one.labels, one.untold);
        one.untold = 0;
      }
    },
  });
  return {
    count(...values) {
      // None of our names has a line end in it.
      const key = values.join('\n');
      const known = counts.get(key);
      if (known !== undefined) {
        known.untold += 1;
        return;
      }
      const pairs = labelNames.map((name, index) => [name, values[index] ?? '']);
      counts.set(key, { labels: Object.fromEntries(pairs) as Record<string, string>, untold: 1 });
    },
  };
}
