import type { Language } from '../lib/language.ts';
import type { Severity } from '../status/problems.ts';
import { beijingTime, duration, iso } from '../lib/time-format.ts';
import { describeProblem } from '../status/wording.ts';
import type { Notice } from './notice.ts';
import { wording, type AlertWording } from './wording.ts';

/** Messages for people: a heading and lines, which each kind of robot lays out in its own way. */
export interface NoticeText {
  heading: string;
  lines: string[];
  tone: Tone;
}

/** How grave it is, or that it is over. */
export type Tone = Severity | 'resolved';

export function textOf(notice: Notice, language: Language, version: string): NoticeText {
  const words = wording[language];
  const from = words.from(notice.replica, version);
  if (notice.problem === undefined) {
    const heading = notice.status === 'started' ? words.started : words.stopped;
    return { heading, lines: [from], tone: 'info' };
  }
  const { finding, ends } = notice.problem;
  const { title, message, advice, alert, component } = describeProblem(finding, language);
  const { since } = finding;
  const over = ends !== undefined;
  const lasted = since === null ? undefined : duration((ends ?? notice.at) - since, language);
  const began = since === null ? [] : [words.since(timeOf(since, language))];
  return {
    heading: `[${prefix(notice, words)}] ${title}`,
    lines: [
      ...(component === null ? [] : [words.component(component)]),
      ...(over ? [] : [message, words.advice(advice)]),
      ...(lasted === undefined ? began : [...began, over ? words.over(lasted) : words.for(lasted)]),
      `${alert} · ${from}`,
    ],
    tone: over ? 'resolved' : finding.severity,
  };
}

/** Several messages as one: a line for each. */
export function textOfAll(
  notices: readonly Notice[],
  language: Language,
  version: string,
): NoticeText {
  const [only, ...others] = notices;
  if (only !== undefined && others.length === 0) return textOf(only, language, version);
  const words = wording[language];
  const texts = notices.map((one) => textOf(one, language, version));
  const tones: Tone[] = ['critical', 'warning', 'info', 'resolved'];
  return {
    heading: words.several(notices.length),
    lines: [
      ...texts.map(({ heading }, index) => {
        const { subject = null, kind = null } = notices[index]?.problem?.finding ?? {};
        const whose = [subject, kind].filter((one) => one !== null).join(', ');
        return whose === '' ? heading : words.ofSubject(heading, whose);
      }),
      words.from(only?.replica ?? '', version),
    ],
    tone: tones.find((tone) => texts.some((one) => one.tone === tone)) ?? 'info',
  };
}

/** For robots that read Markdown and mentions: what WeChat or a host name says stays text. */
export function plain(text: string): string {
  const harmless: Readonly<Record<string, string>> = {
    '<': '＜',
    '>': '＞',
    '[': '［',
    ']': '］',
    '*': '＊',
    '`': '｀',
    '@': '＠',
    '\r': ' ',
    '\n': ' ',
  };
  return text.replace(/[<>[\]*`@\r\n]/g, (one) => harmless[one] ?? one);
}

/** Takes what fits of the lines, whole ones but for the first; each costs `perLine` bytes more. */
export function fit(lines: readonly string[], maxBytes: number, perLine: number): string[] {
  const fitting: string[] = [];
  let left = maxBytes;
  for (const line of lines) {
    const whole = Buffer.byteLength(line) + perLine <= left;
    const taken = whole ? line : cut(line, left - perLine);
    if (taken !== '') fitting.push(taken);
    left -= Buffer.byteLength(taken) + perLine;
    if (!whole) break;
  }
  return fitting;
}

function cut(text: string, maxBytes: number): string {
  let taken = '';
  let left = maxBytes - Buffer.byteLength('…');
  for (const letter of text) {
    left -= Buffer.byteLength(letter);
    if (left < 0) break;
    taken += letter;
  }
  return taken === '' ? '' : `${taken}…`;
}

function prefix({ status, problem }: Notice, words: AlertWording): string {
  if (problem === undefined || status === 'resolved') return words.resolved;
  const severity = words.severities[problem.finding.severity];
  if (status === 'reminder') return words.still(severity);
  return problem.previousSeverity === undefined ? severity : words.now(severity);
}

function timeOf(at: number, language: Language): string {
  return language === 'zh' ? `${beijingTime(at).join(' ')}（北京时间）` : iso(at);
}
