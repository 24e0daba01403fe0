import { REFUSAL_REASONS } from '../lib/errors.ts';
import {
  ROW_OVER_MS,
  type RefusedPushes,
  type ServedUrl,
} from '../store/tickets/refused-pushes.ts';
import {
  finding,
  rankFindings,
  type Finding,
  type ProblemCode,
  type Severity,
} from './problems.ts';
import { iso, isoOrNull } from '../lib/time-format.ts';

/** Pushes that are refused: what of it is worth saying, and how grave it is. */

/** Which pushes arrive as they should. */
export interface Flow {
  /** When the last one was accepted at each URL, epoch ms. */
  acceptedAt: Readonly<Record<ServedUrl, number | undefined>>;
  /** Whether every platform that this is about gets its tickets. */
  tickets: boolean;
}

/** One or two may be anybody's. */
const IN_A_ROW = 3;
/** Milliseconds: a ticket comes every ten minutes, and may be a little late. */
const TICKETS_FLOW_MS = 15 * 60_000;
/** Milliseconds: a moment further ahead was written by a clock that has been set right since. */
const MAX_AHEAD_MS = 60_000;
/** Milliseconds between the first and the last of a row that no passer-by makes: two tickets. */
const LASTING_MS = 20 * 60_000;

/** What goes on at one platform. */
export function flowOf({ event, message }: Flow['acceptedAt'], now: number): Flow {
  const believed = (at: number | undefined) =>
    at !== undefined && at <= now + MAX_AHEAD_MS ? at : undefined;
  const acceptedAt = { event: believed(event), message: believed(message) };
  return { acceptedAt, tickets: now - (acceptedAt.event ?? -Infinity) <= TICKETS_FLOW_MS };
}

/** The same for all platforms together. */
export function flowOfAll(flows: readonly Flow[]): Flow {
  const latest = (url: ServedUrl) => {
    const moments = flows.flatMap(({ acceptedAt }) => acceptedAt[url] ?? []);
    return moments.length === 0 ? undefined : Math.max(...moments);
  };
  return {
    acceptedAt: { event: latest('event'), message: latest('message') },
    tickets: flows.every(({ tickets }) => tickets),
  };
}

/**
 * One finding for each URL at which pushes are refused in a row.
 * @param component null for pushes that name no platform of ours
 */
export function refusedFindings(
  component: string | null,
  refused: readonly RefusedPushes[],
  flow: Flow,
  now: number,
): Finding[] {
  const going = refused.filter((one) => !isOver(one, flow, now));
  return [...new Set(going.map(({ url }) => url))].flatMap((url) => {
    const rows = gravest(going.filter((one) => one.url === url));
    const [main] = [...rows].sort((a, b) => b.row - a.row || (b.at ?? 0) - (a.at ?? 0));
    if (main === undefined) return [];
    const count = rows.reduce((sum, { row }) => sum + row, 0);
    const since = Math.min(...rows.map((one) => one.since ?? now));
    const at = Math.max(...rows.map((one) => one.at ?? now));
    const { reason, path, detail } = main;
    const facts = {
      reason,
      count,
      since: iso(since),
      path,
      detail,
      appid: component ?? '',
      ...(main.beside.some((served) => served === url) ? { others: 'accepted' } : {}),
    };
    const severity = severityOf(main, at - since >= LASTING_MS, flow);
    return [finding('pushes_refused', component, { severity, kind: url, since, facts })];
  });
}

/**
 * Those that WeChat has certainly sent; else those that look like it; else all: a stranger's noise must
 * not hide them.
 */
function gravest(rows: readonly RefusedPushes[]): readonly RefusedPushes[] {
  const certain = rows.filter(({ reason }) => REFUSAL_REASONS[reason].signed);
  const likely = rows.filter((one) => !certain.includes(one) && one.signed === 'yes');
  const enough = (some: readonly RefusedPushes[]) =>
    some.reduce((sum, { row }) => sum + row, 0) >= IN_A_ROW;
  return [certain, likely, rows].find(enough) ?? [];
}

function isOver({ url, at, row, beside }: RefusedPushes, flow: Flow, now: number): boolean {
  // A clock that was wrong and has been set must not keep it for ever.
  if (at === undefined || row === 0 || Math.abs(now - at) > ROW_OVER_MS) return true;
  const accepted = (served: ServedUrl) => (flow.acceptedAt[served] ?? -Infinity) > at;
  const telling = url === 'other' ? (['event', 'message'] as const) : [url];
  return telling.some((served) => accepted(served) && !beside.includes(served));
}

function severityOf(
  { reason, url, signed }: RefusedPushes,
  lasting: boolean,
  flow: Flow,
): Severity {
  if (REFUSAL_REASONS[reason].signed) return 'critical';
  if (!flow.tickets) return lasting && url !== 'message' ? 'critical' : 'warning';
  // Tickets show that the Token is right, so whoever signs with another one is a stranger.
  return reason === 'bad_signature' || signed === 'no' ? 'info' : 'warning';
}

/** Troubles that refused pushes explain. */
const EXPLAINED: readonly ProblemCode[] = [
  ...(['no_ticket', 'ticket_silent', 'ticket_expired', 'previous_key_dropped'] as const),
];

/** Lets what comes of refused pushes name them. @param refused of the platform, or of none */
export function pointingAt(refused: readonly Finding[], findings: readonly Finding[]): Finding[] {
  const [cause] = rankFindings(refused).filter(
    // Tickets are encrypted in clear mode, too; and noise explains nothing.
    ({ kind, facts, severity }) =>
      severity !== 'info' && !(kind === 'message' && facts.reason === 'clear_mode'),
  );
  if (cause === undefined) return [...findings];
  const { reason = '', detail = '' } = cause.facts;
  return findings.map((one) =>
    EXPLAINED.includes(one.code)
      ? { ...one, facts: { ...one.facts, pushes: reason, detail, appid: one.subject ?? '' } }
      : one,
  );
}

/** What `GET /status` says of them. */
export function describeRefused(refused: readonly RefusedPushes[], flow: Flow, now: number) {
  return refused.map((one) => {
    const { url, reason, total, row, since, at, path, address } = one;
    const over = isOver(one, flow, now);
    return {
      url,
      reason,
      total,
      in_a_row: over ? 0 : row,
      since: over ? null : isoOrNull(since),
      last_at: isoOrNull(at),
      last_path: path,
      last_address: address,
    };
  });
}
