import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startRedisServer, type RedisServer } from '../src/commands/redis-server.ts';
import { measureDay, type DayMeasurement } from './authorizers-day.ts';
import { measureRestoring, type RestoredMeasurement } from './authorizers-restored.ts';
import { DASHBOARD_AUTHORIZERS, measureDashboard, type DashboardMeasurement } from './dashboard.ts';
import { measurePushes, type Measurement } from './pushes.ts';
import { measureSweeps, type SweepMeasurement } from './sweep.ts';

/**
 * `npm run bench`: repeatable measurements on loopback. Nothing here is a test.
 *
 * `npm run bench -- day --authorizers 100000 --hours 24` runs one of them, here the longest.
 */
const BENCHES = {
  pushes: async (redis: RedisServer) => printPushes(await measurePushes(redis)),
  sweep: async (redis: RedisServer) => printSweeps(await measureSweeps(redis)),
  restored: async (redis: RedisServer) => printRestored(await measureRestoring(redis)),
  dashboard: async (redis: RedisServer) => printDashboard(await measureDashboard(redis)),
  day: async (redis: RedisServer) => printDay(await measureDay(redis, dayOptions())),
} as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    authorizers: { type: 'string', default: '2000' },
    hours: { type: 'string', default: '4' },
  },
});
const names = Object.keys(BENCHES) as (keyof typeof BENCHES)[];
const unknown = positionals.filter((name) => !names.some((one) => one === name));
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(', ')}; there are ${names.join(', ')}`);
  process.exit(64);
}
console.log(`Node ${process.version}, ${cpus().length} cores, Redis with AOF everysec`);
for (const name of names) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  // A Redis of its own for each, so that none pays for what another one left.
  const redis = await startRedisServer({ appendOnly: true });
  try {
    await BENCHES[name](redis);
  } finally {
    await redis.stop();
  }
}

function dayOptions() {
  // So that the heap that is shown is what is in use, not what is waiting to be collected.
  setFlagsFromString('--expose-gc');
  globalThis.gc ??= runInNewContext('gc') as NodeJS.GCFunction;
  const say = (line: string) => console.error(line);
  return { authorizers: Number(values.authorizers), hours: Number(values.hours), say };
}

function printPushes(measurements: readonly Measurement[]): void {
  console.log('\nPushes from WeChat\n');
  row(['', 'per s', 'p50 ms', 'p99 ms', 'not 2xx']);
  for (const { name, perSecond, p50Ms, p99Ms, notOk } of measurements) {
    row([name, perSecond.toFixed(0), String(p50Ms), String(p99Ms), String(notOk)]);
  }
  const [bare, fresh] = measurements;
  if (bare !== undefined && fresh !== undefined) {
    const share = (100 * fresh.perSecond) / bare.perSecond;
    console.log(
      `\nA push verified, decrypted, deduplicated and stored costs what ${(100 / share).toFixed(1)} ` +
        `empty requests cost (${share.toFixed(0)} % of bare Express).`,
    );
  }
  if (measurements.some((one) => one.notOk > 0)) process.exitCode = 1;
}

function printSweeps(measurements: readonly SweepMeasurement[]): void {
  console.log('\nA tick over the authorizers of one platform, ten calls to WeChat at a time\n');
  row(['', 'due', 'calls', 'readings', 'commands', 'ms']);
  for (const { existing, due, calls, readings, commands, ms } of measurements) {
    const name = `${existing.toLocaleString('en')} authorizers`;
    row([name, ...[due, calls, readings, commands, Math.round(ms)].map(String)]);
  }
  console.log(
    '\nReadings are of whole records; of each due one, and of the platform token it is minted with.',
  );
}

function printRestored(one: RestoredMeasurement): void {
  console.log(
    `\nRedis emptied, replicas restarted, ${one.authorizers.toLocaleString('en')} authorizers\n`,
  );
  row(['simulated s until refresh tokens are back', String(one.refreshTokensAfter)]);
  row(['simulated s until every token is live', String(one.tokensAfter)]);
  row(['calls for the list', String(one.listCalls)]);
  row(['calls for tokens', String(one.tokenCalls)]);
  row(['real ms', String(Math.round(one.realMs))]);
}

function printDashboard(measurements: readonly DashboardMeasurement[]): void {
  const authorizers = DASHBOARD_AUTHORIZERS.toLocaleString('en');
  console.log(`\nThe dashboard of a platform with ${authorizers} authorizers\n`);
  row(['', 'KB', 'p50 ms', 'p99 ms']);
  for (const { name, bytes, p50Ms, p99Ms } of measurements) {
    row([name, (bytes / 1000).toFixed(0), String(p50Ms), String(p99Ms)]);
  }
  if (measurements.some(({ bytes }) => bytes >= 300_000)) process.exitCode = 1;
}

function printDay(one: DayMeasurement): void {
  const { authorizers, hours, filled } = one;
  console.log(
    `\n${authorizers.toLocaleString('en')} authorizers, two replicas, ${hours} simulated hours\n`,
  );
  row(['simulated s to fill an empty Redis', String(filled.simulatedSeconds)]);
  row(['looks at a token in Redis', String(one.looks)]);
  row(['of them without a live token', String(one.dead)]);
  row(['calls for each authorizer', one.callsEach.toFixed(2)]);
  row(['unavoidable: one in each life', one.unavoidableEach.toFixed(2)]);
  row(['minted before its window', String(one.early)]);
  row(['heap MB of all, hour by hour', one.heapMb.join(' ')]);
  row(['Redis MB', String(one.redisMb)]);
  row(['real s', String(one.realSeconds)]);
  if (one.dead + one.early > 0) process.exitCode = 1;
}

function row([name = '', ...cells]: readonly string[]): void {
  console.log(name.padEnd(44) + cells.map((cell) => cell.padStart(10)).join(''));
}
