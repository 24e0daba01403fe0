import { makeReady } from './rig/ready.ts';
import { enter, enterPeers, onStage, type Stage } from './rig/stage.ts';
import type { Options } from './rig/options.ts';
import { prepareTickets, TicketTimes } from './rig/prepared-pushes.ts';
import { ratio, type GoalLine, type Report } from './rig/report.ts';
import { checkPush, compare, tableOf, type Contestant, type Results } from './rig/rounds.ts';
import { keeper, PEERS, reference } from './rig/servers.ts';

/**
 * Ticket pushes, which each server verifies, decrypts and stores; it says `success` only after Redis has
 * acknowledged. Beside us run the least that Node can do, bare Express, which stores what it does not
 * understand, and everybody's packages by their own documentation.
 */

const CONNECTIONS = [1, 16, 64];
/** Shares of the times of tickets that are used up before the first round. */
export const BEFORE = PEERS.length + 4;
export const RAW = 'raw node:http';
export const EXPRESS = 'bare Express';

export async function measurePushes(options: Options): Promise<Report> {
  return await onStage(async (stage) => {
    const times = new TicketTimes(options.rounds * CONNECTIONS.length + BEFORE);
    await enterAll(stage, options, times);
    const results = await compare(stage.contestants, {
      ...options,
      connections: CONNECTIONS,
      prepare: (count) => prepareTickets(times.take(count)),
      check: (contestant, push) => checkPush(contestant, push, stage.redis),
    });
    return {
      bench: 'pushes',
      title: {
        en: 'Ticket pushes, acknowledged by Redis',
        zh: '推送 component_verify_ticket，Redis 确认后才应答',
      },
      tables: tableOf(results),
      lines: judge(results),
      notes: [...stage.leftOut, ...complaints(results)],
      failed: complaints(results).length > 0,
    };
  });
}

export async function enterAll(stage: Stage, options: Options, times: TicketTimes): Promise<void> {
  const probe = async (contestant: Contestant) => {
    for (const push of prepareTickets(times.take(1)))
      await checkPush(contestant, push, stage.redis);
  };
  await enter(stage, keeper({ wechat: stage.simulator.url }), options, async (contestant) => {
    const real = prepareTickets(times.take(1), () => stage.simulator.issueTicket());
    for (const push of real) await makeReady(stage, contestant, push);
  });
  await enter(stage, await reference('raw-push', RAW, { stores: 'ticket' }), options, probe);
  await enter(stage, await reference('express-push', EXPRESS, { stores: 'body' }), options, probe);
  await enterPeers(stage, options, probe);
}

/** The peer that answers the most requests a second. */
export function bestPeer(results: Results, connections: number): string | undefined {
  const rate = (name: string) => results.get(name)?.get(connections)?.perSecond ?? 0;
  return PEERS.filter((name) => results.has(name)).sort((a, b) => rate(b) - rate(a))[0];
}

export function complaints(results: Results): string[] {
  return [...results].flatMap(([name, ofServer]) =>
    [...ofServer].flatMap(([connections, { refused, failed, wraps }]) => {
      const where = `${name} at c${connections}`;
      return [
        ...(refused + failed > 0 ? [`${where}: ${refused} refused, ${failed} failed`] : []),
        ...(wraps > 0 ? [`${where}: the prepared requests were used up, some were repeated`] : []),
      ];
    }),
  );
}

function judge(results: Results): GoalLine[] {
  return [...againstPeers(results), ...againstRaw(results)];
}

function againstPeers(results: Results): GoalLine[] {
  const ours = results.get('wxkeeper');
  const lines: GoalLine[] = [];
  for (const [connections, atLeast] of [
    [64, 3],
    [64, 4.5],
    [1, 1.5],
  ] as const) {
    const name = bestPeer(results, connections);
    const best = results.get(name ?? '')?.get(connections);
    const mine = ours?.get(connections);
    if (name === undefined || best === undefined || mine === undefined) continue;
    const [stretch, inChinese] = atLeast === 4.5 ? [' (stretch)', '（更高目标）'] : ['', ''];
    lines.push(
      ratio({
        what: {
          en: `tickets/s at c${connections} to the best peer, ${name}${stretch}`,
          zh: `c${connections} 每秒票据数，对比最快的同类 ${name}${inChinese}`,
        },
        of: mine.perSecond,
        to: best.perSecond,
        atLeast,
      }),
    );
  }
  const name = bestPeer(results, 64);
  const [best, mine] = [results.get(name ?? '')?.get(64), ours?.get(64)];
  if (name !== undefined && best !== undefined && mine !== undefined) {
    const what = {
      en: `CPU per 1,000 tickets at c64 to the best peer, ${name}`,
      zh: `c64 每 1,000 个票据的 CPU，对比最快的同类 ${name}`,
    };
    lines.push(ratio({ what, of: mine.cpuPerThousand, to: best.cpuPerThousand, atMost: 0.35 }));
  }
  return lines;
}

function againstRaw(results: Results): GoalLine[] {
  const [ours, raw] = [results.get('wxkeeper'), results.get(RAW)];
  if (ours === undefined || raw === undefined) return [];
  const of = (connections: number, field: 'perSecond' | 'p99Ms') => ({
    of: ours.get(connections)?.[field] ?? NaN,
    to: raw.get(connections)?.[field] ?? NaN,
  });
  const rate = { en: 'tickets/s at c64 to raw node:http', zh: 'c64 每秒票据数，对比裸 node:http' };
  const p99 = (connections: number) => ({
    en: `p99 of a ticket at c${connections} to raw node:http`,
    zh: `c${connections} 票据的 p99，对比裸 node:http`,
  });
  const stretch = { en: `${rate.en} (stretch)`, zh: `${rate.zh}（更高目标）` };
  return [
    ratio({ what: rate, ...of(64, 'perSecond'), atLeast: 1 }),
    ratio({ what: stretch, ...of(64, 'perSecond'), atLeast: 1.5 }),
    ratio({ what: p99(16), ...of(16, 'p99Ms'), atMost: 2 }),
    ratio({ what: p99(64), ...of(64, 'p99Ms'), atMost: 1.5 }),
  ];
}
