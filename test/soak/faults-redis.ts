import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Fault } from './faults.ts';
import type { Soak } from './soak.ts';
import { ALL, CODE, JSAPI, TOKEN } from './station.ts';

/** What happens to Redis and its clock. */

/** Seconds: the quarantine after a restart, a patrol and the call. */
const AFTER_RESTART = 60;
const MINTS_PER_FAILOVER = 3;
/** Seconds a ticket lives. */
const LIFE = 7_200;
/** Real milliseconds in which replicas reconnect. */
const RECONNECT_MS = 20_000;

async function restarted(soak: Soak, wipe: boolean): Promise<void> {
  const { station, judge } = soak;
  const seconds = station.random.pick([0, 0, 5, 60, 900]);
  soak.note(wipe ? 'Redis killed and emptied' : 'Redis killed', `${seconds} s away`);
  // A mint that just happened may not be stored any more.
  const token = judge.open([TOKEN], 'Redis away');
  // Values end while nobody may mint.
  const others = judge.open(ALL, 'Redis away');
  judge.allow(ALL, MINTS_PER_FAILOVER);
  await killRedis(soak);
  await soak.go(seconds, 5);
  if (wipe) {
    judge.allowOlder(AFTER_RESTART);
  }
  await startRedis(soak, wipe);
  token.close(AFTER_RESTART);
  others.close(wipe || seconds > 60 ? AFTER_RESTART : 0);
  await soak.go(2 * AFTER_RESTART, 1);
}

async function killRedis({ station, passing, deliveries }: Soak): Promise<void> {
  await deliveries.redisGoes();
  station.redisUp = false;
  await station.server.kill('SIGKILL');
  await passing.settle();
}

async function startRedis(
  { station, passing, deliveries, up }: Soak,
  wipe: boolean,
): Promise<void> {
  const { server, dir } = station;
  if (wipe) rmSync(join(dir, 'appendonlydir'), { recursive: true, force: true });
  await server.start();
  await station.redis.ping();
  const giveUpAt = performance.now() + RECONNECT_MS;
  for (const { app, name } of up()) {
    while ((await readiness(app.internalPort())) !== 200) {
      if (performance.now() > giveUpAt) throw new Error(`replica ${name} does not find Redis`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  station.redisUp = true;
  await passing.settle();
  await deliveries.redisIsBack(wipe);
}

async function readiness(port: number): Promise<number> {
  return (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
}

async function clockJumps(soak: Soak): Promise<void> {
  const { station, judge } = soak;
  const seconds = station.random.pick([-3_600, -300, -30, 30, 300, 3_600]);
  soak.note('clock of Redis jumps', `${seconds} s`);
  judge.allow(ALL, MINTS_PER_FAILOVER);
  await soak.deliveries.redisClockJumps(seconds * 1_000);
  station.clock.jumpStoreClock(seconds * 1_000);
  // The memory of replicas corrects an expiry that a clock set back prolongs, at the next patrol.
  if (seconds < 0) judge.excuse([CODE], 'clock of Redis set back', -seconds);
  // Ends too early by our reckoning; WeChat repeats it, so its real end is found by asking now and then.
  else judge.excuse([JSAPI], 'clock of Redis set forward', LIFE);
  await soak.go(300, 5);
}

export const REDIS_FAULTS: readonly Fault[] = [
  { name: 'Redis killed', weight: 3, run: (soak) => restarted(soak, false) },
  { name: 'Redis emptied', weight: 1.5, run: (soak) => restarted(soak, true) },
  { name: 'clock of Redis', weight: 0.5, run: clockJumps },
];
