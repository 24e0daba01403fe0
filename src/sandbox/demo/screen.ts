import type { WriteStream } from 'node:tty';

/** As much of `process.stdout` as is used here. */
export type Terminal = Pick<WriteStream, 'isTTY' | 'rows' | 'write'>;

/** Where the live view goes: a block that is redrawn in place, or plain lines for a file or a pipe. */
export interface Screen {
  isLive: boolean;
  /** A line that stays. */
  print(line: string): void;
  /** Draws the block over the last one; only when live. */
  draw(lines: readonly string[]): void;
  /** Leaves the last block where it is and gives the terminal back as it was. */
  close(): void;
}

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
/** A line that is too long is cut, or else the way up to the first line would be unknown. */
const NO_WRAP = '\x1b[?7l';
const WRAP = '\x1b[?7h';
const CLEAR_BELOW = '\x1b[J';
const COLORS = { green: '\x1b[32m', yellow: '\x1b[33m', red: '\x1b[31m', plain: '\x1b[39m' };

export function createScreen(
  stream: Terminal,
  env: Readonly<Record<string, string | undefined>>,
): Screen {
  const isLive = stream.isTTY && env['TERM'] !== 'dumb';
  const isColored = isLive && (env['NO_COLOR'] ?? '') === '';
  let height = 0;
  const restore = () => void stream.write(`${WRAP}${SHOW_CURSOR}`);
  return {
    isLive,
    print(line) {
      stream.write(`${line}\n`);
    },
    draw(lines) {
      if (!isLive) return;
      if (height === 0) process.once('exit', restore);
      const up = height === 0 ? '' : `\x1b[${height}A`;
      // In a window lower than the block its head would scroll away, out of reach.
      const shown = lines.slice(0, Math.max(1, stream.rows - 1));
      const text = shown.map((line) => `${isColored ? colored(line) : line}\x1b[K\n`).join('');
      stream.write(`${HIDE_CURSOR}${NO_WRAP}${up}\r${text}${CLEAR_BELOW}${WRAP}`);
      height = shown.length;
    },
    close() {
      if (height === 0) return;
      height = 0;
      process.off('exit', restore);
      restore();
    },
  };
}

/** The words that say how things are. */
function colored(line: string): string {
  return line
    .replace(/\b(?:ok|fresh|all answered success)\b/, paint('green'))
    .replace(/\b(?:due)\b/, paint('yellow'))
    .replace(/\b(?:attention|urgent|expired|missing:|no answer|NOT)\b/, paint('red'));
}

function paint(color: Exclude<keyof typeof COLORS, 'plain'>) {
  return (word: string) => `${COLORS[color]}${word}${COLORS.plain}`;
}
