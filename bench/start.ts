import { setTimeout as sleep } from 'node:timers/promises';
import { residentMb } from './rig/cores.ts';
import type { Options } from './rig/options.ts';
import { median, ratio, type Report } from './rig/report.ts';
import { keeper, reference, type Server } from './rig/servers.ts';
import { onStage } from './rig/stage.ts';

/** How long it takes from the spawn until somebody may connect, and what an idle process has in memory. */

const TIMES = 5;
/** Until what is only needed for the start has been let go. */
const IDLE_MS = 5_000;

interface Start {
  ms: number;
  mb: number;
}

export async function measureStart({ say }: Options): Promise<Report> {
  return await onStage(async ({ redisUrl, simulator }) => {
    const ours = keeper({ wechat: simulator.url });
    const beside = await reference('express-push', 'bare Express + ioredis');
    const starts = new Map<Server, Start[]>([
      [ours, []],
      [beside, []],
    ]);
    for (let time = 0; time < TIMES; time += 1) {
      for (const [server, noted] of starts) {
        const one = await startOnce(server, redisUrl);
        say(`${server.name}: ${Math.round(one.ms)} ms, ${one.mb.toFixed(0)} MB`);
        noted.push(one);
      }
    }
    const of = (server: Server, field: keyof Start) =>
      median((starts.get(server) ?? []).map((one) => one[field]));
    return {
      bench: 'start',
      title: { en: 'Start, and an idle process', zh: '启动与空闲进程' },
      tables: [
        {
          columns: ['ms', 'idle MB'],
          rows: [...starts.keys()].map((server) => [
            server.name,
            ...[of(server, 'ms'), of(server, 'mb')],
          ]),
        },
      ],
      lines: [
        ratio({
          what: {
            en: 'spawn to accepting, to bare Express + ioredis',
            zh: '从启动进程到接受连接，对比裸 Express + ioredis',
          },
          of: of(ours, 'ms'),
          to: of(beside, 'ms'),
          atMost: 1.3,
        }),
        ratio({
          what: {
            en: 'idle memory (RSS), to bare Express + ioredis',
            zh: '空闲内存（RSS），对比裸 Express + ioredis',
          },
          of: of(ours, 'mb'),
          to: of(beside, 'mb'),
          atMost: 1.2,
        }),
      ],
      notes: [],
    };
  });
}

async function startOnce(server: Server, redisUrl: string): Promise<Start> {
  const running = await server.start(redisUrl);
  try {
    await sleep(IDLE_MS);
    return { ms: running.startedInMs, mb: residentMb(running.pid) };
  } finally {
    await running.stop();
  }
}
