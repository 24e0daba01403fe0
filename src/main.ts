import type { Service } from './service.ts';
import type { Config } from './config/load.ts';

/** The process: load the configuration, start, stop on a signal. Exit codes as in sysexits.h. */

// Node would open its debugger on this signal, and with it every secret in memory. Before anything is
// loaded, which takes tenths of a second: hence nothing but types is imported above.
process.on('SIGUSR1', () => undefined);

const EX_CONFIG = 78;
const EX_UNAVAILABLE = 69;
/** Milliseconds that stopping may take, besides STOP_DELAY_SECONDS; then the process ends anyhow. */
const STOP_MS = 14_000;

async function main(): Promise<void> {
  const { ConfigError } = await import('./config/faults.ts');
  const { loadConfig, secretsOf } = await import('./config/load.ts');
  const config = await loadConfigOrExit();
  const { createLog } = await import('./lib/log.ts');
  const log = createLog({ level: config.logLevel, secrets: secretsOf(config) });
  // Only now: a wrong setting is reported before anything slow is loaded.
  const { createService } = await import('./service.ts');
  const exit = async (code: number) => {
    await log.close();
    process.exit(code);
  };
  let service: Service | undefined;
  process.on('unhandledRejection', (error) => {
    log.error('unhandled rejection; the process ends', { error });
    void exit(1);
  });
  process.on('uncaughtException', (error) => {
    log.error('uncaught exception; the process ends', { error });
    void exit(1);
  });
  const { stopDelayMs } = config;
  const hurry = new AbortController();
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) {
      // Whoever says it twice does not want to wait; what is in flight is brought to its end even so.
      hurry.abort();
      return;
    }
    stopping = true;
    log.info('stopping', { signal, delay_seconds: stopDelayMs / 1000 });
    setTimeout(() => void exit(1), stopDelayMs + STOP_MS).unref();
    (service?.stop(hurry.signal) ?? Promise.resolve()).then(
      () => exit(0),
      (error: unknown) => {
        log.error('stopping failed', { error });
        return exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => service?.readKeysAgain(loadConfig));
  try {
    service = createService(config, { log });
    await service.start();
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`wxkeeper: ${error.message}\n`);
      return exit(EX_CONFIG);
    }
    log.error('cannot start', { error });
    await exit(EX_UNAVAILABLE);
  }
}

async function loadConfigOrExit(): Promise<Config> {
  const { ConfigError } = await import('./config/faults.ts');
  const { loadConfig } = await import('./config/load.ts');
  try {
    return loadConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`wxkeeper: ${error.message}\n`);
    process.exit(EX_CONFIG);
  }
}

await main();
