import type { Part } from './deliveries.ts';
import { countAtTarget, PACE, route, untilCounted, type DeliveryStage } from './rig/delivering.ts';
import type { Running } from './rig/launch.ts';
import { load, pack, type Measured } from './rig/load.ts';
import type { Options } from './rig/options.ts';
import { prepareMessages } from './rig/prepared-pushes.ts';
import { figure, median, ratio, shorten } from './rig/report.ts';

/** Ten thousand messages at once to two replicas, with and without a dead, a slow and a healthy target. */

const PUSHES = 10_000;
const REPLICAS = 2;
/** Of each replica. */
const CONNECTIONS = 32;
const AUTHORIZERS = 1_000;
/** WeChat waits for five seconds. */
const IN_TIME_MS = 5_000;

export interface Burst {
  pushes: number;
  p99Ms: number;
  perSecond: number;
  notAcknowledged: number;
}

export async function measureBurst(stage: DeliveryStage, { rounds, say }: Options): Promise<Part> {
  const plain = await stage.startKeepers('burst-plain:', REPLICAS, []);
  const { target, deadPort } = stage;
  const routed = await stage.startKeepers('burst-routed:', REPLICAS, [
    route(target.port, '/well', { name: 'well', ...PACE }),
    route(deadPort, '/', { name: 'dead', ...PACE }),
    route(target.port, '/slow', { name: 'slow', ...PACE }),
  ]);
  const [without, withRoutes, seconds]: [Burst[], Burst[], number[]] = [[], [], []];
  let expected = await countAtTarget(stage);
  // The first of each is not counted: nothing is measured cold.
  for (let round = 0; round <= rounds; round += 1) {
    const one = await burst(plain);
    const begun = performance.now();
    const other = await burst(routed);
    expected += PUSHES;
    await untilCounted(stage, expected);
    const complete = (performance.now() - begun) / 1000;
    say(`burst ${round}: p99 ${one.p99Ms} and ${other.p99Ms} ms, complete in ${complete} s`);
    if (round === 0) continue;
    without.push(one);
    withRoutes.push(other);
    seconds.push(complete);
  }
  // What waits for the other two would take the time of what is measured next.
  for (const one of [...plain, ...routed]) await one.stop();
  return describe(without, withRoutes, seconds);
}

/** Half of them to each replica, at the same time. */
export async function burst(replicas: readonly Running[]): Promise<Burst> {
  const each = PUSHES / replicas.length;
  const halves = await Promise.all(
    replicas.map(async (replica) => {
      const ammunition = await pack(prepareMessages(each, AUTHORIZERS));
      return { replica, ammunition };
    }),
  );
  const options = { connections: CONNECTIONS, seconds: 0, once: true };
  const all = await Promise.all(
    halves.map(({ replica, ammunition }) => load(replica, ammunition, options)),
  );
  for (const { ammunition } of halves) await ammunition.discard();
  const sum = (of: (one: Measured) => number) => all.reduce((total, one) => total + of(one), 0);
  return {
    pushes: PUSHES,
    // Of the replica that is worse.
    p99Ms: Math.max(...all.map(({ p99Ms }) => p99Ms)),
    perSecond: sum(({ perSecond }) => perSecond),
    notAcknowledged: sum(({ refused, failed, requests }) => {
      return refused + failed + Math.max(0, each - requests);
    }),
  };
}

/** In the middle of several. */
export function medianOf(all: readonly Burst[], field: keyof Burst): number {
  return median(all.map((one) => one[field]));
}

export const BURST_COLUMNS = ['per s', 'p99 ms', 'no success'] as const;

export function rowOf(name: string, all: readonly Burst[]): [string, ...number[]] {
  const worst = Math.max(...all.map((one) => one.notAcknowledged));
  return [name, medianOf(all, 'perSecond'), medianOf(all, 'p99Ms'), worst];
}

function describe(
  without: readonly Burst[],
  withRoutes: readonly Burst[],
  seconds: readonly number[],
): Part {
  const lost = [...without, ...withRoutes].reduce((sum, one) => sum + one.notAcknowledged, 0);
  const slowest = Math.max(...withRoutes.map(({ p99Ms }) => p99Ms));
  const total = PUSHES.toLocaleString('en');
  return {
    tables: [
      {
        columns: BURST_COLUMNS,
        rows: [
          rowOf(`${total} messages, no routes`, without),
          rowOf(`${total} messages, three routes`, withRoutes),
        ],
      },
    ],
    lines: [
      ratio({
        what: {
          en: `p99 of a message in a burst of ${total} to two replicas, three routes (one dead, one slow) to none`,
          zh: `向两个副本突发 ${total} 条消息时的 p99，三条路由（一条不通、一条缓慢）对比无路由`,
        },
        of: medianOf(withRoutes, 'p99Ms'),
        to: medianOf(without, 'p99Ms'),
        atMost: 1.5,
      }),
      figure({ en: 'p99 at the worst', zh: '最差的 p99' }, slowest, 'ms', IN_TIME_MS),
      figure({ en: 'messages without success', zh: '未应答 success 的消息' }, lost, '', 0),
    ],
    notes: [
      `the healthy target (${PACE.per_second} a second at the most) had every message ${shorten(median(seconds))} s after the burst began (median)`,
    ],
    failed: lost > 0,
  };
}
