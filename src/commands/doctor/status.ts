import { readProgress } from '../../authorizers/reconciliation/runner.ts';
import { withoutSecrets, type StoredStatus } from '../../status/context.ts';
import type { Finding } from '../../status/problems.ts';
import { describeReplicas } from '../../status/replicas.ts';
import { shownRoutes } from '../../status/deliveries.ts';
import { shownLayouts } from '../../status/layouts.ts';
import { findProblems } from '../../status/snapshot.ts';
import { readReplicas } from '../../store/operations/replicas.ts';
import { both, fromFinding, ok, REPLICAS, skipped, warn, type Check } from './check.ts';
import type { Installation } from './installation.ts';

/** What the status finds wrong, read from Redis without asking any process, as far as no line said it yet. */

/** @param told the lines so far, which are not repeated */
export async function examineStatus(
  installation: Installation,
  told: readonly Check[],
): Promise<Check[]> {
  const { store } = installation;
  if (installation.redisProblem !== undefined) {
    return [skipped('status', 'wxkeeper', both('Redis cannot be used', '无法使用 Redis'))];
  }
  const found = await findProblems(storedStatus(installation));
  const replicas = describeReplicas(await readReplicas(store), store.time.now());
  const problems = found
    .map((one) => fromFinding('status', nameOf(one), one))
    .filter(
      ({ code, subject }) =>
        // A problem of the whole installation has no subject to compare.
        !told.some((one) => one.code === code && (subject === null || one.subject === subject)),
    );
  return [
    whoRuns(replicas),
    ...problems,
    ...(problems.length > 0
      ? []
      : [ok('status', 'wxkeeper', both('nothing else is wrong', '没有其他问题'))]),
  ];
}

function nameOf({ subject, kind }: Finding): string {
  return [subject, kind].filter((one) => one !== null).join(' ') || 'wxkeeper';
}

function whoRuns(replicas: ReturnType<typeof describeReplicas>): Check {
  const running = replicas.filter(({ state }) => state === 'running');
  const versions = [...new Set(running.map(({ version }) => version))].join(', ');
  if (running.length > 0) {
    return ok(
      'status',
      REPLICAS,
      both(
        `${running.length} running, version ${versions}`,
        `${running.length} 个在运行，版本 ${versions}`,
      ),
    );
  }
  return warn('status', REPLICAS, {
    seen: both('no wxkeeper runs on this Redis', '没有 wxkeeper 在使用这个 Redis'),
    advice: both(
      'Start it: npm start. If one runs, it has another REDIS_URL or REDIS_KEY_PREFIX.',
      '启动它：npm start。如果已有在运行的，它用的是另一个 REDIS_URL 或 REDIS_KEY_PREFIX。',
    ),
  });
}

function storedStatus({ config, clock, store }: Installation): StoredStatus {
  return {
    store,
    clock,
    accounts: config.accounts,
    publicBaseUrl: config.publicBaseUrl,
    routes: shownRoutes(config.routes),
    layouts: shownLayouts(config.layouts),
    windowMs: config.refreshWindowMs,
    components: withoutSecrets(config.components),
    refreshesPerSecond: config.authorizerRefreshesPerSecond,
    reconciliation: (component) => readProgress(store, component),
  };
}
