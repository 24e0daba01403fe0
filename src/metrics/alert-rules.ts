import { PROBLEM_CODES, PROBLEMS, type ProblemCode, type Severity } from '../status/problems.ts';
import { titleOf } from '../status/wording.ts';
import type { Text } from '../lib/language.ts';
import { SILENT_AFTER_MS, SILENT_LONG_AFTER_MS } from '../wechat/ticket-silence.ts';

/**
 * The alerting rules for Prometheus, made from the list of problems: the same names, titles and
 * patience as everywhere else. What is about time is computed from timestamps, by Prometheus's clock,
 * so that it holds even when our own judgement is wrong. Replicas see the same Redis: the maximum over
 * them makes one alert of what all of them report, and `instance` names the one it is about otherwise.
 */
export interface AlertRule {
  alert: string;
  severity: Severity | 'none';
  expr: string;
  forSeconds: number;
  summary: Text;
  runbook: string;
}

/** One alert for all credentials of a subject in which it shows. */
const CAUSES = PROBLEM_CODES.filter((code) => PROBLEMS[code].shared);

const latest = (metric: string, by = 'job, appid') => `max by (${by}) (wxkeeper_${metric})`;
const RECEIVED = latest('ticket_received_timestamp_seconds');
const TICKET_EXPIRES = latest('ticket_expires_timestamp_seconds');
const EXPIRES = latest('credential_expires_timestamp_seconds', 'job, appid, kind');
const DUE = latest('credential_due_timestamp_seconds', 'job, appid, kind');
const WAITING_SINCE = latest('authorizers_oldest_due_timestamp_seconds');
/** An expiry whose cause is known is told under the name of the cause. */
const NO_CAUSE =
  '  unless on (job, appid) max by (job, appid) ' +
  `(wxkeeper_problem{code=~"${[...CAUSES, 'quota_exhausted'].join('|')}"}) == 1`;

const silentFor = (ms: number) => [
  `time() - ${RECEIVED} > ${ms / 1_000}`,
  `unless ${TICKET_EXPIRES} <= time()`,
];

/** Lines of PromQL, where more is known than that the status names the problem. */
const EXPRESSIONS: Partial<Record<ProblemCode, (severity: Severity) => readonly string[]>> = {
  ticket_silent: (severity) =>
    silentFor(severity === 'critical' ? SILENT_LONG_AFTER_MS : SILENT_AFTER_MS),
  ticket_expired: () => [`${TICKET_EXPIRES} <= time()`],
  credential_dead: (severity) => [
    reported('credential_dead', severity),
    'or (',
    `  ${EXPIRES} <= time()`,
    NO_CAUSE,
    ')',
  ],
  credential_refresh_failing: (severity) => [
    reported('credential_refresh_failing', severity),
    ...(severity === 'critical'
      ? [
          // The last third of the window, at most five minutes: too late to wait for a tick.
          'or (',
          `  ${EXPIRES} - time() > 0`,
          `  < clamp_max((${EXPIRES} - ${DUE}) / 3, 300)`,
          NO_CAUSE,
          ')',
        ]
      : []),
  ],
  // Noise shows in the metrics, too, and wakes nobody.
  pushes_refused: (severity) => [
    severity === 'critical'
      ? reported('pushes_refused', severity)
      : 'max by (job, appid, kind) (wxkeeper_problem{code="pushes_refused",severity!="info"}) == 1',
  ],
  authorizers_behind: () => [`time() - ${WAITING_SINCE} > 120`],
};

function reported(code: ProblemCode, severity: Severity): string {
  const { own, shared } = PROBLEMS[code];
  const by = own ? 'job, instance' : shared ? 'job, appid' : 'job, appid, kind';
  // The milder rule goes on while the graver one holds: nothing must look as if it were over.
  const graver = severity !== PROBLEMS[code].severity ? `,severity="${severity}"` : '';
  return `max by (${by}) (wxkeeper_problem{code="${code}"${graver}}) == 1`;
}

const RUNBOOK_HERE = 'docs/metrics.md#alerts';
const RUNBOOK = 'docs/status.md#problems';

const OWN: readonly AlertRule[] = [
  {
    alert: 'WxkeeperDown',
    severity: 'critical',
    expr: 'absent(up{job="wxkeeper"} == 1)',
    forSeconds: 120,
    runbook: RUNBOOK_HERE,
    summary: { en: 'No wxkeeper answers Prometheus', zh: '没有任何 wxkeeper 响应 Prometheus' },
  },
  {
    alert: 'WxkeeperNotScraped',
    severity: 'warning',
    expr: 'up{job="wxkeeper"} == 0',
    forSeconds: 600,
    runbook: RUNBOOK_HERE,
    summary: { en: 'One wxkeeper does not answer Prometheus', zh: '有 wxkeeper 不响应 Prometheus' },
  },
  {
    alert: 'WxkeeperWatchdog',
    severity: 'none',
    expr: 'vector(1)',
    forSeconds: 0,
    runbook: RUNBOOK_HERE,
    summary: {
      en: 'Always firing: when this stops, alerting itself is broken',
      zh: '始终触发：一旦消失，说明告警链路本身出了问题',
    },
  },
];

/** One rule for each problem that is worth telling, a second one where it can get graver. */
export const ALERT_RULES: readonly AlertRule[] = [
  ...PROBLEM_CODES.filter((code) => PROBLEMS[code].severity !== 'info').flatMap((code) => {
    const { alert, severity, afterSeconds: forSeconds } = PROBLEMS[code];
    const summary = { en: titleOf(code, 'en'), zh: titleOf(code, 'zh') };
    const { escalates } = PROBLEMS[code];
    const severities: Severity[] = escalates ? [severity, 'critical'] : [severity];
    return severities.map((one) => {
      const lines = EXPRESSIONS[code]?.(one) ?? [reported(code, one)];
      const expr = lines.join('\n');
      return { alert, severity: one, expr, forSeconds, summary, runbook: RUNBOOK };
    });
  }),
  ...OWN,
];

const DESCRIPTION =
  '{{ with $labels.instance }}{{ . }}, {{ end }}{{ with $labels.appid }}{{ . }}, {{ end }}{{ with $labels.kind }}{{ . }}, {{ end }}' +
  'see GET /status for since when, why, and what to do';

/** `deploy/prometheus/alerts.yml`. */
export function alertRulesFile(): string {
  const rules = ALERT_RULES.flatMap(({ alert, severity, expr, forSeconds, summary, runbook }) => [
    `      - alert: ${alert}`,
    '        expr: |-',
    ...expr.split('\n').map((line) => `          ${line}`),
    ...(forSeconds === 0 ? [] : [`        for: ${duration(forSeconds)}`]),
    '        labels:',
    `          severity: ${severity}`,
    '        annotations:',
    `          summary: ${quoted(summary.en)}`,
    `          summary_zh: ${quoted(summary.zh)}`,
    ...(runbook === RUNBOOK ? [`          description: ${quoted(DESCRIPTION)}`] : []),
    `          runbook: ${runbook}`,
  ]);
  const head = [
    '# Alerting rules for wxkeeper. Made by `npm run generate`; see docs/metrics.md.',
    '# The scrape job is expected to be called wxkeeper.',
    'groups:',
    '  - name: wxkeeper',
    '    rules:',
  ];
  return `${[...head, ...rules].join('\n')}\n`;
}

function duration(seconds: number): string {
  if (seconds % 3_600 === 0) return `${seconds / 3_600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

/** As YAML, the way Prettier would. */
function quoted(text: string): string {
  return text.includes("'") ? `"${text}"` : `'${text}'`;
}
