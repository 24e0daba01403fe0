import { cpus } from 'node:os';
import { startRedisServer } from '../src/commands/redis-server.ts';
import { measurePushes, type Measurement } from './pushes.ts';

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
} finally {
  await redis.stop();
}

function print(measurements: readonly Measurement[]): void {
  const row = (cells: readonly string[]) =>
    console.log(
      cells.map((cell, index) => (index === 0 ? cell.padEnd(32) : cell.padStart(10))).join(''),
    );
  row(['', 'per s', 'p50 ms', 'p99 ms', 'not 2xx']);
  for (const { name, perSecond, p50Ms, p99Ms, notOk } of measurements) {
    row([name, perSecond.toFixed(0), String(p50Ms), String(p99Ms), String(notOk)]);
  }
}
