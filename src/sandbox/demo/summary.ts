import type { MintRecord } from '../wechat/ledger.ts';
import type { CredentialKindName } from '../../store/redis/keys.ts';
import { KINDS, type Observations, type SeenStatus } from './observer.ts';
import { expectations, type Scale } from './scale.ts';
import { describeExit, type Exit, type ServiceLog } from './service.ts';

/** What a run has shown: a table for people, and checks that decide the exit code. */

export interface Facts {
  /** How long it really ran. */
  elapsedSeconds: number;
  scale: Scale;
  seen: Readonly<Observations>;
  /** The status at the very end; undefined when there was no answer. */
  status: SeenStatus | undefined;
  log: Readonly<ServiceLog>;
  pushes: Pushes;
  /** By the pretend WeChat's own ledger, when the status was asked for the last time. */
  mints: readonly Pick<MintRecord, 'kind' | 'at'>[];
  exit: Exit;
}

/** Pushes of which the fate is known. */
export interface Pushes {
  sent: number;
  /** Answered `success`. */
  accepted: number;
  /** When each of these was sent, epoch ms. */
  times: number[];
}

export interface Check {
  ok: boolean;
  text: string;
}

const NAME_WIDTH = 30;
const CELL_WIDTH = 15;
const FACT_WIDTH = 43;

export function summaryTable(facts: Facts): string[] {
  const { seen, pushes, log, elapsedSeconds } = facts;
  const { divisor } = facts.scale;
  const rows = [
    row('', ['count', 'mean interval', 'longest', `mean x ${divisor}`]),
    row('tickets received', [String(seen.ticketsReceived), ...spacing(pushes.times, divisor)]),
    ...KINDS.map((kind) => {
      const times = mintTimes(facts, kind);
      return row(`${kind} minted`, [String(times.length), ...spacing(times, divisor)]);
    }),
  ];
  const equal = seen.httpReads > 0 && seen.httpEqual === seen.httpReads;
  return [
    `Summary of ${Math.round(elapsedSeconds)} s, every time divided by ${divisor}`,
    '',
    ...rows,
    '',
    fact('pushes answered success', `${pushes.accepted} of ${pushes.sent}`),
    fact(
      'read over HTTP equals the value in Redis',
      `${equal ? 'yes' : 'no'} (${seen.httpEqual} of ${seen.httpReads} reads)`,
    ),
    fact('dead or missing credentials seen', `${seen.bad.length} in ${seen.looks} looks at Redis`),
    fact('errors logged by the service', String(log.errors)),
  ];
}

/** Everything that a run of this length must have shown. */
export function judge(facts: Facts): Check[] {
  const { scale, seen, status, pushes, log, exit } = facts;
  const least = expectations(scale, facts.elapsedSeconds);
  const problem = status?.problems[0]?.message;
  return [
    {
      ok: seen.ticketsReceived >= least.tickets,
      text: `at least ${least.tickets} tickets received: ${seen.ticketsReceived}`,
    },
    {
      ok: pushes.sent > 0 && pushes.accepted === pushes.sent,
      text: `every push answered success: ${pushes.accepted} of ${pushes.sent}`,
    },
    mintCheck(facts, 'component_access_token', least.tokenMints),
    mintCheck(facts, 'pre_auth_code', least.codeMints),
    {
      ok: seen.looks > 0 && seen.bad.length === 0,
      text: `a live credential at every one of ${seen.looks} looks at Redis${describeBad(seen)}`,
    },
    {
      ok: seen.httpEqual > 0 && seen.httpOther === 0,
      text: `component_access_token over HTTP the same as in Redis: ${seen.httpEqual} of ${seen.httpReads} reads`,
    },
    {
      ok: status?.verdict === 'ok',
      text: `status ok at the end${status?.verdict === 'ok' ? '' : `: ${problem ?? 'no answer'}`}`,
    },
    {
      ok: log.errors === 0,
      text: `no errors in the service's log: ${log.errors}${log.errors > 0 ? `, such as "${log.lastComplaint ?? ''}"` : ''}`,
    },
    { ok: exit.code === 0, text: `the service ended in order: ${describeExit(exit)}` },
  ];
}

/** WeChat's ledger and the service's own history must both know of them. */
function mintCheck(facts: Facts, kind: CredentialKindName, least: number): Check {
  const count = mintTimes(facts, kind).length;
  const recorded =
    facts.status?.components[0]?.credentials.find((one) => one.kind === kind)?.history.count ?? 0;
  const wanted = ['obtained', 'refreshed', 'refreshed more than once'][least - 1] ?? 'refreshed';
  return {
    ok: count >= least && recorded >= least,
    text: `${kind} ${wanted}: ${recorded} values in its history, ${count} minted by WeChat`,
  };
}

function mintTimes({ mints }: Facts, kind: CredentialKindName): number[] {
  return mints.filter((mint) => mint.kind === kind).map((mint) => mint.at);
}

/** Mean and longest distance, and the mean as it would be at WeChat's own pace. */
function spacing(times: readonly number[], divisor: number): string[] {
  const gaps = times.slice(1).map((at, index) => (at - (times[index] ?? at)) / 1000);
  if (gaps.length === 0) return ['-', '-', '-'];
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const minutes = (mean * divisor) / 60;
  return [
    `${mean.toFixed(1)} s`,
    `${Math.max(...gaps).toFixed(1)} s`,
    `${minutes.toFixed(minutes < 100 ? 1 : 0)} min`,
  ];
}

function describeBad({ bad }: Readonly<Observations>): string {
  const [first] = bad;
  if (first === undefined) return '';
  const at = new Date(first.at).toISOString().slice(11, 19);
  return `; not at ${bad.length} of them, first ${first.kind} ${first.what} at ${at} UTC`;
}

function row(name: string, cells: readonly string[]): string {
  const padded = cells.map((cell) => cell.padStart(CELL_WIDTH));
  return `  ${name.padEnd(NAME_WIDTH)}${padded.join('')}`.trimEnd();
}

function fact(name: string, value: string): string {
  return `  ${name.padEnd(FACT_WIDTH)}${value}`;
}
