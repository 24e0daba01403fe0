/** How much faster than WeChat the demo lives, and what a run of some length can show. */

/** Durations are real seconds, as the person in front of the demo counts them. */
export interface Scale {
  divisor: number;
  ticketSeconds: number;
  tokenSeconds: number;
  codeSeconds: number;
  /** For REFRESH_WINDOW_SECONDS. */
  windowSeconds: number;
  /** For both jobs. */
  cron: string;
}

/** WeChat's own times, and the service's defaults beside them. */
const TICKET_SECONDS = 600;
const TOKEN_SECONDS = 7200;
const CODE_SECONDS = 1800;
const WINDOW_SECONDS = 900;
const TICK_SECONDS = 600;

/** Ticks that come at even distances, also across the turn of a minute or of an hour. */
const EVEN_TICKS = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 300, 600];
export const DIVISORS: readonly number[] = EVEN_TICKS.map((tick) => TICK_SECONDS / tick).reverse();

/** Two hours, the life of a token, become a minute: after one there is something of all to see. */
const CALM_DIVISOR = 120;
/** For runs too short to see the longest-lived credential refreshed at the calm pace. */
const QUICK_DIVISOR = 300;

/** More than "refreshed more than once" needs nobody to wait for. */
const ENOUGH_MINTS = 3;
const ENOUGH_TICKETS = 3;
/** What the first ticket and the last refresh may take on a busy machine. */
const SETTLING_SECONDS = 6;

/** @param divisor one of DIVISORS */
export function scaleBy(divisor: number): Scale {
  const tick = TICK_SECONDS / divisor;
  return {
    divisor,
    ticketSeconds: TICKET_SECONDS / divisor,
    tokenSeconds: TOKEN_SECONDS / divisor,
    codeSeconds: CODE_SECONDS / divisor,
    // Up, not down: a window no longer than the distance of two ticks could fall between them.
    windowSeconds: Math.ceil(WINDOW_SECONDS / divisor),
    cron: tick < 60 ? `${every(tick)} * * * * *` : `${every(tick / 60)} * * * *`,
  };
}

function every(count: number): string {
  return count === 1 ? '*' : `*/${count}`;
}

/** The calm pace, unless a run of `seconds` would be over before the token was refreshed twice. */
export function chooseScale(seconds: number | undefined): Scale {
  const calm = scaleBy(CALM_DIVISOR);
  if (seconds === undefined || expectations(calm, seconds).tokenMints >= ENOUGH_MINTS) return calm;
  return scaleBy(QUICK_DIVISOR);
}

export interface Expectations {
  tickets: number;
  tokenMints: number;
  codeMints: number;
}

/** What must have happened at the least after `seconds`, at most what the demo sets out to show. */
export function expectations(scale: Scale, seconds: number): Expectations {
  // Whatever lives for L seconds is refreshed before they are over, so n lives show n refreshes.
  const times = (distance: number, enough: number) =>
    Math.min(enough, 1 + Math.max(0, Math.floor((seconds - SETTLING_SECONDS) / distance)));
  return {
    tickets: times(scale.ticketSeconds, ENOUGH_TICKETS),
    tokenMints: times(scale.tokenSeconds, ENOUGH_MINTS),
    codeMints: times(scale.codeSeconds, ENOUGH_MINTS),
  };
}

/** What a run is too short for, in one line; undefined when it shows everything. */
export function shortcomings(scale: Scale, seconds: number): string | undefined {
  const { tickets, tokenMints, codeMints } = expectations(scale, seconds);
  const missing = [
    tickets < ENOUGH_TICKETS ? `${ENOUGH_TICKETS} tickets` : undefined,
    tokenMints < ENOUGH_MINTS ? 'component_access_token refreshed more than once' : undefined,
    codeMints < ENOUGH_MINTS ? 'pre_auth_code refreshed more than once' : undefined,
  ].filter((one) => one !== undefined);
  if (missing.length === 0) return undefined;
  const needed = 2 * scale.tokenSeconds + SETTLING_SECONDS;
  return (
    `${seconds} s are too short to see ${missing.join(', ')}: that is not asked of this run. ` +
    `--seconds ${needed} shows everything at this pace.`
  );
}
