import type { FreshnessState } from '../credentials/freshness.ts';
import type { ClockSkew } from '../store/clock-watch.ts';
import type { SelfTest } from '../store/self-test.ts';
import type { Ticket } from '../store/tickets.ts';

/** What is wrong, in words an admin can act on at night. An empty list means all is well. */

export type TicketState = 'fresh' | 'silent' | 'ticket_refused' | 'ticket_expired' | 'no_ticket';

export interface Problem {
  code: string;
  /** Null when it is not about one component. */
  component: string | null;
  message: string;
  advice: string;
}

/** The part of a credential's status that decides. */
export interface CredentialHealth {
  kind: string;
  state: FreshnessState;
  failures_in_a_row: number;
  last_error: { message: string; advice: string } | null;
  calls_today: number;
  calls_allowed_a_day: number | null;
  quarantined_until: string | null;
  last_refused: { at: string; by: string | null } | null;
  foreign_refresher_since: string | null;
}

/** Two pushes and a half without a ticket: worth knowing, nothing is down yet. */
const SILENT_AFTER_MS = 25 * 60 * 1000;

export function ticketState(ticket: Ticket | undefined, now: number): TicketState {
  if (ticket === undefined) return 'no_ticket';
  if (now >= ticket.expiresAt) return 'ticket_expired';
  if (ticket.refused !== undefined) return 'ticket_refused';
  return now - ticket.receivedAt > SILENT_AFTER_MS ? 'silent' : 'fresh';
}

export function ticketProblems(
  component: string,
  state: TicketState,
  ticket: Ticket | undefined,
  now: number,
): Problem[] {
  const minutes = ticket === undefined ? 0 : Math.floor((now - ticket.receivedAt) / 60_000);
  const url =
    'Check in the console that the authorization-event URL is right and its ticket push is on, and ' +
    'that WeChat can reach it; watch the log for refused pushes.';
  switch (state) {
    case 'fresh':
      return [];
    case 'silent':
      return [
        {
          code: 'ticket_silent',
          component,
          message: `No ticket for ${minutes} minutes; the stored one serves until it is 12 h old.`,
          advice: url,
        },
      ];
    case 'ticket_refused':
      return [
        {
          code: 'ticket_refused',
          component,
          message: 'WeChat refuses the newest ticket; new pushes were asked for.',
          advice: `Nothing to do when a push arrives within minutes. Otherwise: ${url}`,
        },
      ];
    case 'ticket_expired':
      return [
        {
          code: 'ticket_expired',
          component,
          message:
            'The last ticket is more than 12 h old: no component_access_token can be refreshed.',
          advice: `${url} The first new push repairs everything by itself.`,
        },
      ];
    case 'no_ticket':
      return [
        {
          code: 'no_ticket',
          component,
          message: 'No ticket has arrived yet: WeChat pushes one every 10 minutes.',
          advice: url,
        },
      ];
  }
}

/** @param subject the appid of the component or account */
export function credentialProblems(subject: string, credential: CredentialHealth): Problem[] {
  return [
    ...refreshProblems(subject, credential),
    ...foreignProblems(subject, credential),
    ...quotaProblems(subject, credential),
    ...quarantineProblems(subject, credential),
  ];
}

function refreshProblems(component: string, credential: CredentialHealth): Problem[] {
  const { kind, state, failures_in_a_row: failures, last_error: lastError } = credential;
  const dead = state === 'expired' || (state === 'missing' && kind !== 'pre_auth_code');
  if (!dead && state !== 'urgent' && failures === 0) return [];
  const why = failures > 0 && lastError !== null ? ` ${lastError.message}.` : '';
  return [
    {
      code: dead ? 'credential_dead' : 'credential_refresh_failing',
      component,
      message: `${kind} is ${state}${failures > 0 ? ` after ${failures} failed tries` : ''}.${why}`,
      advice:
        lastError !== null && failures > 0
          ? lastError.advice
          : 'It is refreshed by itself as soon as its ticket or token is there.',
    },
  ];
}

function foreignProblems(component: string, credential: CredentialHealth): Problem[] {
  const { kind, foreign_refresher_since: since, last_refused: refused } = credential;
  if (since === null) return [];
  return [
    {
      code: 'foreign_refresher',
      component,
      message:
        `Somebody else mints ${kind} with our secret since ${since}: live values of ours die early, ` +
        `last at ${refused?.at ?? since}. Every half hour one is minted again, no more.`,
      advice:
        'Find the other program that holds the AppSecret (a test server, an old deployment) and let it ' +
        'read from here; or reset the AppSecret, which ends it at once.',
    },
  ];
}

function quotaProblems(component: string, credential: CredentialHealth): Problem[] {
  const { kind, calls_today: calls, calls_allowed_a_day: allowed } = credential;
  if (allowed === null || calls < allowed / 2) return [];
  return [
    {
      code: 'quota_half_used',
      component,
      message: `${calls} of ${allowed} calls for ${kind} were made today; at 90 % only needed ones are.`,
      advice:
        'Look in history and log for what causes them, such as a service that reports good values as dead.',
    },
  ];
}

function quarantineProblems(component: string, credential: CredentialHealth): Problem[] {
  const { kind, quarantined_until: until } = credential;
  if (until === null) return [];
  return [
    {
      code: 'redis_was_restarted',
      component,
      message: `Redis restarted or failed over; ${kind} is minted once more after ${until}.`,
      advice: 'Nothing to do: values are served meanwhile.',
    },
  ];
}

export function selfTestProblems(selfTest: SelfTest | undefined): Problem[] {
  const problems: Problem[] = [];
  if (selfTest?.evicts === true) {
    problems.push({
      code: 'redis_may_evict',
      component: null,
      message: 'Redis may throw away any key when its memory is full, refresh tokens among them.',
      advice: 'Set maxmemory-policy noeviction, now and in its configuration file.',
    });
  }
  if (selfTest !== undefined && selfTest.forbidden.length > 0) {
    problems.push({
      code: 'redis_forbids',
      component: null,
      message: `Redis forbids our user: ${selfTest.forbidden.join(', ')}.`,
      advice: 'Allow these commands in the ACL of the user in REDIS_URL.',
    });
  }
  if (selfTest?.refuses !== undefined) {
    problems.push({
      code: 'redis_refuses_writes',
      component: null,
      message: `Redis takes nothing any more (${selfTest.refuses}): no ticket, no new token.`,
      advice: REFUSAL_ADVICE[selfTest.refuses] ?? 'Look at the log of Redis.',
    });
  }
  return problems;
}

const REFUSAL_ADVICE: Readonly<Record<string, string>> = {
  OOM: 'Its memory is full: raise maxmemory, or find out what else is kept there.',
  MISCONF: 'It cannot write to its disk: make room there. Its log says why.',
  READONLY: 'It is a replica: REDIS_URL must lead to the primary.',
};

export function clockProblems({ wrong, processVsRedis, processVsWechat }: ClockSkew): Problem[] {
  if (!wrong) return [];
  const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
  const wechat =
    processVsWechat === null ? '' : ` and by ${seconds(processVsWechat)} from WeChat's`;
  return [
    {
      code: 'clock_skew',
      component: null,
      message: `This machine's clock differs by ${seconds(processVsRedis)} from Redis's${wechat}.`,
      advice:
        'Check NTP here and at Redis: pushes are refused when this clock is off by five minutes, and ' +
        "credentials are judged by Redis's.",
    },
  ];
}

/** @param problem what comparing the sealing keys with the stored tokens has shown */
export function sealProblems(problem: string | undefined): Problem[] {
  if (problem === undefined) return [];
  return [
    {
      code: 'seal_key_wrong',
      component: null,
      message: `${problem}. Tokens of these authorizers are not refreshed; nothing is overwritten.`,
      advice: 'Put the key that sealed them back into REFRESH_TOKEN_KEYS and restart wxkeeper.',
    },
  ];
}

export function storeProblem(message: string): Problem {
  return {
    code: 'store_unavailable',
    component: null,
    message: `${message} Pushes are answered 503 and nothing is refreshed.`,
    advice:
      'Look after Redis first: its log, its memory and disk, the network, the login in REDIS_URL. ' +
      'Everything goes on by itself when it is back.',
  };
}
