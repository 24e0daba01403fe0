import type { ReconcileProgress } from '../authorizers/reconciliation/runner.ts';
import { ownError } from '../credentials/error-words.ts';
import { dueBacklog } from '../store/authorizers/due-queue.ts';
import { openExchanges } from '../store/authorizers/code-exchange.ts';
import { isWrongType } from '../store/redis/connection.ts';
import { countAuthorizers } from '../store/authorizers/profile.ts';
import type { StoredError } from '../store/credentials/stored-error.ts';
import type { Store } from '../store/redis/store.ts';
import { finding, type Finding } from './problems.ts';
import { isoOrNull, seconds } from '../lib/time-format.ts';
import { healedBy } from '../wechat/errcodes.ts';

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
    readExchanges(store, component),
    context.reconciliation(component),
  ]);
  const { planned, due, oldestAt } = backlog;
  const now = store.time.now();
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
    codes_waiting: codes.waiting,
    code_error: codes.error,
    reconciliation,
  };
}

/** How many codes wait, and what keeps the first one from being exchanged that does not heal. */
async function readExchanges(
  store: Store,
  component: string,
): Promise<{ waiting: number; error: StoredError | null }> {
  try {
    const codes = await openExchanges(store, component);
    const stuck = codes.find(({ lastError }) => lastError !== undefined && !heals(lastError));
    return { waiting: codes.length, error: stuck?.lastError ?? null };
  } catch (error) {
    if (!isWrongType(error)) throw error;
    const advice = `DEL ${store.keys.exchanges(component)}`;
    return { waiting: 0, error: ownError('config', 'codes_edited', advice) };
  }
}

export type AuthorizersStatus = Awaited<ReturnType<typeof describeAuthorizers>>;

/** A code that WeChat refuses is no person's matter: the account is asked about in another way. */
function heals(error: StoredError): boolean {
  return healedBy(error.class) === 'itself' || error.class === 'reauthorize';
}

export function authorizersFindings(component: string, status: AuthorizersStatus): Finding[] {
  const { refresh_backlog: backlog, code_error: error, reconciliation } = status;
  const { due, behind_seconds: seconds, oldest_due_at: oldest } = backlog;
  const since = oldest === null ? null : Date.parse(oldest);
  const behind = seconds > BEHIND_AFTER_SECONDS;
  return [
    ...(behind
      ? [finding('authorizers_behind', component, { since, facts: { due, seconds } })]
      : []),
    ...(error === null ? [] : [finding('authorization_code_stuck', component, { error })]),
    ...(reconciliation.state === 'inconsistent'
      ? [finding('reconciliation_inconsistent', component)]
      : []),
  ];
}
