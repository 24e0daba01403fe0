import type { Config } from '../config/load.ts';
import type { Keeper } from '../credentials/keeper.ts';
import type { RefreshDueResult } from '../credentials/refresh-due.ts';
import type { CredentialKindName } from '../store/redis/keys.ts';

/** What starts a run: a tick, the start of the process, or a tick that could not run in time. */
export type Trigger = 'cron' | 'start' | 'made_up';

export interface Job {
  name: string;
  expression: string;
  run(trigger: Trigger): Promise<RefreshDueResult>;
}

/** Accounts and authorizers have no setting of their own for this. */
const EVERY_TEN_MINUTES = '*/10 * * * *';

/** Every scheduled job. A tick is a heartbeat: failed refreshes plan their own retries. */
export function jobTable(config: Config, keeper: Keeper): readonly Job[] {
  const job = (name: CredentialKindName, expression: string): Job => ({
    name,
    expression,
    run: (trigger) => keeper.refreshDue(name, trigger),
  });
  const { components, accounts } = config;
  const forComponents = [
    job('component_access_token', config.componentAccessTokenCron),
    job('pre_auth_code', config.preAuthCodeCron),
    job('authorizer_access_token', EVERY_TEN_MINUTES),
  ];
  const forAccounts = [job('access_token', EVERY_TEN_MINUTES)];
  for (const type of ['jsapi', 'wx_card'] as const) {
    if (accounts.some((account) => account.tickets.includes(type))) {
      forAccounts.push(job(`${type}_ticket`, EVERY_TEN_MINUTES));
    }
  }
  return [
    ...(components.length > 0 ? forComponents : []),
    ...(accounts.length > 0 ? forAccounts : []),
  ];
}
