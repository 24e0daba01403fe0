import type { FreshnessState } from '../credentials/freshness.ts';
import type { ClockSkew } from '../store/operations/clock-skew.ts';
import type { StoredError } from '../store/credentials/stored-error.ts';
import type { RedisTrouble } from '../store/redis/health.ts';
import type { EncryptionProblem } from '../store/redis/encryption-keys.ts';
import type { SelfTest } from '../store/redis/self-test.ts';
import type { Ticket } from '../store/tickets/ticket.ts';
import { SILENT_AFTER_MS, SILENT_LONG_AFTER_MS } from '../wechat/ticket-silence.ts';
import { UNHEARD } from '../wechat/failure.ts';
import { finding, type Facts, type Finding, type ProblemCode } from './problems.ts';
import { iso } from '../lib/time-format.ts';

/** The rules: what is wrong with what was read. No findings mean that all is well. */

export type TicketState = 'fresh' | 'silent' | 'ticket_refused' | 'ticket_expired' | 'no_ticket';

/** The part of a credential's status that decides. */
export interface CredentialHealth {
  kind: string;
  state: FreshnessState;
  due_at: string | null;
  expires_at: string | null;
  failures_in_a_row: number;
  last_error: (StoredError & { at?: string | null }) | null;
  calls_today: number;
  calls_allowed_a_day: number | null;
  quarantined_until: string | null;
  last_refused: { at: string; by: string | null } | null;
  foreign_refresher_since: string | null;
}

const MINUTE_MS = 60_000;
/** WeChat's signatures are accepted for five minutes. */
const GRAVE_SKEW_MS = 4 * MINUTE_MS;

export function ticketState(ticket: Ticket | undefined, now: number): TicketState {
  if (ticket === undefined) return 'no_ticket';
  if (now >= ticket.expiresAt) return 'ticket_expired';
  if (ticket.refused !== undefined) return 'ticket_refused';
  return now - ticket.receivedAt > SILENT_AFTER_MS ? 'silent' : 'fresh';
}

export function ticketFindings(
  component: string,
  state: TicketState,
  ticket: Ticket | undefined,
  now: number,
): Finding[] {
  const { receivedAt = now, expiresAt = now } = ticket ?? {};
  switch (state) {
    case 'fresh':
      return [];
    case 'silent':
      return silentFindings(component, receivedAt, now, {});
    case 'ticket_refused':
      // That it is refused does not bring another one.
      return [
        finding('ticket_refused', component),
        ...silentFindings(component, receivedAt, now, { refused: 'yes' }),
      ];
    case 'ticket_expired':
      return [finding('ticket_expired', component, { since: expiresAt })];
    case 'no_ticket':
      return [finding('no_ticket', component)];
  }
}

function silentFindings(
  component: string,
  receivedAt: number,
  now: number,
  more: Facts,
): Finding[] {
  const silent = now - receivedAt;
  if (silent <= SILENT_AFTER_MS) return [];
  const severity = silent > SILENT_LONG_AFTER_MS ? 'critical' : 'warning';
  const facts = { minutes: Math.floor(silent / MINUTE_MS), ...more };
  return [finding('ticket_silent', component, { severity, since: receivedAt, facts })];
}

/** @param subject the appid of the component or account */
export function credentialFindings(subject: string, credential: CredentialHealth): Finding[] {
  return [
    ...refreshFindings(subject, credential),
    ...foreignFindings(subject, credential),
    ...quotaFindings(subject, credential),
    ...quarantineFindings(subject, credential),
  ];
}

function refreshFindings(subject: string, credential: CredentialHealth): Finding[] {
  const { kind, state, failures_in_a_row: failures, last_error: lastError } = credential;
  const dead = state === 'expired' || (state === 'missing' && kind !== 'pre_auth_code');
  if (!dead && state !== 'urgent' && failures === 0) return [];
  const error = failures > 0 ? lastError : null;
  const usual = dead ? 'credential_dead' : 'credential_refresh_failing';
  const code = (error === null ? undefined : causeOf(error)) ?? usual;
  const { due_at: dueAt, expires_at: expiresAt } = credential;
  // A forced refresh, or that of a refused value, can fail before it is due.
  const tried = error?.at ?? null;
  const early = dueAt !== null && tried !== null && tried < dueAt;
  const began = dead ? expiresAt : early ? tried : dueAt;
  return [
    finding(code, subject, {
      ...(dead || state === 'urgent' ? { severity: 'critical' } : {}),
      kind,
      since: began === null ? null : Date.parse(began),
      facts: { state, failures },
      ...(error === null ? {} : { error }),
    }),
  ];
}

/** Troubles that a person must recognise at once, whichever credential they show in. */
function causeOf({ class: cls, errcode, fault }: StoredError): ProblemCode | undefined {
  if (errcode === undefined) {
    return cls === 'retry' && UNHEARD.includes(fault) ? 'wechat_unreachable' : undefined;
  }
  if ([40164, 61004, 40090].includes(errcode)) return 'address_not_whitelisted';
  if (cls === 'config' && [40001, 40125, 41004, 40243].includes(errcode)) return 'secret_refused';
  return cls === 'quota' ? 'quota_exhausted' : undefined;
}

function foreignFindings(subject: string, credential: CredentialHealth): Finding[] {
  const { kind, foreign_refresher_since: since, last_refused: refused } = credential;
  if (since === null) return [];
  const facts = { since, refused: refused?.at ?? since };
  return [finding('foreign_refresher', subject, { kind, since: Date.parse(since), facts })];
}

function quotaFindings(subject: string, credential: CredentialHealth): Finding[] {
  const { kind, calls_today: calls, calls_allowed_a_day: allowed } = credential;
  if (allowed === null || calls < allowed / 2) return [];
  return [finding('quota_half_used', subject, { kind, facts: { calls, allowed } })];
}

function quarantineFindings(subject: string, credential: CredentialHealth): Finding[] {
  const { kind, quarantined_until: until } = credential;
  if (until === null) return [];
  return [finding('redis_was_restarted', subject, { kind, facts: { until } })];
}

/** @param subjects appids that may be named; whatever is about others is told without them */
export function selfTestFindings(
  selfTest: SelfTest | undefined,
  subjects: readonly string[] = [],
): Finding[] {
  if (selfTest === undefined) return [];
  const { evicts, hidesFailovers, refuses } = selfTest;
  const facts = whereOf(selfTest);
  return [
    ...(evicts ? [finding('redis_may_evict', null, { facts })] : []),
    ...(hidesFailovers ? [finding('redis_hides_failovers', null, { facts })] : []),
    ...forbidFindings(selfTest, subjects),
    ...(refuses === undefined
      ? []
      : [finding('redis_refuses_writes', null, { facts: { reason: refuses, ...facts } })]),
    ...spoiledFindings(selfTest, subjects),
  ];
}

/** Which masters of a cluster it is about. */
function whereOf({ servers }: SelfTest): Facts {
  return servers.length === 0 ? {} : { servers: servers.join(', ') };
}

/** What a Sentinel refuses is everything. */
const MOST_NAMED = 8;

function forbidFindings(selfTest: SelfTest, subjects: readonly string[]): Finding[] {
  const { forbidden, refused, version } = selfTest;
  const told = (subject: string | null, facts: Facts) =>
    finding('redis_forbids', subject, { facts });
  const facts = (of: SelfTest['refused']) => {
    const [first] = of;
    if (first === undefined) return {};
    const names = [...new Set(of.map(({ operation }) => operation))];
    const more = names.length > MOST_NAMED ? ` (+${names.length - MOST_NAMED})` : '';
    return {
      denied: names.slice(0, MOST_NAMED).join(', ') + more,
      word: first.word,
      words: first.words,
      ...(version === undefined ? {} : { version }),
    };
  };
  const own = refused.filter(({ subject }) => subject === undefined || !subjects.includes(subject));
  const commands = forbidden.length > 0 ? { commands: forbidden.join(', ') } : {};
  return [
    ...(forbidden.length + own.length > 0
      ? [told(null, { ...commands, ...facts(own), ...whereOf(selfTest) })]
      : []),
    ...subjects.flatMap((appid) => {
      const about = refused.filter(({ subject }) => subject === appid);
      const key = about[0]?.key;
      return about.length === 0 ? [] : [told(appid, { ...facts(about), ...(key && { key }) })];
    }),
  ];
}

function spoiledFindings({ spoiled }: SelfTest, subjects: readonly string[]): Finding[] {
  return [undefined, ...subjects].flatMap((appid) => {
    const about = spoiled.filter(({ subject }) => subject === appid);
    if (about.length === 0) return [];
    const severity = about.some(({ needed }) => needed) ? 'critical' : 'warning';
    const keys = about
      .map(({ key, holds, belongs }) => `${key} (${holds} ≠ ${belongs})`)
      .join(', ');
    return [finding('redis_key_spoiled', appid ?? null, { severity, facts: { reason: keys } })];
  });
}

export function clockFindings({ wrong, processVsRedis, processVsWechat }: ClockSkew): Finding[] {
  if (!wrong) return [];
  const worst = Math.max(Math.abs(processVsRedis), Math.abs(processVsWechat ?? 0));
  const inSeconds = (ms: number) => Math.round(ms / 1000);
  return [
    finding('clock_skew', null, {
      ...(worst > GRAVE_SKEW_MS ? { severity: 'critical' } : {}),
      facts: {
        redis: inSeconds(processVsRedis),
        ...(processVsWechat === null ? {} : { wechat: inSeconds(processVsWechat) }),
      },
    }),
  ];
}

/**
 * @param problem what comparing the sealing keys with the stored tokens has shown
 * @param plain how many tokens are not sealed although they should be
 */
export function sealFindings(problem: EncryptionProblem | undefined, plain: number): Finding[] {
  return [
    ...(problem === undefined ? [] : [finding('seal_key_wrong', null, { facts: { ...problem } })]),
    ...(plain === 0 ? [] : [finding('refresh_tokens_unsealed', null, { facts: { seen: plain } })]),
  ];
}

/** @param trouble why the connection, or the command, failed, in Redis's words */
export function storeFinding(message: string, trouble?: RedisTrouble): Finding {
  const facts = trouble === undefined ? {} : { word: trouble.word, words: trouble.words };
  return finding('store_unavailable', null, { facts: { reason: message, ...facts } });
}

/** When the previous secrets of a component were last used; and which of them are configured. */
export interface PreviousSecrets {
  keySet: boolean;
  tokenSet: boolean;
  keyAt: number | undefined;
  tokenAt: number | undefined;
}

/** Milliseconds without a push under them after which the previous secrets may go. */
const UNUSED_AFTER_MS = 24 * 60 * MINUTE_MS;
/** Milliseconds after the last one for which it is worth saying that they went too early. */
const DROPPED_FOR_MS = 60 * MINUTE_MS;

export function previousSecretFindings(
  component: string,
  { keySet, tokenSet, keyAt = -Infinity, tokenAt = -Infinity }: PreviousSecrets,
  now: number,
): Finding[] {
  const used = Math.max(keySet ? keyAt : -Infinity, tokenSet ? tokenAt : -Infinity);
  const dropped = Math.max(keySet ? -Infinity : keyAt, tokenSet ? -Infinity : tokenAt);
  const told = (code: ProblemCode, at: number) =>
    finding(code, component, { facts: { since: iso(at) } });
  return [
    ...(now - used < UNUSED_AFTER_MS ? [told('previous_key_in_use', used)] : []),
    ...(now - dropped < DROPPED_FOR_MS ? [told('previous_key_dropped', dropped)] : []),
  ];
}
