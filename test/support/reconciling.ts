import { createPatrol } from '../../src/credentials/patrol.ts';
import { createMemory } from '../../src/credentials/memory.ts';
import {
  createReconciler,
  type ReconcileProgress,
  type Reconciler,
} from '../../src/authorizers/reconcile.ts';
import type { Log } from '../../src/log.ts';
import { createWechatApi, type WechatApi } from '../../src/wechat/api.ts';
import { listAuthorizers } from '../../src/wechat/authorizer.ts';
import { TOKEN } from './liveness.ts';
import { read } from './observe.ts';
import { COMPONENT, type LogLine, type Station } from './station.ts';

/** Replicas that compare their authorizers with WeChat's list, and what can be seen of that. */

export const LIST_API = 'api_get_authorizer_list';
export const INFO_API = 'api_get_authorizer_info';

export interface ReconcilingReplica {
  reconciler: Reconciler;
  logs: LogLine[];
  progress(): Promise<ReconcileProgress>;
  /** Lets time pass, with everything that happens meanwhile, here and in the station. */
  pass(ms: number): Promise<void>;
  stop(): Promise<void>;
}

/** @param wrapApi changes what this replica hears from WeChat */
export function createReconcilingReplica(
  station: Station,
  { name = 'tests', wrapApi = (api: WechatApi) => api } = {},
): ReconcilingReplica {
  const { clock, config, store, app } = station;
  const logs: LogLine[] = [];
  const log = collect(logs);
  const api = wrapApi(createWechatApi({ baseUrls: config.wechatApiBaseUrls, clock, log }));
  const reconciler = createReconciler({
    ...{ store, clock, log, api, keeper: app.keeper, replica: name },
    memory: createMemory(clock, store.time),
    windowMs: config.refreshWindowSeconds * 1000,
    components: [COMPONENT.appid],
  });
  const patrol = createPatrol(clock, log, () => reconciler.patrol());
  patrol.start();
  const settle = async () => {
    for (let round = 0; round < 2; round += 1) {
      await patrol.idle();
      await reconciler.idle();
      await station.settle();
    }
  };
  return {
    ...{ reconciler, logs },
    progress: () => reconciler.progress(COMPONENT.appid),
    pass: (ms) => clock.advance(ms, settle).then(settle),
    async stop() {
      await Promise.all([patrol.stop(), reconciler.stop()]);
    },
  };
}

/** What WeChat lists just now: appid to refresh token. */
export async function listedAtWechat(station: Station): Promise<Map<string, string | undefined>> {
  const { clock, config } = station;
  const api = createWechatApi({ baseUrls: config.wechatApiBaseUrls, clock, log: collect([]) });
  const { value = '' } = await read(station, TOKEN);
  const platform = { componentAppid: COMPONENT.appid, componentAccessToken: value };
  const listed = new Map<string, string | undefined>();
  for (let offset = 0; ; offset += 500) {
    const { list } = await listAuthorizers(api, platform, { offset, count: 500 });
    for (const one of list) listed.set(one.authorizerAppid, one.refreshToken);
    if (list.length < 500) return listed;
  }
}

export function callsOf({ simulator }: Station, api: string): number {
  return simulator.ledger.calls.filter((call) => call.api === api).length;
}

function collect(lines: LogLine[]): Log {
  const write = (level: string) => (message: string, fields?: Record<string, unknown>) =>
    void lines.push({ level, message, ...fields });
  const log: Log = {
    ...{ debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    in: () => log,
    close: () => Promise.resolve(),
  };
  return log;
}
