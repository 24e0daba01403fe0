import type { Part } from './deliveries.ts';
import { route, type DeliveryStage } from './rig/delivering.ts';
import { load, pack, type Measured } from './rig/load.ts';
import type { Options } from './rig/options.ts';
import { prepareMessages } from './rig/prepared-pushes.ts';
import { figure, median } from './rig/report.ts';
import { send } from './rig/rounds.ts';

/** Users who are answered by a target: what that takes beside the target's own time. */

const CONNECTIONS = 16;
const AUTHORIZERS = 1_000;
/** The target takes 20 ms for each. */
const PER_SECOND = 1_000;

export async function measureReplies(
  stage: DeliveryStage,
  { rounds, seconds, say }: Options,
): Promise<Part> {
  const { target } = stage;
  const asks = route(target.port, '/reply', { name: 'asks', reply: true });
  const [running] = await stage.startKeepers('replies:', 1, [asks]);
  if (running === undefined) throw new Error('wxkeeper did not start');
  const [alone, through]: [Measured[], Measured[]] = [[], []];
  const options = { connections: CONNECTIONS, seconds };
  let wrong = 0;
  for (let round = 0; round <= rounds; round += 1) {
    const messages = prepareMessages(PER_SECOND * seconds + 1, AUTHORIZERS);
    const [first, ...others] = messages;
    if (first !== undefined && !(await isReplied(running.port, first))) wrong += 1;
    const toKeeper = await pack(others);
    const toTarget = await pack(others.map((one) => ({ ...one, path: '/reply' })));
    const direct = await load(target, toTarget, options);
    const replied = await load(running, toKeeper, options);
    await Promise.all([toKeeper.discard(), toTarget.discard()]);
    say(`replies ${round}: p99 ${direct.p99Ms} and ${replied.p99Ms} ms`);
    wrong += replied.refused + replied.failed + replied.wraps;
    // Nothing is measured cold.
    if (round === 0) continue;
    alone.push(direct);
    through.push(replied);
  }
  await running.stop();
  return describe(alone, through, wrong);
}

/** With something for the user, and not with `success`. */
async function isReplied(port: number, push: Parameters<typeof send>[1]): Promise<boolean> {
  const { status, text } = await send(port, push);
  return status === 200 && text.includes('<Encrypt>');
}

function describe(alone: readonly Measured[], through: readonly Measured[], wrong: number): Part {
  const of = (all: readonly Measured[], field: keyof Measured) =>
    median(all.map((one) => one[field]));
  const row = (name: string, all: readonly Measured[]): [string, ...number[]] => [
    name,
    ...[of(all, 'perSecond'), of(all, 'p50Ms'), of(all, 'p99Ms')],
  ];
  const added = of(through, 'p99Ms') - of(alone, 'p99Ms');
  return {
    tables: [
      {
        columns: ['per s', 'p50 ms', 'p99 ms'],
        rows: [
          row(`the target alone, c${CONNECTIONS}`, alone),
          row(`a user who is replied to, c${CONNECTIONS}`, through),
        ],
      },
    ],
    lines: [
      figure(
        {
          en: `p99 that wxkeeper adds to a reply over the target's own, c${CONNECTIONS}`,
          zh: `wxkeeper 为回复增加的 p99（在目标自身耗时之上），c${CONNECTIONS}`,
        },
        added,
        'ms',
        5,
      ),
    ],
    notes: [],
    failed: wrong > 0,
  };
}
