import type { DashboardData } from '../../../status/dashboard.ts';
import type { CredentialKindName } from '../../../store/redis/keys.ts';
import { html, type Html } from '../../pages/html.ts';
import { moment, type View } from '../view.ts';
import { code, cut, facts, pill, table, words as inWords, type Tone } from './parts.ts';

/** The service itself: its jobs, its replicas, Redis. */

type Status = DashboardData['status'];

const REPLICA_TONES: Readonly<Record<Status['replicas'][number]['state'], Tone>> = {
  running: 'ok',
  stopped: 'quiet',
  replaced: 'quiet',
  lost: 'warn',
};
const REPLICAS_SHOWN = 20;
const MAX_SUMMARY = 200;

export function jobsPanel(view: View, { jobs }: Status): Html {
  const { words } = view;
  const heads = [words.job, words.schedule, words.lastRun, words.result, words.nextRun];
  const rows = jobs.map(({ name, schedule, last_run: run, next_run_at: next }) => [
    html`${words.kind[name as CredentialKindName] as string | undefined} ${inWords(name)}`,
    code(schedule),
    run === null ? words.never : moment(view, run.at),
    run === null
      ? '–'
      : html`${run.ok ? undefined : pill('bad', words.failed)}
          ${run.ok || run.summary !== 'failed' ? cut(summary(view, textOf(run.summary)), MAX_SUMMARY) : undefined}
          <span class="by"
            >${Number.isFinite(run.took_ms) ? words.took(run.took_ms) : undefined}</span
          >`,
    moment(view, next),
  ]);
  return html`<article class="card wide" id="jobs">
    <header><h2>${words.jobs}</h2></header>
    ${table(words.jobs, heads, rows)}
  </article>`;
}

export function replicasPanel(view: View, { replicas, replica, redis, ...status }: Status): Html {
  const { words } = view;
  const heads = [words.replica, words.stateFilter, words.version, words.started, words.seen];
  const rows = replicas
    .slice(0, REPLICAS_SHOWN)
    .map((one) => [
      html`${code(one.id)}
      ${one.id === replica ? html`<span class="by">${words.thisOne}</span>` : undefined}`,
      pill(REPLICA_TONES[one.state], words.replicaState[one.state]),
      textOf(one.version),
      moment(view, one.started_at),
      moment(view, one.stopped_at ?? one.seen_at),
    ]);
  const latency = redis.latency_ms === null ? '' : ` · ${words.took(redis.latency_ms)}`;
  return html`<article class="card wide" id="replicas">
    <header><h2>${words.replicas}</h2></header>
    ${facts([
      [words.redis, `${words.redisState[redis.state]}${latency}`],
      [words.version, status.version],
      [words.thisOne, code(replica)],
    ])}
    ${rows.length === 0 ? undefined : table(words.replicas, heads, rows)}
  </article>`;
}

/** What came of the looks of a job, as `refresh-due.ts` counts them; anything else stays as it is. */
function summary({ words: { did, nothingDue } }: View, text: string): string {
  if (text === 'nothing due') return nothingDue;
  return text
    .split(', ')
    .map((part) => {
      const [, count, what = ''] = /^(\d+) ([a-z ]+)$/.exec(part) ?? [];
      return Object.hasOwn(did, what) ? did[what as keyof typeof did](Number(count)) : part;
    })
    .join(', ');
}

/** What a person has written into Redis by hand may be no text at all. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
