import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, describe, expect, inject, it, vi } from 'vitest';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { createManualClock, type ManualClock } from '../kit/clock.ts';
import { mintIntervals } from '../kit/liveness.ts';
import { COMPONENT, MINUTE, NO_PUSHES_ON_REQUEST, platformEnv } from '../kit/platform.ts';

const TICKS = 200;
/** Milliseconds of real time: some 40 seconds on a machine that has nothing else to do. */
const PATIENCE_MS = 240_000;
/** Time after each tick in which the clocks of all three move together. */
const SETTLING_MS = 30_000;
/** Time between two ticks in which the replicas sleep: fewer rounds of the patrols, and no other tick. */
const ASLEEP_MS = 8 * MINUTE;

interface Replica {
  process: ChildProcess;
  publicPort: number;
  log: string[];
}

/** Two real processes on one Redis, whose cron jobs tick in the same moment, every moment. */
describe('row 21: two processes tick together', () => {
  const replicas: Replica[] = [];
  let simulator: Simulator;
  afterEach(async () => {
    for (const { process } of replicas) {
      process.disconnect();
      await once(process, 'exit');
    }
    await simulator.stop();
  });

  it(
    `mints once in each due window over ${TICKS} ticks`,
    async () => {
      const clock = createManualClock();
      simulator = createSimulator({ components: [COMPONENT], clock, pushing: false });
      await simulator.start();
      // Every ticket comes from the test.
      simulator.addFault(NO_PUSHES_ON_REQUEST);
      // WeChat takes a moment to answer, and the test decides how long that is: see letCallsMeet.
      simulator.addFault({ api: '*', times: 'forever', fault: { type: 'delay', ms: 1 } });
      const prefix = `test${randomBytes(6).toString('hex')}:`;
      const env = platformEnv(simulator, inject('redis').env, prefix);
      replicas.push(...(await Promise.all([startReplica(env), startReplica(env)])));

      // From here on each round ends half a minute after a tick.
      await clock.advance(SETTLING_MS);
      await letCallsMeet(
        clock,
        replicas.map((replica) => advance(replica, SETTLING_MS)),
      );
      for (let tick = 0; tick < TICKS; tick += 1) {
        // WeChat's push reaches one of them, in turn, as behind a load balancer.
        const { publicPort } = replicas[tick % 2] as Replica;
        simulator.setCallbackUrl(
          COMPONENT.appid,
          `http://127.0.0.1:${publicPort}/callback/${COMPONENT.appid}`,
        );
        await clock.advance(10 * MINUTE - SETTLING_MS);
        const still = 10 * MINUTE - SETTLING_MS - ASLEEP_MS - 1;
        await letCallsMeet(
          clock,
          replicas.map((replica) => advance(replica, still, ASLEEP_MS)),
        );
        // The push and both ticks meet in the same moment.
        const push = simulator.pushTicket();
        const ticks = replicas.map((replica) => advance(replica, 1));
        expect((await push).accepted).toBe(true);
        await letCallsMeet(clock, ticks);
        // What the push started must end before time goes on, or a call would meet its deadline.
        await letCallsMeet(
          clock,
          replicas.map((replica) => advance(replica, 0)),
        );
        await simulator.idle();
        // Whoever lost the race looks again within a second; the clocks stay close meanwhile.
        await clock.advance(SETTLING_MS);
        await letCallsMeet(
          clock,
          replicas.map((replica) => advance(replica, SETTLING_MS)),
        );
      }
      const tokens = mintIntervals({ simulator }, 'component_access_token');
      const codes = mintIntervals({ simulator }, 'pre_auth_code');
      const slack = SETTLING_MS / 1000;
      // Inside a window a second mint would come at most 15 minutes after the first.
      expect(Math.min(...tokens)).toBeGreaterThanOrEqual(105 * 60 - slack);
      expect(Math.max(...tokens)).toBeLessThanOrEqual(115 * 60);
      expect(Math.min(...codes)).toBeGreaterThanOrEqual(15 * 60 - slack);
      expect(Math.max(...codes)).toBeLessThanOrEqual(25 * 60);
      // Both took part: otherwise nothing was proven.
      for (const { log } of replicas) {
        expect(log.join('')).toContain('"message":"credential refreshed"');
        // Nobody asked for a code with a token that the other one was just replacing.
        expect(log.join('')).not.toContain('call to WeChat failed');
      }
    },
    PATIENCE_MS,
  );
});

/**
 * Holds WeChat's answers back until one replica has given way, or until both have called, which
 * must never happen; then answers, until both replicas have come to rest.
 */
async function letCallsMeet(clock: ManualClock, work: Promise<void>[]): Promise<void> {
  let resting = 0;
  for (const one of work) void one.then(() => (resting += 1));
  while (resting < work.length) {
    await vi.waitFor(() => expect(resting + clock.pendingTimers()).toBeGreaterThanOrEqual(2), {
      timeout: 10_000,
      interval: 1,
    });
    await clock.advance(1);
  }
}

async function startReplica(env: Record<string, string>): Promise<Replica> {
  const child = fork('test/kit/replica-process.ts', {
    execArgv: ['--import', 'tsx'],
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const log: string[] = [];
  child.stdout?.on('data', (chunk: Buffer) => log.push(chunk.toString()));
  const [started] = (await once(child, 'message')) as [{ publicPort: number }];
  return { process: child, publicPort: started.publicPort, log };
}

async function advance({ process: child }: Replica, ms: number, asleep = 0): Promise<void> {
  const settled = once(child, 'message');
  child.send({ advance: ms, asleep });
  await settled;
}
