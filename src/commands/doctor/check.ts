import type { Text } from '../../lib/language.ts';
import type { Finding, ProblemCode } from '../../status/problems.ts';
import { describeProblem, titleOf } from '../../status/wording.ts';

/** One line of the doctor's report. */
export interface Check {
  group: Group;
  /** What was looked at: a setting, a host, an appid. */
  name: Text;
  /** The appid it is about; null when it is about none. */
  subject: string | null;
  state: CheckState;
  /** As the status calls the same trouble; null when it does not know it. */
  code: ProblemCode | null;
  seen: Text;
  /** What a person can do; null when there is nothing to do. */
  advice: Text | null;
}

export type CheckState = 'ok' | 'warn' | 'failed' | 'skipped';

/** In the order in which they are told: what stands first may be the cause of what comes later. */
export const GROUPS = {
  settings: both('Settings', '配置'),
  clock: both('Clock', '时钟'),
  redis: both('Redis', 'Redis'),
  outgoing: both('Outgoing calls', '出站调用'),
  wechat: both('WeChat', '微信'),
  whitelist: both('Whitelist', 'IP 白名单'),
  tickets: both('Tickets', 'Ticket'),
  callback: both('Callback', '回调地址'),
  deliveries: both('Deliveries', '转发'),
  status: both('Status', '状态'),
} as const;
export type Group = keyof typeof GROUPS;

/** The same in both languages. */
export function both(en: string, zh = en): Text {
  return { en, zh };
}

/** The line about the processes that run. */
export const REPLICAS = both('replicas', '副本');

type Name = Text | string;

const make = (group: Group, name: Name, state: CheckState, seen: Text): Check => ({
  group,
  name: typeof name === 'string' ? both(name) : name,
  subject: null,
  state,
  code: null,
  seen,
  advice: null,
});

export function ok(group: Group, name: Name, seen: Text): Check {
  return make(group, name, 'ok', seen);
}

/** @param why it could not be looked at */
export function skipped(group: Group, name: Name, why: Text): Check {
  return make(group, name, 'skipped', why);
}

interface Trouble {
  seen: Text;
  advice: Text;
  code?: ProblemCode;
  /** The appid it is about. */
  subject?: string;
}

export function warn(group: Group, name: Name, trouble: Trouble): Check {
  return troubled(group, name, 'warn', trouble);
}

export function failed(group: Group, name: Name, trouble: Trouble): Check {
  return troubled(group, name, 'failed', trouble);
}

function troubled(group: Group, name: Name, state: CheckState, trouble: Trouble): Check {
  const { seen, advice, code, subject = null } = trouble;
  const check = { ...make(group, name, state, seen), subject, advice };
  return code === undefined ? check : { ...check, code, seen: titled(code, seen) };
}

/** What a rule of the status has found. @param state as grave as the status takes it, unless given */
export function fromFinding(
  group: Group,
  name: Name,
  finding: Finding,
  state: CheckState = finding.severity === 'critical' ? 'failed' : 'warn',
): Check {
  const { code, subject } = finding;
  const [en, zh] = [describeProblem(finding, 'en'), describeProblem(finding, 'zh')];
  return {
    ...make(group, name, state, titled(code, both(en.message, zh.message))),
    subject,
    code,
    advice: both(en.advice, zh.advice),
  };
}

/** The sentence that the dashboard and the alerts begin with, too. */
function titled(code: ProblemCode, seen: Text): Text {
  return both(`${titleOf(code, 'en')}: ${seen.en}`, `${titleOf(code, 'zh')}：${seen.zh}`);
}
