import { createService } from '../../src/service.ts';
import { loadConfig, secretsOf } from '../../src/config/load.ts';
import { createLog } from '../../src/lib/log.ts';
import { createManualClock } from './clock.ts';
import { createManualCron } from './platform.ts';

/**
 * A replica in a process of its own, on a manual clock that the test moves over IPC:
 * `{advance: ms}` lets time pass and is answered with `{settled: true}`. `{asleep: ms}` beside it is
 * time before that which nobody notices.
 */
const clock = createManualClock(Math.random);
const config = loadConfig();
const log = createLog({ level: config.logLevel, secrets: secretsOf(config) });
const app = createService(config, { clock, log, startCron: createManualCron(clock) });
await app.start();

process.on('message', (message: { advance: number; asleep?: number }) => {
  clock.sleepThrough(message.asleep ?? 0);
  void clock
    .advance(message.advance, () => app.idle())
    .then(() => app.idle())
    .then(() => process.send?.({ settled: true }));
});
// The test is gone: so is this.
process.on('disconnect', () => process.exit(0));
process.send?.({ publicPort: app.publicPort(), internalPort: app.internalPort() });
