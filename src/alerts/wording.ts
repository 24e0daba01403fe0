import type { Language } from '../lib/language.ts';
import type { Severity } from '../status/problems.ts';

/** What stands around the words of a problem in a message. The word wxkeeper is in each of them. */
export interface AlertWording {
  severities: Readonly<Record<Severity, string>>;
  still: (severity: string) => string;
  now: (severity: string) => string;
  resolved: string;
  started: string;
  stopped: string;
  several: (count: number) => string;
  component: (appid: string) => string;
  ofSubject: (heading: string, whose: string) => string;
  advice: (advice: string) => string;
  since: (time: string) => string;
  for: (duration: string) => string;
  over: (duration: string) => string;
  from: (replica: string, version: string) => string;
}

const en: AlertWording = {
  severities: { critical: 'critical', warning: 'warning', info: 'info' },
  still: (severity) => `still ${severity}`,
  now: (severity) => `now ${severity}`,
  resolved: 'resolved',
  started: 'wxkeeper has started',
  stopped: 'wxkeeper stops',
  several: (count) => `wxkeeper: ${count} messages`,
  component: (appid) => `About ${appid}`,
  ofSubject: (heading, whose) => `${heading} (${whose})`,
  advice: (advice) => `To do: ${advice}`,
  since: (time) => `Since ${time}`,
  for: (duration) => `For ${duration} so far`,
  over: (duration) => `It lasted ${duration}`,
  from: (replica, version) => `wxkeeper ${version} · ${replica}`,
};

const zh: AlertWording = {
  severities: { critical: '严重', warning: '警告', info: '提示' },
  still: (severity) => `仍未恢复·${severity}`,
  now: (severity) => `升级为${severity}`,
  resolved: '已恢复',
  started: 'wxkeeper 已启动',
  stopped: 'wxkeeper 正在停止',
  several: (count) => `wxkeeper：${count} 条消息`,
  component: (appid) => `对象：${appid}`,
  ofSubject: (heading, whose) => `${heading}（${whose}）`,
  advice: (advice) => `处理：${advice}`,
  since: (time) => `开始于 ${time}`,
  for: (duration) => `已持续 ${duration}`,
  over: (duration) => `共持续 ${duration}`,
  from: (replica, version) => `wxkeeper ${version} · ${replica}`,
};

export const wording: Readonly<Record<Language, AlertWording>> = { en, zh };
