import type { Observations, SeenCredential } from './observer.ts';
import type { ServiceLog } from './service.ts';

/** The live picture as lines of text: pure functions of what was seen. */

export interface Scene {
  /** Since the pushes began. */
  elapsedMs: number;
  seconds: number | undefined;
  seen: Readonly<Observations>;
  log: Readonly<ServiceLog>;
  /** Pushes sent so far, and how many of them were answered `success`. */
  pushes: { sent: number; accepted: number };
  /** The last few happenings, oldest first. */
  happenings: readonly string[];
  /** Epoch ms. */
  now: number;
}

/** Together they fit into 80 columns. */
const BAR_CELLS = 12;
const NAME_WIDTH = 23;
const STATE_WIDTH = 8;
const LIFE_WIDTH = 28;
const NEXT_WIDTH = 10;

/** The block that is drawn over and over on a terminal. */
export function block(scene: Scene): string[] {
  const { seen, log, happenings, now } = scene;
  const credentials = seen.status?.components[0]?.credentials ?? [];
  return [
    `${clock(scene.elapsedMs)}  status: ${verdict(scene)}    (${end(scene)})`,
    '',
    `  ${cells('', 'state', 'left of its life', 'next look', 'renewed')}`,
    ...credentials.map((one) => `  ${credentialLine(one, now)}`),
    '',
    `  ${'ticket'.padEnd(NAME_WIDTH)}${ticketLine(scene)}`,
    `  ${'read over HTTP'.padEnd(NAME_WIDTH)}${httpLine(seen)}`,
    `  ${'looks at Redis'.padEnd(NAME_WIDTH)}${looksLine(seen)}`,
    `  ${'log of the service'.padEnd(NAME_WIDTH)}${logLine(log)}`,
    '',
    ...happenings.map((line) => `  ${line}`),
  ];
}

/** The same in one line, for a file or a pipe. */
export function summaryLine(scene: Scene): string {
  const credentials = (scene.seen.status?.components[0]?.credentials ?? []).map((one) => {
    const left = secondsUntil(one.expires_at, scene.now);
    return `${one.kind} ${one.state}, ${left} s left`;
  });
  const { ticketsReceived: count } = scene.seen;
  const tickets = `${count} ${count === 1 ? 'ticket' : 'tickets'}`;
  const parts = [verdict(scene), tickets, ...credentials];
  return `${clock(scene.elapsedMs)}  ${parts.join('; ')}`;
}

/** mm:ss, or h:mm:ss from an hour on. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const pad = (number: number) => String(number).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const tail = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return hours === 0 ? tail : `${hours}:${tail}`;
}

function end({ seconds, elapsedMs }: Scene): string {
  if (seconds === undefined) return 'Ctrl-C stops everything';
  const left = Math.max(0, Math.ceil(seconds - elapsedMs / 1000));
  return `summary in ${left} s, Ctrl-C stops everything now`;
}

function verdict({ seen }: Scene): string {
  if (seen.statusError !== undefined) return `no answer (${seen.statusError})`;
  if (seen.status === undefined) return 'not asked yet';
  const [problem] = seen.status.problems;
  return problem === undefined ? 'ok' : `attention: ${problem.message}`;
}

function cells(name: string, state: string, life: string, next: string, refreshed: string): string {
  return (
    name.padEnd(NAME_WIDTH) +
    state.padEnd(STATE_WIDTH) +
    life.padEnd(LIFE_WIDTH) +
    next.padEnd(NEXT_WIDTH) +
    refreshed
  );
}

function credentialLine(one: SeenCredential, now: number): string {
  const { kind, state, history } = one;
  if (one.obtained_at === null || one.expires_at === null) {
    return cells(kind, state, 'comes with the first ticket', '', '');
  }
  const life = (Date.parse(one.expires_at) - Date.parse(one.obtained_at)) / 1000;
  const left = secondsUntil(one.expires_at, now);
  const refreshes = Math.max(0, history.count - 1);
  return cells(
    kind,
    state,
    `${bar(left / life)} ${String(left).padStart(3)} of ${life} s`,
    nextLook(one, now),
    `${refreshes} ${refreshes === 1 ? 'time' : 'times'}`,
  );
}

/** The tick that will refresh it; a ticket that comes before may do so sooner. */
function nextLook(one: SeenCredential, now: number): string {
  if (one.next_refresh_at === null) return '';
  const seconds = secondsUntil(one.next_refresh_at, now);
  return seconds === 0 ? 'now' : `in ${seconds} s`;
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS);
  return `[${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}]`;
}

function ticketLine({ seen, pushes, now }: Scene): string {
  const receivedAt = seen.status?.components[0]?.ticket.received_at;
  if (receivedAt == null) return 'waiting for the first one';
  const age = Math.max(0, Math.floor((now - Date.parse(receivedAt)) / 1000));
  const unanswered = pushes.sent - pushes.accepted;
  const answers = unanswered === 0 ? 'all answered success' : `${unanswered} NOT answered success`;
  return `${age} s old; ${seen.ticketsReceived} received, ${answers}`;
}

function httpLine({ httpReads, httpEqual }: Readonly<Observations>): string {
  if (httpReads === 0) return 'no token to read yet';
  return httpEqual === httpReads
    ? `the same token as in Redis, ${httpReads} of ${httpReads} times`
    : `NOT the token in Redis, ${httpReads - httpEqual} of ${httpReads} times`;
}

function looksLine({ looks, bad }: Readonly<Observations>): string {
  return bad.length === 0
    ? `${looks}, and each one found a live credential`
    : `${looks}, and ${bad.length} of them found NO live credential`;
}

function logLine({ errors, warnings, lastComplaint }: Readonly<ServiceLog>): string {
  const last = lastComplaint === undefined ? '' : `; the last one: ${lastComplaint}`;
  return `${errors} errors, ${warnings} warnings${last}`;
}

function secondsUntil(iso: string | null, now: number): number {
  return iso === null ? 0 : Math.max(0, Math.ceil((Date.parse(iso) - now) / 1000));
}
