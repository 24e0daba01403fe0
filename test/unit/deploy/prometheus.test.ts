import { expect, it } from 'vitest';
import { ALERT_RULES, type AlertRule } from '../../../src/metrics/alert-rules.ts';
import { PROBLEM_CODES, PROBLEMS } from '../../../src/status/problems.ts';
import {
  ALERTS_FILE,
  describeWithPromtool,
  failuresOf,
  type RuleTest,
  runPromtool,
  STEP_SECONDS,
} from '../../kit/promtool.ts';

/** Time in these tests begins at 0, so a moment before the beginning is negative. */

interface Case {
  /** Series without `job` and `instance`, each with its value at 0 and its growth a minute. */
  given: Readonly<Record<string, string>>;
  /** Seconds after which the alert must fire, once, with these labels. */
  fires: number;
  labels: Readonly<Record<string, string>>;
}

const APPID = 'wx0123456789abcdef';
const TOKEN = 'component_access_token';
/** What each replica reports for itself. */
const OWN = [
  ...['store_unavailable', 'redis_refuses_writes', 'redis_forbids', 'seal_key_wrong'],
  'clock_skew',
];
const instances = ['a', 'b', 'c'].map((instance) => ({ instance }));
const CAUSES = ['secret_refused', 'address_not_whitelisted', 'wechat_unreachable'];
const of = (name: string, labels: Record<string, string> = {}) =>
  `wxkeeper_${name}{${Object.entries({ ...labels })
    .map(([label, value]) => `${label}="${value}"`)
    .join(',')}}`;
const ticket = (when: string) => of(`ticket_${when}_timestamp_seconds`, { appid: APPID });
const token = (when: string) =>
  of(`credential_${when}_timestamp_seconds`, { appid: APPID, kind: TOKEN });
const WAITING = of('authorizers_oldest_due_timestamp_seconds', { appid: APPID });

/** The ones whose expression is about time, by alert and severity. */
const TIMED: Readonly<Record<string, Case>> = {
  'WxkeeperTicketSilent warning': {
    given: { [ticket('received')]: '0', [ticket('expires')]: '43200' },
    fires: 1_530,
    labels: { appid: APPID },
  },
  'WxkeeperTicketSilent critical': {
    given: { [ticket('received')]: '0', [ticket('expires')]: '43200' },
    fires: 3_630,
    labels: { appid: APPID },
  },
  'WxkeeperTicketExpired critical': {
    given: { [ticket('expires')]: '600' },
    fires: 600,
    labels: { appid: APPID },
  },
  'WxkeeperCredentialDead critical': {
    given: { [token('expires')]: '600' },
    fires: 660,
    labels: { appid: APPID, kind: TOKEN },
  },
  'WxkeeperRefreshFailing critical': {
    given: { [token('expires')]: '900', [token('due')]: '0' },
    // Urgent in its last 300 s, and told two minutes later.
    fires: 750,
    labels: { appid: APPID, kind: TOKEN },
  },
  'WxkeeperAuthorizersBehind warning': {
    given: { [WAITING]: '0' },
    fires: 450,
    labels: { appid: APPID },
  },
};

/** Three replicas that report the same. */
function seriesOf(given: Case['given'], minutes: number): RuleTest['input_series'] {
  return instances.flatMap(({ instance }) =>
    Object.entries({ 'up{}': '1', ...given }).map(([series, value]) => ({
      series: series.replace(/\{(?=.)/, `{job="wxkeeper",instance="${instance}",`),
      values: `${value}+0x${minutes}`,
    })),
  );
}

/** Fires at its moment, as one alert for each of these labels; not a step before. */
function expectations(
  { alert, severity }: AlertRule,
  fires: number,
  ...alerts: readonly Readonly<Record<string, string>>[]
) {
  const expr = `ALERTS{alertname="${alert}",severity="${severity}",alertstate="firing"}`;
  const exp_samples = alerts.map((labels) => {
    const all = { alertname: alert, alertstate: 'firing', severity, job: 'wxkeeper', ...labels };
    const text = Object.entries(all).map(([label, value]) => `${label}="${value}"`);
    return { labels: `ALERTS{${text.join(',')}}`, value: 1 };
  });
  return [
    ...(fires === 0 ? [] : [{ expr, eval_time: `${fires - STEP_SECONDS}s`, exp_samples: [] }]),
    { expr, eval_time: `${fires}s`, exp_samples },
  ];
}

const reportedRules = ALERT_RULES.flatMap((rule) => {
  const code = PROBLEM_CODES.find((one) => PROBLEMS[one].alert === rule.alert);
  return code !== undefined && rule.expr.includes(`code="${code}"`) ? [{ rule, code }] : [];
});

describeWithPromtool('the alerting rules', () => {
  it('are what promtool takes for rules', async () => {
    const { ok, output } = await runPromtool(['check', 'rules', ALERTS_FILE]);
    expect(output).toContain(`SUCCESS: ${ALERT_RULES.length} rules found`);
    expect(ok).toBe(true);
  });

  it('fire for each problem the status names after its patience, once for three replicas or for each', async () => {
    expect(reportedRules.length).toBeGreaterThan(20);
    const given: Record<string, string> = {};
    const expected = reportedRules.flatMap(({ rule, code }) => {
      const { severity, forSeconds: fires } = rule;
      given[of('problem', { code, severity, appid: APPID, kind: TOKEN })] = '1';
      if (OWN.includes(code)) return expectations(rule, fires, ...instances);
      const kind = CAUSES.includes(code) ? {} : { kind: TOKEN };
      return expectations(rule, fires, { appid: APPID, ...kind });
    });
    const test = { interval: '1m', input_series: seriesOf(given, 61) };
    expect(await failuresOf([{ ...test, promql_expr_test: expected }])).toBe('');
  });

  it('fire gravely only when the status finds it grave', async () => {
    const given = Object.fromEntries(
      reportedRules.map(({ code }) => [
        of('problem', { code, severity: 'warning', appid: APPID }),
        '1',
      ]),
    );
    const graver = reportedRules.filter(
      ({ rule, code }) => rule.severity !== PROBLEMS[code].severity,
    );
    expect(graver.map(({ code }) => code)).toEqual([
      'clock_skew',
      'pushes_refused',
      'wechat_unreachable',
      'credential_refresh_failing',
      'target_failing',
    ]);
    const alerts = graver.map(({ rule }) => rule.alert).join('|');
    const expr = `ALERTS{alertname=~"${alerts}",severity="critical"}`;
    const test = { interval: '1m', input_series: seriesOf(given, 5) };
    const promql_expr_test = [{ expr, eval_time: '5m', exp_samples: [] }];
    expect(await failuresOf([{ ...test, promql_expr_test }])).toBe('');
  });

  it('stay silent about what is merely noise', async () => {
    const labels = { code: 'pushes_refused', severity: 'info', appid: APPID, kind: 'event' };
    const expr = 'ALERTS{alertname="WxkeeperPushesRefused"}';
    const test = { interval: '1m', input_series: seriesOf({ [of('problem', labels)]: '1' }, 5) };
    const promql_expr_test = [{ expr, eval_time: '5m', exp_samples: [] }];
    expect(await failuresOf([{ ...test, promql_expr_test }])).toBe('');
  });

  it('fire by the clock of Prometheus where the trouble is about time, and not a step before', async () => {
    const tests = Object.entries(TIMED).map(([name, one]) => {
      const rule = ALERT_RULES.find(({ alert, severity }) => `${alert} ${severity}` === name);
      if (rule === undefined) throw new Error(`no rule ${name}`);
      const input_series = seriesOf(one.given, Math.ceil(one.fires / 60) + 1);
      return {
        interval: '1m',
        input_series,
        promql_expr_test: expectations(rule, one.fires, one.labels),
      };
    });
    expect(await failuresOf(tests)).toBe('');
  });

  it('are all tested here', () => {
    const named = ({ alert, severity }: AlertRule) => `${alert} ${severity}`;
    const tested = [...reportedRules.map(({ rule }) => named(rule)), ...Object.keys(TIMED)];
    const own = ['WxkeeperDown critical', 'WxkeeperNotScraped warning', 'WxkeeperWatchdog none'];
    expect(new Set([...tested, ...own])).toEqual(new Set(ALERT_RULES.map(named)));
  });

  it('tell of an expiry under the name of its cause, where that is known', async () => {
    const secret = of('problem', { code: 'secret_refused', severity: 'critical', appid: APPID });
    const given = { [token('expires')]: '900', [token('due')]: '0', [secret]: '1' };
    const tests = ['800s', '1200s'].map((at) => ({
      interval: '1m',
      input_series: seriesOf(given, 30),
      promql_expr_test: [
        {
          expr: 'count by (alertname) (ALERTS{alertname!="WxkeeperWatchdog"})',
          eval_time: at,
          exp_samples: [{ labels: '{alertname="WxkeeperSecretRefused"}', value: 1 }],
        },
      ],
    }));
    expect(await failuresOf(tests)).toBe('');
  });

  it('notice when nobody can be scraped, or one cannot; and one of them always fires', async () => {
    const up = (instance: string, values: string) => ({
      series: `up{job="wxkeeper",instance="${instance}"}`,
      values,
    });
    const firing = 'ALERTS{alertstate="firing",alertname!="WxkeeperWatchdog"}';
    const sample = (alert: string, severity: string, more = '') => ({
      labels: `ALERTS{alertname="${alert}",alertstate="firing",severity="${severity}"${more}}`,
      value: 1,
    });
    const one = sample('WxkeeperNotScraped', 'warning', ',job="wxkeeper",instance="a"');
    const tests = [
      {
        interval: '1m',
        input_series: [up('a', '0x20'), up('b', '1x20')],
        promql_expr_test: [
          { expr: firing, eval_time: '570s', exp_samples: [] },
          { expr: firing, eval_time: '600s', exp_samples: [one] },
        ],
      },
      {
        interval: '1m',
        input_series: [up('a', '0x20')],
        promql_expr_test: [
          { expr: firing, eval_time: '90s', exp_samples: [] },
          { expr: firing, eval_time: '2m', exp_samples: [sample('WxkeeperDown', 'critical')] },
        ],
      },
      {
        interval: '1m',
        input_series: [],
        alert_rule_test: [
          {
            eval_time: '0s',
            alertname: 'WxkeeperWatchdog',
            exp_alerts: [
              {
                exp_labels: { severity: 'none' },
                exp_annotations: {
                  summary: 'Always firing: when this stops, alerting itself is broken',
                  summary_zh: '始终触发：一旦消失，说明告警链路本身出了问题',
                  runbook: 'docs/metrics.md#alerts',
                },
              },
            ],
          },
        ],
      },
    ];
    expect(await failuresOf(tests)).toBe('');
  });

  it('go on while one replica restarts, and name the one that is cut off from Redis', async () => {
    const of = (name: string, instance: string, more: string, values: string) => ({
      series: `wxkeeper_${name}{job="wxkeeper",instance="${instance}",${more}}`,
      values,
    });
    const received = 'ticket_received_timestamp_seconds';
    const about = `appid="${APPID}"`;
    const lacking = 'code="store_unavailable",severity="critical",appid="",kind=""';
    const input_series = [
      // Two scrapes are missing at the half hour.
      of(received, 'a', about, '0x29 stale _ 0x30'),
      of(received, 'b', about, '0x40 stale'),
      of('problem', 'b', lacking, '_x40 1x30'),
    ];
    const firing = 'ALERTS{alertstate="firing",alertname!="WxkeeperWatchdog"}';
    const expr = `max by (alertname, appid, instance) (${firing}) unless on (alertname) ALERTS{alertname="WxkeeperDown"}`;
    const silent = { labels: `{alertname="WxkeeperTicketSilent",${about}}`, value: 1 };
    const cutOff = { labels: '{alertname="WxkeeperRedisUnavailable",instance="b"}', value: 1 };
    const at = (eval_time: string, ...exp_samples: object[]) => ({ expr, eval_time, exp_samples });
    const promql_expr_test = [
      ...['25m', '26m', '30m', '31m', '40m'].map((moment, index) =>
        index === 0 ? at(moment) : at(moment, silent),
      ),
      at('44m', silent, cutOff),
    ] as RuleTest['promql_expr_test'] & object;
    expect(await failuresOf([{ interval: '1m', input_series, promql_expr_test }])).toBe('');
  });

  it('say whom it is about, in the words of the status', async () => {
    const tests = [
      {
        interval: '1m',
        input_series: seriesOf({ [token('expires')]: '0' }, 5),
        alert_rule_test: [
          {
            eval_time: '2m',
            alertname: 'WxkeeperCredentialDead',
            exp_alerts: [
              {
                exp_labels: { job: 'wxkeeper', appid: APPID, kind: TOKEN, severity: 'critical' },
                exp_annotations: {
                  summary: 'There is no live credential',
                  summary_zh: '没有可用的凭据',
                  description: `${APPID}, ${TOKEN}, see GET /status for since when, why, and what to do`,
                  runbook: 'docs/status.md#problems',
                },
              },
            ],
          },
        ],
      },
    ];
    expect(await failuresOf(tests)).toBe('');
  });
});
