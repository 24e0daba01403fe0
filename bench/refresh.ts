import type { Simulator } from '../src/sandbox/wechat/simulator.ts';
import { countCommands, totalOf } from '../test/kit/redis-commands.ts';
import type { Options } from './rig/options.ts';
import { createPlatform, fillUp, KIND, makeDue, type Platform } from './rig/platform.ts';
import { figure, median, ratio, type GoalLine, type Report } from './rig/report.ts';
import { onStage } from './rig/stage.ts';

/**
 * What a tick over a platform's authorizers costs: the real keeper, real Redis, and WeChat's
 * simulator over HTTP. The number of commands is exact and the same everywhere; the time is of this
 * machine. All of it is in one process, so that CPU is that of keeper and simulator together.
 */

/** What WeChat may take for an answer, milliseconds. */
const UPSTREAM_MS = 50;
/** Calls under way at once for one platform: `AT_ONCE` in src/credentials/refresh-due.ts. */
const AT_ONCE = 10;
const SLOW_DUE = 1_000;

interface Tick {
  /** Authorizers with a record in Redis. */
  existing: number;
  due: number;
  /** What Redis was asked to do by the tick, inside of scripts and from outside. */
  commands: number;
  /** Of them those that were sent to it. */
  sent: number;
  /** Records that it read: that of each due one and its platform's token, several times each. */
  readings: number;
  calls: number;
  ms: number;
  upstreamMs: number;
}

export async function measureRefreshes(options: Options): Promise<Report> {
  const ticks = await onStage(async ({ redis, simulator }) => {
    const platform = await createPlatform(redis, simulator, 'bench:refresh:');
    try {
      return await tickAll(platform, options);
    } finally {
      await platform.keeper.stop();
    }
  }, 'everywhere');
  return {
    bench: 'refresh',
    title: {
      en: `A tick over the authorizers of one platform, ${AT_ONCE} calls to WeChat at a time`,
      zh: `一个平台的全部授权方：一次定时检查，最多 ${AT_ONCE} 个并发请求`,
    },
    tables: [
      {
        columns: ['upstream ms', 'due', 'calls', 'readings', 'commands', 'sent', 'ms'],
        rows: ticks.map(({ existing, due, calls, readings, commands, sent, ms, upstreamMs }) => [
          `${existing.toLocaleString('en')} authorizers`,
          ...[upstreamMs, due, calls, readings, commands, sent, ms],
        ]),
      },
    ],
    lines: judge(ticks),
    notes: [
      'readings are of whole records; of each due one, and of the platform token it is minted with',
    ],
  };
}

/**
 * A tick among ten thousand authorizers, then among ten times as many, then one with nothing due. Those
 * that are compared by their time are made several times, after one that is not counted.
 */
async function tickAll(platform: Platform, { rounds, say }: Options): Promise<Tick[]> {
  const ticks: Tick[] = [];
  for (const [existing, due, upstreamMs, times] of [
    [1_000, 100, 0, 1],
    [10_000, 100, 0, rounds],
    [10_000, SLOW_DUE, UPSTREAM_MS, 1],
    [100_000, 100, 0, rounds],
    [100_000, 0, 0, 1],
  ] as const) {
    await fillUp(platform, existing);
    const same: Tick[] = [];
    for (let time = 0; time < times; time += 1) {
      await makeDue(platform, due);
      if (upstreamMs > 0) slowDown(platform.simulator, due, upstreamMs);
      const one = { ...(await tick(platform, due)), upstreamMs };
      platform.simulator.clearFaults();
      say(`${due} due among ${existing}: ${Math.round(one.ms)} ms`);
      same.push(one);
    }
    const [first] = same;
    if (first !== undefined) ticks.push({ ...first, ms: median(same.map(({ ms }) => ms)) });
  }
  return ticks;
}

function slowDown(simulator: Simulator, times: number, ms: number): void {
  const fault = { type: 'delay', ms } as const;
  simulator.addFault({ api: 'api_authorizer_token', times, fault });
}

async function tick(platform: Platform, due: number): Promise<Omit<Tick, 'upstreamMs'>> {
  const { store, simulator, keeper, existing } = platform;
  const before = simulator.ledger.calls.length;
  let [ms, sent] = [0, 0];
  const counts = await countCommands(store.redis, async () => {
    const begun = performance.now();
    const counting = countSent(platform);
    const { ok, summary } = await keeper.refreshDue(KIND, 'cron');
    ms = performance.now() - begun;
    sent = counting.stop();
    if (!ok) throw new Error(`the tick left something undone: ${summary}`);
  });
  return {
    existing,
    due,
    ms,
    sent,
    commands: totalOf(counts),
    readings: counts['hgetall'] ?? 0,
    calls: simulator.ledger.calls.length - before,
  };
}

/** Counts what goes over the connection; Redis itself counts what scripts do as well. */
function countSent({ store: { redis } }: Platform): { stop(): number } {
  let sent = 0;
  const original = redis.sendCommand;
  redis.sendCommand = function (...args) {
    sent += 1;
    return original.apply(this, args);
  };
  return {
    stop() {
      redis.sendCommand = original;
      return sent;
    },
  };
}

function judge(ticks: readonly Tick[]): GoalLine[] {
  const of = (existing: number, due: number) =>
    ticks.find((one) => one.existing === existing && one.due === due);
  const [slow, few, many, none] = [
    of(10_000, SLOW_DUE),
    of(10_000, 100),
    of(100_000, 100),
    of(100_000, 0),
  ];
  if (!slow || !few || !many || !none) throw new Error('a tick is missing');
  const ideal = (slow.due / AT_ONCE) * UPSTREAM_MS;
  return [
    ratio({
      what: {
        en: `refreshing ${SLOW_DUE} due at an upstream of ${UPSTREAM_MS} ms, to the ideal ${ideal} ms`,
        zh: `上游 ${UPSTREAM_MS} ms 时刷新 ${SLOW_DUE} 个到期 token，对比理想值 ${ideal} ms`,
      },
      of: slow.ms,
      to: ideal,
      atMost: 1.3,
    }),
    figure(
      { en: 'commands sent per refreshed authorizer', zh: '每刷新一个授权方发出的 Redis 命令' },
      slow.sent / slow.due,
      '',
      6,
    ),
    figure(
      { en: 'commands sent by a tick with nothing due', zh: '没有到期时一次检查发出的命令' },
      none.sent,
      '',
      1,
    ),
    ratio({
      what: {
        en: 'time for the same 100 due at ten times the total',
        zh: '总数为十倍时处理同样 100 个到期 token 的时间',
      },
      of: many.ms,
      to: few.ms,
      atMost: 1.3,
    }),
  ];
}
