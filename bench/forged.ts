import { onStage, type StageOptions } from './rig/stage.ts';
import type { Options } from './rig/options.ts';
import { forge, prepareTickets, TicketTimes } from './rig/prepared-pushes.ts';
import { ratio, type Report } from './rig/report.ts';
import { compare, send, tableOf, type Contestant } from './rig/rounds.ts';
import type { Prepared } from './rig/load.ts';
import { BEFORE, bestPeer, enterAll, EXPRESS } from './pushes.ts';

/** Pushes of somebody who does not know the token: how many of them a server refuses in a second. */

const CONNECTIONS = [64];

export async function measureForged(options: Options): Promise<Report> {
  return await onStage(async (stage) => {
    const times = new TicketTimes(options.rounds * CONNECTIONS.length + 2 * BEFORE);
    await enterAll(stage, options, times);
    const leftOut = await keepThoseWhoRefuse(stage.contestants, times, options);
    const results = await compare(stage.contestants, {
      ...options,
      connections: CONNECTIONS,
      refused: true,
      prepare: (count) => prepareTickets(times.take(count)).map(forge),
      check: mustRefuse,
    });
    const name = bestPeer(results, 64);
    const rate = (of: string) => results.get(of)?.get(64)?.perSecond ?? NaN;
    const accepted = [...results].flatMap(([of, ofServer]) =>
      [...ofServer.values()]
        .filter(({ requests, refused }) => refused < requests)
        .map(({ requests, refused }) => `${of} did not refuse ${requests - refused} forged pushes`),
    );
    const what = {
      en: `forged pushes refused/s at c64 to the best peer, ${name ?? ''}`,
      zh: `c64 每秒拒绝的伪造推送，对比最快的同类 ${name ?? ''}`,
    };
    return {
      bench: 'forged',
      title: { en: 'Forged pushes, all to be refused', zh: '伪造的推送，必须全部拒绝' },
      tables: tableOf(results),
      lines:
        name === undefined || !results.has('wxkeeper')
          ? []
          : [ratio({ what, of: rate('wxkeeper'), to: rate(name), atLeast: 2.5 })],
      notes: [...stage.leftOut, ...leftOut, ...accepted],
      failed: accepted.length > 0,
    };
  });
}

/** Some peers die of a forged push, and bare Express knows none. */
async function keepThoseWhoRefuse(
  contestants: Contestant[],
  times: TicketTimes,
  { say }: Pick<StageOptions, 'say'>,
): Promise<string[]> {
  const leftOut: string[] = [];
  for (const contestant of [...contestants]) {
    const { name } = contestant.server;
    const [push] = prepareTickets(times.take(1)).map(forge);
    const reason =
      push === undefined || name === EXPRESS
        ? 'it checks nothing'
        : await mustRefuse(contestant, push).then(
            () => undefined,
            (error: unknown) => (error instanceof Error ? error.message : String(error)),
          );
    if (reason === undefined) continue;
    say(`${name}: ${reason}`);
    leftOut.push(`${name} was left out of the forged pushes: ${reason}`);
    contestants.splice(contestants.indexOf(contestant), 1);
    await contestant.running.stop();
  }
  return leftOut;
}

async function mustRefuse({ server, running }: Contestant, push: Prepared): Promise<void> {
  const { status } = await send(running.port, push);
  if (status < 400) throw new Error(`${server.name} answered a forged push with ${status}`);
}
