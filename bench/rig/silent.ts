import type { Log } from '../../src/lib/log.ts';

const silent = (): void => undefined;

/** For parts of the service that run within the bench. */
export const SILENT: Log = {
  debug: silent,
  info: silent,
  warn: silent,
  error: silent,
  in: () => SILENT,
  close: () => Promise.resolve(),
};
