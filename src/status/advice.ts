import type { Ticket } from '../store/tickets.ts';
import type { FreshnessState } from '../credentials/freshness.ts';

/** What is wrong, in words an admin can act on at night. An empty list means all is well. */

export type TicketState = 'fresh' | 'silent' | 'ticket_expired' | 'no_ticket';

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
}

/** Two pushes and a half without a ticket: worth knowing, nothing is down yet. */
const SILENT_AFTER_MS = 25 * 60 * 1000;

export function ticketState(ticket: Ticket | undefined, now: number): TicketState {
  if (ticket === undefined) return 'no_ticket';
  if (now >= ticket.expiresAt) return 'ticket_expired';
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

export function credentialProblems(component: string, credential: CredentialHealth): Problem[] {
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
