import { setTimeout as sleep } from 'node:timers/promises';
import { COMPONENT } from './rig/component.ts';
import { load, pack, type Measured } from './rig/load.ts';
import type { Options } from './rig/options.ts';
import { createPlatform, fillUp, KIND, makeDue, type Platform } from './rig/platform.ts';
import { prepareTickets, TicketTimes } from './rig/prepared-pushes.ts';
import { median, ratio, type Report } from './rig/report.ts';
import type { Contestant } from './rig/rounds.ts';
import { keeper } from './rig/servers.ts';
import { enter, onStage } from './rig/stage.ts';

/**
 * What a push has to wait for while the same process refreshes the tokens of a hundred thousand
 * authorizers that are all due, at the pace that it has by itself.
 */

const AUTHORIZERS = 100_000;
const CONNECTIONS = 16;
const PREFIX = 'wxkeeper:';
/** Tickets prepared for a second of load. */
const PER_SECOND = 36_000;
const BEGINS_WITHIN_MS = 60_000;

export async function measureSweeping(options: Options): Promise<Report> {
  return await onStage(async (stage) => {
    const { say, rounds } = options;
    const platform = await createPlatform(stage.redis, stage.simulator, PREFIX);
    await platform.keeper.stop();
    const times = new TicketTimes(2 * rounds + 1);
    const [idle, swept, refreshed]: [Measured[], Measured[], number[]] = [[], [], []];
    say(`writing ${AUTHORIZERS} authorizers`);
    await fillUp(platform, AUTHORIZERS);
    await enter(stage, keeper({ wechat: stage.simulator.url, prefix: PREFIX }), {
      ...options,
      only: undefined,
    });
    const [one] = stage.contestants;
    if (one === undefined) throw new Error('wxkeeper did not start');
    await fire(one, times, 2);
    for (let round = 0; round < rounds; round += 1) {
      idle.push(await fire(one, times, options.seconds));
    }
    await makeDue(platform, AUTHORIZERS);
    await untilSweeping(platform);
    for (let round = 0; round < rounds; round += 1) {
      const before = await countDue(platform);
      swept.push(await fire(one, times, options.seconds));
      refreshed.push(before - (await countDue(platform)));
    }
    return describe(idle, swept, refreshed);
  });
}

async function fire(one: Contestant, times: TicketTimes, seconds: number): Promise<Measured> {
  const ammunition = await pack(prepareTickets(times.take(Math.ceil(PER_SECOND * seconds))));
  try {
    return await load(one.running, ammunition, { connections: CONNECTIONS, seconds });
  } finally {
    await ammunition.discard();
  }
}

async function countDue({ store: { redis, keys } }: Platform): Promise<number> {
  // One that is claimed is planned anew for the near future.
  return await redis.zcount(keys.due(KIND, COMPONENT.appid), 0, Date.now());
}

async function untilSweeping(platform: Platform): Promise<void> {
  const [before, giveUpAt] = [await countDue(platform), performance.now() + BEGINS_WITHIN_MS];
  while ((await countDue(platform)) >= before) {
    if (performance.now() > giveUpAt) throw new Error('the sweep did not begin');
    await sleep(200);
  }
}

function describe(
  idle: readonly Measured[],
  swept: readonly Measured[],
  refreshed: readonly number[],
): Report {
  const of = (those: readonly Measured[], field: keyof Measured) =>
    median(those.map((one) => one[field]));
  const row = (name: string, those: readonly Measured[]): [string, ...number[]] => [
    name,
    ...[of(those, 'perSecond'), of(those, 'p50Ms'), of(those, 'p99Ms')],
  ];
  const wrong = [...idle, ...swept].reduce((sum, one) => sum + one.refused + one.failed, 0);
  const total = AUTHORIZERS.toLocaleString('en');
  return {
    bench: 'sweeping',
    title: {
      en: `Tickets at c${CONNECTIONS} while the tokens of ${total} authorizers are refreshed`,
      zh: `刷新 ${total} 个授权方 token 期间的票据推送（c${CONNECTIONS}）`,
    },
    tables: [
      {
        columns: ['per s', 'p50 ms', 'p99 ms'],
        rows: [row('idle', idle), row('while sweeping', swept)],
      },
    ],
    lines: [
      ratio({
        what: {
          en: `p99 of a push while ${total} records are swept, to idle`,
          zh: `扫描 ${total} 条记录期间推送的 p99，对比空闲时`,
        },
        of: of(swept, 'p99Ms'),
        to: of(idle, 'p99Ms'),
        atMost: 1.5,
      }),
    ],
    notes: [`looked at during a load: ${median(refreshed)} authorizers (median)`],
    failed: wrong > 0 || refreshed.some((count) => count <= 0),
  };
}
