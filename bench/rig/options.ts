import { parseArgs } from 'node:util';

/** What may be said on the command line. */
export interface Options {
  rounds: number;
  /** Of each load. */
  seconds: number;
  /** Whether that was said, or is the usual. */
  secondsGiven: boolean;
  /** Names of servers. */
  only: readonly string[] | undefined;
  /** File that gets everything as JSON. */
  json: string | undefined;
  /** Whether the table in the documents is to be written. */
  markdown: boolean;
  authorizers: number;
  hours: number;
  say: (line: string) => void;
}

export const USAGE = `npm run bench -- [BENCH ...] [options]

  --rounds N        rounds of a comparison, default 4
  --seconds N       of each load, default 5; of \`long\` 600
  --only A,B        only these servers, such as wxkeeper,co-wechat
  --json FILE       keep everything that was measured, and what FILE has of this commit
  --markdown        write it into docs/performance.md and docs/performance.zh-CN.md
  --authorizers N   of \`day\`, default 2000
  --hours N         of \`day\`, default 4`;

/** @throws Error when something is not understood */
export function readOptions(): { options: Options; benches: string[] } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '4' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      authorizers: { type: 'string', default: '2000' },
      hours: { type: 'string', default: '4' },
    },
  });
  if (values.help) throw new Error('Measures what is claimed about speed and size.');
  const number = (name: string, text: string): number => {
    const value = Number(text);
    if (!(value > 0)) throw new Error(`--${name} takes a number above 0, not ${text}`);
    return value;
  };
  const options = {
    rounds: number('rounds', values.rounds),
    seconds: number('seconds', values.seconds ?? '5'),
    secondsGiven: values.seconds !== undefined,
    only: values.only?.split(',').map((name) => name.trim()),
    json: values.json,
    markdown: values.markdown,
    authorizers: number('authorizers', values.authorizers),
    hours: number('hours', values.hours),
    // What is under way goes beside the figures, so that those may be piped.
    say: (line: string) => console.error(line),
  };
  return { options, benches: positionals };
}
