import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { chooseScale, DIVISORS, scaleBy, type Scale } from './scale.ts';

/** What the person asked for. */
export interface Wishes {
  /** Undefined: until Ctrl-C. */
  seconds: number | undefined;
  scale: Scale;
  /** Folder that keeps Redis's data. */
  data: string | undefined;
}

/** The message is for the person at the keyboard. */
export class UsageError extends Error {}

const SHORTEST_RUN = 20;
const LONGEST_RUN = 86_400;

export const HELP = `Shows wxkeeper at work, with nothing to set up: a real Redis, the service exactly as it runs in
production, and a pretend WeChat that pushes encrypted tickets and hands out credentials. Every
life and interval is shorter than WeChat's, so that two hours pass in a minute.

  npm run demo                     until Ctrl-C
  npm run demo -- --seconds 60     for a minute; then a summary, and exit code 0 if all went well

  --seconds N           run for N seconds (${SHORTEST_RUN} to ${LONGEST_RUN}) and judge what happened: exit code 1 when
                        the main job did not work
  --divide-times-by N   pace, one of ${DIVISORS.join(', ')}.
                        Default 120; 300 for runs in which the component_access_token would not be
                        refreshed more than once at 120
  --data DIR            keep Redis's data in DIR, which must be new or empty. Default: a temporary
                        folder that is removed at the end
  --help                print this

Redis is taken from PATH, or fetched as Debian's own package, without installing anything, into
.cache/redis, or into .cache/wxkeeper of your home where wxkeeper itself is an installed package.
REDIS_SERVER_BIN names another server; REDIS_URL a running Redis, in which the demo keeps to keys
of its own and removes them at the end.

Exit codes: 0 all went well, 1 the main job did not work, 64 wrong use, 69 no Redis.`;

/** @throws UsageError */
export function readWishes(args: readonly string[]): Wishes | 'help' {
  const values = parse(args);
  if (values.help === true) return 'help';
  const seconds =
    values.seconds === undefined
      ? undefined
      : whole('seconds', values.seconds, `from ${SHORTEST_RUN} to ${LONGEST_RUN}`, (number) => {
          return number >= SHORTEST_RUN && number <= LONGEST_RUN;
        });
  const divisor = values['divide-times-by'];
  const scale =
    divisor === undefined
      ? chooseScale(seconds)
      : scaleBy(
          whole('divide-times-by', divisor, `one of ${DIVISORS.join(', ')}`, (number) =>
            DIVISORS.includes(number),
          ),
        );
  if (values.data === '') throw new UsageError('--data must name a folder');
  return { seconds, scale, data: values.data === undefined ? undefined : resolve(values.data) };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string' },
        'divide-times-by': { type: 'string' },
        data: { type: 'string' },
        help: { type: 'boolean' },
      },
      strict: true,
      allowPositionals: false,
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function whole(
  flag: string,
  given: string,
  what: string,
  isAllowed: (number: number) => boolean,
): number {
  const number = /^\d{1,9}$/.test(given) ? Number(given) : NaN;
  if (!isAllowed(number)) {
    throw new UsageError(`--${flag} must be a whole number, ${what}, not "${given}"`);
  }
  return number;
}
