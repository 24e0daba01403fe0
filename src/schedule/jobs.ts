import type { Config } from '../config.ts';
import type { Keeper, SweepResult } from '../credentials/keeper.ts';

/** What starts a run: a tick, the start of the process, or a tick that could not run in time. */
export type Trigger = 'cron' | 'start' | 'made_up';

export interface Job {
  name: string;
  expression: string;
  run(trigger: Trigger): Promise<SweepResult>;
}

/** Every scheduled job. A tick is a heartbeat: failed refreshes plan their own retries. */
export function jobTable(config: Config, keeper: Keeper): readonly Job[] {
  return [
    {
      name: 'component_access_token',
      expression: config.componentAccessTokenCron,
      run: (trigger) => keeper.sweep('component_access_token', trigger),
    },
    {
      name: 'pre_auth_code',
      expression: config.preAuthCodeCron,
      run: (trigger) => keeper.sweep('pre_auth_code', trigger),
    },
  ];
}
