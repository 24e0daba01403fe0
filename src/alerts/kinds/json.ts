import { createHmac } from 'node:crypto';
import type { Language } from '../../lib/language.ts';
import { PROBLEMS } from '../../status/problems.ts';
import { iso, isoOrNull, seconds } from '../../lib/time-format.ts';
import { describeProblem } from '../../status/wording.ts';
import type { Notice } from '../notice.ts';
import { textOf } from '../message.ts';
import { inJson, type AlertKindRule } from './kind.ts';

/** Any program of one's own: one request for each message, and every answer from 200 to 299 is good. */
export const json: AlertKindRule = {
  batches: false,
  request({ url, secret, language }, [notice], { at, version }) {
    const payload = inJson(notice === undefined ? null : alertPayload(notice, language, version));
    const signature = secret === undefined ? undefined : signJson(secret, at, payload);
    return {
      url: new URL(url),
      payload,
      ...(signature === undefined ? {} : { headers: { 'x-wxkeeper-signature': signature } }),
    };
  },
  faultIn: ({ status }) => (status < 200 || status > 299 ? `http_${status}` : undefined),
};

/**
 * `t=` Unix seconds and `v1=` HMAC-SHA256 (hex) of these seconds, a dot and the body.
 * @param at epoch ms
 */
export function signJson(secret: string, at: number, body: Buffer): string {
  const t = Math.floor(at / 1000);
  const mac = createHmac('sha256', secret).update(`${t}.`).update(body).digest('hex');
  return `t=${t},v1=${mac}`;
}

/** The documented body: docs/alerts.md. */
export function alertPayload(notice: Notice, language: Language, version: string) {
  const { id, status, at, replica, problem } = notice;
  const own = { id, status, time: iso(at) };
  if (problem === undefined) {
    return {
      ...own,
      alert: status === 'started' ? 'WxkeeperStarted' : 'WxkeeperStopped',
      code: null,
      severity: 'info',
      previous_severity: null,
      component: null,
      kind: null,
      since: null,
      ends: null,
      lasted_seconds: null,
      title: textOf(notice, language, version).heading,
      message: null,
      advice: null,
      replica,
      version,
    };
  }
  const { finding, previousSeverity = null, ends } = problem;
  const { code, severity, component, kind, since, ...words } = describeProblem(finding, language);
  const lasted = finding.since === null ? null : (ends ?? at) - finding.since;
  return {
    ...own,
    alert: PROBLEMS[code].alert,
    code,
    severity,
    previous_severity: previousSeverity,
    component,
    kind,
    since,
    ends: isoOrNull(ends),
    lasted_seconds: lasted === null ? null : seconds(lasted),
    title: words.title,
    message: words.message,
    advice: words.advice,
    replica,
    version,
  };
}
