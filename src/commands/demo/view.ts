import type { StatusSnapshot } from '../../status/snapshot.ts';
import type { Observations } from './observer.ts';
import type { Scale } from './scale.ts';
import type { ServiceLog } from './service.ts';

/** The live picture as lines of text: pure functions of what was seen. */

export interface Scene {
  /** Since the pushes began. */
  elapsedMs: number;
  seconds: number | undefined;
  scale: Scale;
  seen: Readonly<Observations>;
  log: Readonly<ServiceLog>;
  /** Pushes sent so far, and how many of them were answered `success`. */
  pushes: { sent: number; accepted: number };
  /** The last few happenings, oldest first. */
  happenings: readonly string[];
  /** Epoch ms. */
  now: number;
}

type CredentialStatus = StatusSnapshot['components'][number]['credentials'][number];

const BAR_CELLS = 20;
const NAME_WIDTH = 24;

/** The block that is drawn over and over on a terminal. */
export function block(scene: Scene): string[] {
  const { seen, log, happenings } = scene;
  const component = seen.status?.components[0];
  return [
    `${clock(scene.elapsedMs)}  ${verdict(scene)}`,
    '',
    `  ${'component_verify_ticket'.padEnd(NAME_WIDTH)}${ticketLine(scene)}`,
    ...(component?.credentials ?? []).map(
      (one) => `  ${one.kind.padEnd(NAME_WIDTH)}${credentialLine(one, scene.now)}`,
    ),
    '',
    `  GET over HTTP           ${httpLine(seen)}`,
    `  Looks at Redis          ${looksLine(seen)}`,
    `  Service log             ${log.errors} errors, ${log.warnings} warnings${complaint(log)}`,
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
  const parts = [verdictWord(scene), `${scene.seen.ticketsReceived} tickets`, ...credentials];
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

function verdict(scene: Scene): string {
  const { seconds, elapsedMs } = scene;
  const end =
    seconds === undefined
      ? 'Ctrl-C stops everything'
      : `summary in ${Math.max(0, Math.ceil(seconds - elapsedMs / 1000))} s, Ctrl-C stops now`;
  return `status: ${verdictWord(scene)}    (${end})`;
}

function verdictWord({ seen }: Scene): string {
  if (seen.statusError !== undefined) return `no answer (${seen.statusError})`;
  if (seen.status === undefined) return 'not asked yet';
  const [problem] = seen.status.problems;
  return problem === undefined ? 'ok' : `attention: ${problem.message}`;
}

function ticketLine({ seen, pushes, scale, now }: Scene): string {
  const receivedAt = seen.status?.components[0]?.ticket.received_at;
  if (receivedAt == null) return 'waiting for the first one';
  const age = Math.max(0, Math.floor((now - Date.parse(receivedAt)) / 1000));
  const answers =
    pushes.sent === pushes.accepted
      ? 'all answered success'
      : `${pushes.sent - pushes.accepted} pushes NOT answered success`;
  return `${String(age).padStart(3)} s old; one is pushed every ${scale.ticketSeconds} s; ${seen.ticketsReceived} received, ${answers}`;
}

function credentialLine(one: CredentialStatus, now: number): string {
  if (one.obtained_at === null || one.expires_at === null) return `${one.state}: none yet`;
  const life = (Date.parse(one.expires_at) - Date.parse(one.obtained_at)) / 1000;
  const left = secondsUntil(one.expires_at, now);
  const refreshes = Math.max(0, one.history.count - 1);
  return [
    one.state.padEnd(8),
    bar(left / life),
    ` ${String(left).padStart(4)} of ${life} s left`.padEnd(22),
    nextRefresh(one, now).padEnd(23),
    `refreshed ${refreshes} ${refreshes === 1 ? 'time' : 'times'}`,
  ].join('');
}

/** The tick that will do it; a ticket that comes before may do it sooner. */
function nextRefresh(one: CredentialStatus, now: number): string {
  if (one.next_refresh_at === null) return '';
  const seconds = secondsUntil(one.next_refresh_at, now);
  return seconds === 0 ? 'next refresh now' : `next refresh in ${seconds} s`;
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS);
  return `[${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}]`;
}

function httpLine({ httpReads, httpEqual }: Readonly<Observations>): string {
  if (httpReads === 0) return 'no component_access_token to read yet';
  return httpEqual === httpReads
    ? `the same component_access_token as in Redis, ${httpReads} of ${httpReads} times`
    : `another component_access_token than in Redis, ${httpReads - httpEqual} of ${httpReads} times`;
}

function looksLine({ looks, bad }: Readonly<Observations>): string {
  return `${looks}; dead or missing credentials seen: ${bad.length}`;
}

function complaint({ lastComplaint }: Readonly<ServiceLog>): string {
  return lastComplaint === undefined ? '' : `; the last one: ${lastComplaint}`;
}

function secondsUntil(iso: string | null, now: number): number {
  return iso === null ? 0 : Math.max(0, Math.ceil((Date.parse(iso) - now) / 1000));
}
