import { cpus } from 'node:os';
import { startRedisServer } from '../src/commands/redis-server.ts';
import { measurePushes, type Measurement } from './pushes.ts';
import { measureSweeps, type SweepMeasurement } from './sweep.ts';

/** `npm run bench`: repeatable measurements on loopback. Nothing here is a test. */
const redis = await startRedisServer({ appendOnly: true });
try {
  console.log(`Node ${process.version}, ${cpus().length} cores, Redis with AOF everysec\n`);
  const measurements = await measurePushes(redis);
  print(measurements);
  const [bare, fresh] = measurements;
  if (bare !== undefined && fresh !== undefined) {
    const share = (100 * fresh.perSecond) / bare.perSecond;
    console.log(
      `\nA push verified, decrypted, deduplicated and stored costs what ${(100 / share).toFixed(1)} ` +
        `empty requests cost (${share.toFixed(0)} % of bare Express).`,
    );
  }
  if (measurements.some((one) => one.notOk > 0)) process.exitCode = 1;
  printSweeps(await measureSweeps(redis));
} finally {
  await redis.stop();
}

function print(measurements: readonly Measurement[]): void {
  row(['', 'per s', 'p50 ms', 'p99 ms', 'not 2xx']);
  for (const { name, perSecond, p50Ms, p99Ms, notOk } of measurements) {
    row([name, perSecond.toFixed(0), String(p50Ms), String(p99Ms), String(notOk)]);
  }
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

function row(cells: readonly string[]): void {
  console.log(
    cells.map((cell, index) => (index === 0 ? cell.padEnd(32) : cell.padStart(10))).join(''),
  );
}
