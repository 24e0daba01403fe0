import { routesOf } from '../deliveries/matching.ts';
import { readTold } from '../deliveries/told.ts';
import type { Route } from '../config/routes.ts';
import { isoOrNull } from '../lib/time-format.ts';
import { readTargetState, type TargetState } from '../store/deliveries/target-state.ts';
import type { Store } from '../store/redis/store.ts';
import { finding, type Finding } from './problems.ts';
import type { DeliveryStatus } from './schema.ts';

/** How the targets of a component fare, and what is wrong with them. */

/** What the status needs to know of a route: no secret, and of its address what may be shown. */
export type ShownRoute = Pick<Route, 'name' | 'mode' | 'reply' | 'match'> & { target: string };

/** Without what may be secret: user, password, query, and long parts of the path. */
export function shownRoutes(routes: readonly Route[]): ShownRoute[] {
  return routes.map(({ name, mode, reply, match, target }) => {
    const { origin, pathname } = new URL(target);
    const path = pathname.split('/').map((part) => (part.length > LONGEST_SHOWN ? '…' : part));
    return { name, mode, reply, match, target: `${origin}${path.join('/')}` };
  });
}

/** Letters: webhooks have their secrets in longer ones. */
const LONGEST_SHOWN = 20;
/** Failures in a row that are worth a word: one may be a restart. */
const FAILING_FROM = 3;
/** Milliseconds of failing after which merchants must have noticed. */
const GRAVE_AFTER_MS = 3_600_000;
/** Milliseconds after which a user who got no reply is nobody's news any more. */
const MISSED_FOR_MS = 3_600_000;
/** Milliseconds for which something that was dropped is told. */
const DROPPED_FOR_MS = 24 * 3_600_000;

/** @throws KeeperError `store_unavailable` */
export async function describeDeliveries(
  store: Store,
  routes: readonly ShownRoute[],
  component: string,
  now: number,
): Promise<{ deliveries: DeliveryStatus[]; findings: Finding[] }> {
  const all = await Promise.all(
    routesOf(routes, component).map(async (route) => {
      const state = await readTargetState(store, component, route.name);
      return { status: describe(route, state, now), state };
    }),
  );
  const findings = all.flatMap(({ status, state }) =>
    deliveryFindings(component, status, state, now),
  );
  return { deliveries: all.map(({ status }) => status), findings };
}

function describe(route: ShownRoute, state: TargetState, now: number): DeliveryStatus {
  const { stoppedAt, openUntil, failures } = state;
  const paused = openUntil !== undefined && openUntil > now;
  const last = readTold(state.answered);
  return {
    route: route.name,
    target: route.target,
    mode: route.mode,
    reply: route.reply,
    state:
      stoppedAt !== undefined ? 'stopped' : paused ? 'paused' : failures > 0 ? 'failing' : 'ok',
    waiting: state.fresh + state.again,
    under_way: state.underWay,
    oldest_at: isoOrNull(state.oldestAt),
    dead_letters: state.dead,
    delivered: state.delivered,
    failed: state.failed,
    given_up: state.givenUp,
    dropped: state.dropped,
    failing_since: isoOrNull(state.failingSince),
    paused_until: paused ? isoOrNull(openUntil) : null,
    stopped_at: isoOrNull(stoppedAt),
    last_delivered_at: isoOrNull(state.deliveredAt),
    last_attempt:
      last === undefined
        ? null
        : { at: isoOrNull(last.at) ?? '', took_ms: last.ms, status: String(last.status) },
  };
}

/** @param now epoch ms by the store's clock */
export function deliveryFindings(
  component: string,
  status: DeliveryStatus,
  state: TargetState,
  now: number,
): Finding[] {
  const { route: kind } = status;
  const waiting = state.fresh + state.again;
  const facts = { waiting, answered: status.last_attempt?.status ?? '', target: status.target };
  const { stoppedAt, failingSince: since = now, failures, dead, dropped, droppedAt } = state;
  const lately = droppedAt !== undefined && now - droppedAt < DROPPED_FOR_MS;
  const stopped =
    stoppedAt === undefined
      ? []
      : [finding('target_stopped', component, { kind, since: stoppedAt, facts })];
  const severity = now - since >= GRAVE_AFTER_MS ? 'critical' : 'warning';
  const failing =
    stoppedAt !== undefined || failures < FAILING_FROM
      ? []
      : [finding('target_failing', component, { kind, severity, since, facts })];
  const given =
    dead === 0 && !lately
      ? []
      : [
          finding('deliveries_dropped', component, {
            kind,
            facts: { dead, dropped: lately ? dropped : 0 },
          }),
        ];
  return [...stopped, ...failing, ...given, ...missedReplies(component, status, state, now)];
}

/** Users who get nothing of a target that takes deliveries all the same. */
function missedReplies(
  component: string,
  { route: kind, target }: DeliveryStatus,
  { failures, stoppedAt, replyMisses, replyMissed, replyMissedAt, replyMissingSince }: TargetState,
  now: number,
): Finding[] {
  // What is wrong is said already.
  if (failures >= FAILING_FROM || stoppedAt !== undefined) return [];
  const lately = replyMissedAt !== undefined && now - replyMissedAt < MISSED_FOR_MS;
  if (replyMisses < FAILING_FROM || !lately) return [];
  const facts = { missed: replyMissed ?? '', count: replyMisses, target };
  return [finding('replies_failing', component, { kind, since: replyMissingSince ?? now, facts })];
}
