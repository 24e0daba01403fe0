import { enter, onStage } from './rig/stage.ts';
import type { Options } from './rig/options.ts';
import { prepareMessages, prepareTickets, TicketTimes } from './rig/prepared-pushes.ts';
import { makeReady } from './rig/ready.ts';
import { ratio, type Report } from './rig/report.ts';
import { checkPush, compare, send, tableOf } from './rig/rounds.ts';
import { keeper } from './rig/servers.ts';
import { complaints } from './pushes.ts';

/**
 * What users send, to the message & event URL of wxkeeper, beside tickets at the same process: messages
 * are told apart by their MsgId and written to the stream, and there are far more of them.
 */

const CONNECTIONS = [1, 16, 64];
/** Accounts that the messages are for. */
const AUTHORIZERS = 1_000;
const [TICKETS, MESSAGES] = ['tickets', 'messages'];

export async function measureMessages(options: Options): Promise<Report> {
  return await onStage(async (stage) => {
    const times = new TicketTimes(options.rounds * CONNECTIONS.length + 2);
    await enter(stage, keeper({ wechat: stage.simulator.url }), { ...options, only: undefined });
    const [one] = stage.contestants;
    if (one === undefined) throw new Error('wxkeeper did not start');
    const [real] = prepareTickets(times.take(1), () => stage.simulator.issueTicket());
    if (real !== undefined) await makeReady(stage, one, real);
    const both = [TICKETS, MESSAGES].map((kind) => ({
      ...one,
      kind,
      server: { ...one.server, name: `wxkeeper, ${kind}` },
    }));
    const results = await compare(both, {
      ...options,
      connections: CONNECTIONS,
      prepare: (count, kind) =>
        kind === TICKETS ? prepareTickets(times.take(count)) : prepareMessages(count, AUTHORIZERS),
      check: async (contestant, push) => {
        if (contestant.kind === TICKETS) await checkPush(contestant, push, stage.redis);
        else await checkMessage(contestant.running.port, push);
      },
    });
    const rate = (kind: string) => results.get(`wxkeeper, ${kind}`)?.get(64)?.perSecond ?? NaN;
    const what = { en: 'tickets/s to messages/s at c64', zh: 'c64 每秒票据数对比每秒消息数' };
    return {
      bench: 'messages',
      title: { en: 'Messages beside tickets', zh: '消息推送与票据推送' },
      tables: tableOf(results),
      lines: [ratio({ what, of: rate('tickets'), to: rate('messages'), atMost: 1.3 })],
      notes: complaints(results),
      failed: complaints(results).length > 0,
    };
  });

  async function checkMessage(port: number, push: Parameters<typeof send>[1]): Promise<void> {
    const { status, text } = await send(port, push);
    if (status !== 200 || text !== 'success') {
      throw new Error(`a message was answered with ${status} ${text.slice(0, 100)}`);
    }
  }
}
