import { Writable } from 'node:stream';
import { createLog, type Log, type LogFields, type LogLevel } from '../../src/lib/log.ts';

export interface LogLine {
  level: string;
  message: string;
  [field: string]: unknown;
}

/** The service's own log, masked as ever, and its lines as they come, parsed. */
export function collectLog({
  lines = [],
  level = 'debug',
  secrets = [],
}: { lines?: LogLine[]; level?: LogLevel; secrets?: readonly string[] } = {}): {
  log: Log;
  lines: LogLine[];
} {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      for (const line of chunk.split('\n')) {
        if (line !== '') lines.push(JSON.parse(line) as LogLine);
      }
      done();
    },
  });
  return { log: createLog({ level, secrets, stream }), lines };
}

export type UnmaskedLines = [LogLevel, string, LogFields | undefined][];

/** What is given to the log, before anything is masked there. */
export function collectUnmasked(given: UnmaskedLines = []): { log: Log; given: UnmaskedLines } {
  const take = (level: LogLevel) => (message: string, fields?: LogFields | (() => LogFields)) =>
    void given.push([level, message, typeof fields === 'function' ? fields() : fields]);
  const log: Log = {
    error: take('error'),
    warn: take('warn'),
    info: take('info'),
    debug: take('debug'),
    in: () => log,
    close: () => Promise.resolve(),
  };
  return { log, given };
}
