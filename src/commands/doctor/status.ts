import { readProgress } from '../../authorizers/reconciliation/runner.ts';
import { withoutSecrets, type SnapshotContext } from '../../status/context.ts';
import type { StatusSnapshot } from '../../status/schema.ts';
import { takeSnapshot } from '../../status/snapshot.ts';
import { VERSION } from '../../lib/version.ts';
import { both, ok, REPLICAS, skipped, warn, type Check, type Group } from './check.ts';
import type { Patient } from './patient.ts';

/** What `GET /status` would say, read from Redis without asking any process, as far as no line said it yet. */

/** @param told the lines so far, which are not repeated */
export async function examineStatus(patient: Patient, told: readonly Check[]): Promise<Check[]> {
  const group: Group = 'status';
  if (patient.redisProblem !== undefined) {
    return [skipped(group, 'wxkeeper', both('Redis cannot be used', '无法使用 Redis'))];
  }
  const context = contextOf(patient);
  const [en, zh] = [await takeSnapshot(context, 'en'), await takeSnapshot(context, 'zh')];
  const problems = problemChecks(en, zh).filter(
    ({ code, subject }) =>
      // A problem of the whole installation has no subject to compare.
      !told.some((one) => one.code === code && (subject === null || one.subject === subject)),
  );
  return [
    replicas(en),
    ...problems,
    ...(problems.length > 0
      ? []
      : [ok(group, 'wxkeeper', both('nothing else is wrong', '没有其他问题'))]),
  ];
}

function problemChecks(en: StatusSnapshot, zh: StatusSnapshot): Check[] {
  return en.problems.map((problem) => {
    const { code, component, kind, severity, title, message, advice } = problem;
    const translated =
      zh.problems.find(
        (one) => one.code === code && one.component === component && one.kind === kind,
      ) ?? problem;
    return {
      group: 'status',
      name: both([component, kind].filter((one) => one !== null).join(' ') || 'wxkeeper'),
      subject: component,
      state: severity === 'critical' ? 'failed' : 'warn',
      code,
      seen: both(`${title}: ${message}`, `${translated.title}：${translated.message}`),
      advice: both(advice, translated.advice),
    };
  });
}

function replicas({ replicas: all }: StatusSnapshot): Check {
  const running = all.filter(({ state }) => state === 'running');
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

function contextOf({ config, clock, store }: Patient): SnapshotContext {
  const { components, accounts, publicBaseUrl } = config;
  return {
    store,
    clock,
    accounts,
    publicBaseUrl,
    version: VERSION,
    windowMs: config.refreshWindowMs,
    components: withoutSecrets(components),
    refreshesPerSecond: config.authorizerRefreshesPerSecond,
    reconciliation: (component) => readProgress(store, component),
    // What only a running process knows; the doctor has looked at Redis and the clocks by itself.
    ticketsWaiting: () => [],
    writeRefused: () => Promise.resolve(),
    nextTick: () => undefined,
    jobs: [],
    selfTest: () => undefined,
    clockSkew: () => ({ processVsRedis: 0, processVsWechat: null, wrong: false }),
    replica: 'doctor',
    // How long the installation has been there, nobody can say.
    startedAt: 0,
  };
}
