import type { ReadContext } from '../../credentials/read.ts';
import type { ReconcileRun } from '../../store/authorizers/reconciliation.ts';

/** One step of a run: what it works on, and how it ends. */

export interface ReconcileContext extends ReadContext {
  /** WeChat's clock as far as it is known, epoch ms. */
  wechatNow: () => number;
}

/** What one step works on. */
export interface Step {
  context: ReconcileContext;
  component: string;
  run: ReconcileRun;
  /** Writes down what was done. @throws LeaseLostError, KeeperError `store_unavailable` */
  save: (
    change: Partial<ReconcileRun>,
    more?: { seen?: string[]; fresh?: boolean },
  ) => Promise<void>;
}

/** Another replica does this work now. */
export class LeaseLostError extends Error {
  constructor() {
    super('another replica has the lease');
    this.name = 'LeaseLostError';
  }
}
