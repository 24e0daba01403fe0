import { COMPONENT } from './rig/component.ts';
import { residentMb } from './rig/cores.ts';
import { load, pack, type Measured } from './rig/load.ts';
import type { Options } from './rig/options.ts';
import { prepareMessages, prepareTickets, TicketTimes } from './rig/prepared-pushes.ts';
import { makeReady } from './rig/ready.ts';
import { figure, median, ratio, type Report } from './rig/report.ts';
import { keeper } from './rig/servers.ts';
import { enter, onStage, type Stage } from './rig/stage.ts';

/**
 * Ten minutes of as many tickets and messages as the service takes, one ticket for nine messages. What is
 * sent is made between the loads, which pauses them: made meanwhile, it would take the core of the load.
 */

const USUAL_SECONDS = 600;
const CONNECTIONS = 64;
/** Seconds of one load; after every second one, memory is looked at. */
const LOAD_SECONDS = 15;
const PER_SECOND = 30_000;
const TICKETS_IN = 10;
const AUTHORIZERS = 1_000;
/** `EVENT_STREAM_LENGTH` in src/store/tickets/event-stream.ts, and what approximate trimming may leave above it. */
const STREAM_LENGTH = 10_200;
const PREFIX = 'wxkeeper:';

interface Sample {
  seconds: number;
  perSecond: number;
  mb: number;
  redisMb: number;
}

export async function measureLong(options: Options): Promise<Report> {
  const seconds = options.secondsGiven ? options.seconds : USUAL_SECONDS;
  return await onStage(async (stage) => {
    const loads = Math.max(1, Math.round(seconds / LOAD_SECONDS));
    const times = new TicketTimes(loads + 1);
    const server = keeper({ wechat: stage.simulator.url, prefix: PREFIX });
    await enter(stage, server, { ...options, only: undefined });
    const [one] = stage.contestants;
    if (one === undefined) throw new Error('wxkeeper did not start');
    const [real] = prepareTickets(times.take(1), () => stage.simulator.issueTicket());
    if (real !== undefined) await makeReady(stage, one, real);
    const samples: Sample[] = [];
    let [wrong, total, perSecond] = [0, 0, PER_SECOND];
    for (let number = 0; number < loads; number += 1) {
      const each = Math.min(LOAD_SECONDS, seconds);
      const measured = await fire(one.running, times, { perSecond, seconds: each });
      wrong += measured.refused + measured.failed;
      total += measured.requests;
      perSecond = Math.min(PER_SECOND, measured.perSecond * 1.5);
      if (number % 2 === 0 && number + 1 < loads) continue;
      const sample = await takeSample(stage, one.running.pid, (number + 1) * each, measured);
      samples.push(sample);
      options.say(JSON.stringify(sample));
    }
    const stream = await stage.redis.xlen(`${PREFIX}events:{${COMPONENT.appid}}`);
    return describe(samples, { wrong, total, stream });
  });
}

async function fire(
  running: Parameters<typeof load>[0],
  times: TicketTimes,
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<Measured> {
  const count = Math.ceil(perSecond * seconds);
  const tickets = prepareTickets(times.take(Math.ceil(count / TICKETS_IN)));
  const messages = prepareMessages(count - tickets.length, AUTHORIZERS);
  const mixed = tickets.flatMap((ticket, index) => [
    ticket,
    ...messages.slice(index * (TICKETS_IN - 1), (index + 1) * (TICKETS_IN - 1)),
  ]);
  const ammunition = await pack(mixed);
  try {
    return await load(running, ammunition, { connections: CONNECTIONS, seconds });
  } finally {
    await ammunition.discard();
  }
}

async function takeSample(
  { redis }: Stage,
  pid: number,
  seconds: number,
  { perSecond }: Measured,
): Promise<Sample> {
  const memory = /used_memory:(\d+)/.exec(await redis.info('memory'))?.[1] ?? '0';
  const mb = Math.round(residentMb(pid));
  const redisMb = Math.round(Number(memory) / 1e6);
  return { seconds, perSecond: Math.round(perSecond), mb, redisMb };
}

function describe(
  samples: readonly Sample[],
  { wrong, total, stream }: { wrong: number; total: number; stream: number },
): Report {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const memory = (part: readonly Sample[]) => median(part.map(({ mb }) => mb));
  const middle = memory(samples.slice(-2 * third, -third));
  const growth = {
    what: {
      en: 'memory (RSS) in the last third to the middle third',
      zh: '最后三分之一时段的内存（RSS），对比中间三分之一',
    },
    of: memory(samples.slice(-third)),
    to: middle,
    atMost: 1.1,
  };
  return {
    bench: 'long',
    title: { en: 'A long load at full rate', zh: '长时间满载' },
    tables: [
      {
        columns: ['per s', 'RSS MB', 'Redis MB'],
        rows: samples.map(({ seconds, perSecond, mb, redisMb }) => [
          ...[`after ${seconds} s of load`, perSecond, mb, redisMb],
        ]) as [string, ...number[]][],
      },
    ],
    lines: [
      ...(Number.isFinite(middle) ? [ratio(growth)] : []),
      figure({ en: 'errors', zh: '错误数' }, wrong, '', 0),
      figure({ en: 'length of the stream of events', zh: '事件流长度' }, stream, '', STREAM_LENGTH),
    ],
    notes: [
      `${total.toLocaleString('en')} pushes; each is remembered in Redis for eleven minutes, so its memory grows until then`,
    ],
    failed: wrong > 0,
  };
}
