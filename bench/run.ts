import { readFile, writeFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startRedisServer, type RedisServer } from '../src/sandbox/redis/launch.ts';
import { measureDay } from './authorizers-day.ts';
import { reportRestoring } from './authorizers-restored.ts';
import { measureBytes } from './bytes.ts';
import { measureCalls } from './calls.ts';
import { measureDashboard } from './dashboard.ts';
import { measureDeliveries } from './deliveries.ts';
import { measureForged } from './forged.ts';
import { measureLong } from './long.ts';
import { measureMessages } from './messages.ts';
import { measurePushes } from './pushes.ts';
import { measureReads } from './reads.ts';
import { measureRefreshes } from './refresh.ts';
import { writeDocuments } from './rig/markdown.ts';
import { USAGE, readOptions, type Options } from './rig/options.ts';
import { print, type Report } from './rig/report.ts';
import { describeRun } from './rig/surroundings.ts';
import { measureStart } from './start.ts';
import { measureSweeping } from './sweeping.ts';

/**
 * `npm run bench`: every claim about speed and size, measured on loopback. Nothing here is a test.
 *
 * `npm run bench -- pushes --only wxkeeper,co-wechat --rounds 6` runs one of them.
 */
const BENCHES: Readonly<Record<string, (options: Options) => Promise<Report>>> = {
  pushes: measurePushes,
  messages: measureMessages,
  forged: measureForged,
  deliveries: measureDeliveries,
  reads: measureReads,
  refresh: measureRefreshes,
  calls: measureCalls,
  start: measureStart,
  sweeping: measureSweeping,
  bytes: measureBytes,
  long: measureLong,
  restored: withRedis(reportRestoring),
  dashboard: withRedis(measureDashboard),
  day: withRedis(measureDayOf),
};

type Kept = ReturnType<typeof describeRun> & { reports: Report[] };

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const { options, benches } = read();
const around = describeRun();
console.log(Object.values(around).join(', '));
const reports = options.json === undefined ? [] : await readReports(options.json);
for (const [name, measure] of Object.entries(BENCHES)) {
  if (benches.length > 0 && !benches.includes(name)) continue;
  const report = await measure(options);
  print(report);
  const known = reports.findIndex(({ bench }) => bench === report.bench);
  reports.splice(known < 0 ? reports.length : known, 1, report);
  if (report.failed === true) process.exitCode = 1;
  // After each, so that an end that comes too early does not take the others along.
  if (options.json !== undefined) {
    await writeFile(options.json, `${JSON.stringify({ ...around, reports }, null, 2)}\n`);
  }
}
if (options.markdown) await writeDocuments(reports, around);

/** What was measured of this commit before: all of it takes an hour, and is measured part by part. */
async function readReports(file: string): Promise<Report[]> {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  const { commit, reports: known = [] } = JSON.parse(text) as Partial<Kept>;
  return commit === around.commit ? known : [];
}

function read(): ReturnType<typeof readOptions> {
  try {
    const given = readOptions();
    const unknown = given.benches.filter((name) => !Object.hasOwn(BENCHES, name));
    if (unknown.length === 0) return given;
    const known = Object.keys(BENCHES).join(', ');
    throw new Error(`no such bench: ${unknown.join(', ')}; there are ${known}`);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    return process.exit(64);
  }
}

/** With a Redis of its own, so that none pays for what another one left. */
function withRedis(measure: (redis: RedisServer, options: Options) => Promise<Report>) {
  return async (options: Options): Promise<Report> => {
    const redis = await startRedisServer({ appendOnly: true });
    try {
      return await measure(redis, options);
    } finally {
      await redis.stop();
    }
  };
}

function measureDayOf(redis: RedisServer, { authorizers, hours, say }: Options): Promise<Report> {
  // So that the heap that is shown is what is in use, not what is waiting to be collected.
  setFlagsFromString('--expose-gc');
  globalThis.gc ??= runInNewContext('gc') as NodeJS.GCFunction;
  return measureDay(redis, { authorizers, hours, say });
}
