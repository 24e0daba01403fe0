import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { SnapshotContext } from '../status/context.ts';
import type { StatusSnapshot } from '../status/schema.ts';
import { takeSnapshot } from '../status/snapshot.ts';
import { createCounters, type Counters } from './counters.ts';
import { FAMILIES } from './gauges.ts';

/** What knows Prometheus's library. It is loaded after the public port takes pushes: see `metrics.ts`. */
export interface MetricsRegistry {
  counters: Counters;
  scrape(status: SnapshotContext): Promise<string>;
}

/** Gauges that Node's library names as if they were counters. */
const MISNAMED = ['handles', 'requests', 'resources'].map((one) => `nodejs_active_${one}_total`);

export function createRegistry(): MetricsRegistry {
  const own = new Registry();
  const counters = createCounters(own);
  let observingNode = false;
  return {
    counters,
    async scrape(status) {
      if (!observingNode) {
        // Only where somebody asks: it measures the event loop without a pause from then on.
        observingNode = true;
        collectDefaultMetrics({ register: own });
        for (const name of MISNAMED) own.removeSingleMetric(name);
      }
      const told = registryOf(await takeSnapshot(status));
      return `${await told.metrics()}\n${await own.metrics()}`;
    },
  };
}

/** In a registry of their own: nothing of an earlier scrape, or of another caller's, may stay. */
function registryOf(status: StatusSnapshot): Registry {
  const registry = new Registry();
  for (const { name, help, type, labels, samples } of FAMILIES) {
    const found = samples(status);
    // Without labels it would be there as 0, which is not the same as not known.
    if (found.length === 0 && labels.length === 0) continue;
    const options = { name, help, labelNames: [...labels], registers: [registry] };
    const metric = type === 'counter' ? new Counter(options) : new Gauge(options);
    for (const one of found) metric.inc(one.labels, one.value);
  }
  return registry;
}
