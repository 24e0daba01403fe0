import type { App } from './app.ts';
import { ConfigError, loadConfig, secretsOf } from './config.ts';
import { createLog } from './log.ts';

/** The process: load the configuration, start, stop on a signal. Exit codes as in sysexits.h. */

const EX_CONFIG = 78;
const EX_UNAVAILABLE = 69;
/** Milliseconds after a signal at which the process ends whatever happens. */
const STOP_MS = 14_000;

async function main(): Promise<void> {
  const config = loadConfigOrExit();
  const log = createLog({ level: config.logLevel, secrets: secretsOf(config) });
  // Only now: a wrong setting is reported before anything slow is loaded.
  const { createApp } = await import('./app.ts');
  const exit = async (code: number) => {
    await log.close();
    process.exit(code);
  };
  let app: App | undefined;
  process.on('unhandledRejection', (error) => {
    log.error('unhandled rejection; the process ends', { error });
    void exit(1);
  });
  process.on('uncaughtException', (error) => {
    log.error('uncaught exception; the process ends', { error });
    void exit(1);
  });
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info('stopping', { signal });
    setTimeout(() => void exit(1), STOP_MS).unref();
    (app?.stop() ?? Promise.resolve()).then(
      () => exit(0),
      (error: unknown) => {
        log.error('stopping failed', { error });
        return exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // Node would open its debugger on this signal, and with it every secret in memory.
  process.on('SIGUSR1', () => undefined);
  try {
    app = createApp(config, { log });
    await app.start();
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`wxkeeper: ${error.message}\n`);
      return exit(EX_CONFIG);
    }
    log.error('cannot start', { error });
    await exit(EX_UNAVAILABLE);
  }
}

function loadConfigOrExit(): ReturnType<typeof loadConfig> {
  try {
    return loadConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`wxkeeper: ${error.message}\n`);
    process.exit(EX_CONFIG);
  }
}

await main();
