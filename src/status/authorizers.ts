import type { ReconcileProgress } from '../authorizers/reconcile.ts';
import { dueBacklog } from '../store/due-index.ts';
import { openExchanges } from '../store/exchanges.ts';
import { countAuthorizers } from '../store/registry.ts';
import type { StoredError } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import type { Problem } from './advice.ts';
import { isoOrNull, seconds } from './units.ts';

/** The accounts that authorized one component, as a whole: who waits, and for how long. */

export interface AuthorizersContext {
  store: Store;
  /** The pace of refreshing, per second and component. */
  refreshesPerSecond: number;
  reconciliation: (component: string) => Promise<ReconcileProgress>;
}

/** Seconds: the window is minutes long, so nobody notices less. */
const BEHIND_AFTER_SECONDS = 120;

/** @throws KeeperError `store_unavailable` */
export async function describeAuthorizers(context: AuthorizersContext, component: string) {
  const { store, refreshesPerSecond } = context;
  const [known, backlog, codes, reconciliation] = await Promise.all([
    countAuthorizers(store, component),
    dueBacklog(store, 'authorizer_access_token', component),
    openExchanges(store, component),
    context.reconciliation(component),
  ]);
  const { planned, due, oldestAt } = backlog;
  const now = store.time.now();
  const stuck = codes.find(({ lastError }) => lastError !== undefined && !heals(lastError));
  return {
    /** In the registry, those included that have ended their authorization. */
    known,
    /** With a token that is kept. */
    kept: planned,
    refresh_backlog: {
      due,
      oldest_due_at: isoOrNull(oldestAt),
      behind_seconds: oldestAt === undefined ? 0 : Math.max(0, seconds(now - oldestAt)),
      refreshes_per_second: refreshesPerSecond,
    },
    codes_waiting: codes.length,
    code_error: stuck?.lastError ?? null,
    reconciliation,
  };
}

export type AuthorizersStatus = Awaited<ReturnType<typeof describeAuthorizers>>;

function heals(error: StoredError): boolean {
  return ['retry', 'rate', 'token', 'ticket', 'reauthorize'].includes(error.class);
}

export function authorizersProblems(component: string, status: AuthorizersStatus): Problem[] {
  const { refresh_backlog: backlog, code_error: codeError, reconciliation } = status;
  const problems: Problem[] = [];
  if (backlog.behind_seconds > BEHIND_AFTER_SECONDS) {
    problems.push({
      code: 'authorizers_behind',
      component,
      message:
        `${backlog.due} authorizers wait for a new token, the first one for ` +
        `${backlog.behind_seconds} s. Tokens die when they wait longer than their window.`,
      advice:
        'After an outage it works itself off at AUTHORIZER_REFRESHES_PER_SECOND. If it grows, raise ' +
        'that, add a replica, or look for slow answers of WeChat in the log.',
    });
  }
  if (codeError !== null) {
    problems.push({
      code: 'authorization_code_stuck',
      component,
      message: `An account has authorized, but its code cannot be exchanged: ${codeError.message}.`,
      advice: `${codeError.advice} The code lives for ten minutes; after that the merchant must authorize again.`,
    });
  }
  if (reconciliation.state === 'inconsistent') {
    problems.push({
      code: 'reconciliation_inconsistent',
      component,
      message: "WeChat's list of authorizers contradicts itself, so nobody was marked as missing.",
      advice: 'Nothing to do: what was lost is restored, and the next run comes tomorrow.',
    });
  }
  return problems;
}
