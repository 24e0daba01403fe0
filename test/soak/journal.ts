import { Writable } from 'node:stream';
import type { Clock } from '../../src/lib/clock.ts';

/** What happened: the last lines in full, for a violation, and the rest as counts. */
export interface Journal {
  note(line: string): void;
  /** For the log of one replica. */
  stream(replica: string): Writable;
  /** Lines of the last so many simulated milliseconds, oldest first. */
  tail(ms: number): string[];
  /** Warnings and errors by text. */
  counts: Map<string, number>;
  written(): number;
}

const KEPT = 2_000;
const TAIL_LINES = 60;

/** @param aloud faults and violations go to stderr as they happen */
export function createJournal(clock: Pick<Clock, 'now'>, aloud: boolean): Journal {
  let lines: { at: number; text: string }[] = [];
  let written = 0;
  const counts = new Map<string, number>();
  const note = (text: string) => {
    if (aloud && /^(?:FAULT|VIOLATION)/.test(text)) {
      process.stderr.write(`${new Date(clock.now()).toISOString()} ${text}\n`);
    }
    written += 1;
    lines.push({ at: clock.now(), text });
    if (lines.length > 2 * KEPT) lines = lines.slice(-KEPT);
  };
  const take = (replica: string, line: string) => {
    const entry = JSON.parse(line) as { level: string; message: string } & Record<string, unknown>;
    const { level, message } = entry;
    const fields = { ...entry, level: undefined, message: undefined, time: undefined };
    note(`${replica} ${level} ${message} ${JSON.stringify(fields)}`);
    if (level === 'info') return;
    const key = `${level}: ${message}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  return {
    note,
    counts,
    written: () => written,
    stream: (replica) =>
      new Writable({
        decodeStrings: false,
        write(chunk: string, _encoding, done) {
          for (const line of chunk.split('\n')) if (line !== '') take(replica, line);
          done();
        },
      }),
    tail: (ms) =>
      lines
        .filter(({ at }) => at >= clock.now() - ms)
        .slice(-TAIL_LINES)
        .map(({ at, text }) => `${new Date(at).toISOString()} ${text}`),
  };
}
