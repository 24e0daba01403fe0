import { describe, expect, it } from 'vitest';
import { ALERT_KINDS, type AlertKind } from '../../../src/config/formats.ts';
import { signDingtalk } from '../../../src/alerts/kinds/dingtalk.ts';
import { signFeishu } from '../../../src/alerts/kinds/feishu.ts';
import { ALERT_RULES } from '../../../src/alerts/kinds/index.ts';
import { signJson } from '../../../src/alerts/kinds/json.ts';
import { noticeOf, noticeOfReplica, readNotice } from '../../../src/alerts/notice.ts';
import { BATCH_AT_MOST } from '../../../src/alerts/delivery.ts';
import { fit, plain, textOf } from '../../../src/alerts/message.ts';
import { finding, PROBLEM_CODES, SEVERITIES } from '../../../src/status/problems.ts';
import { titleOf } from '../../../src/status/wording.ts';
import { readDocument } from '../docs/markdown.ts';

const AT = Date.UTC(2026, 10, 21, 0, 0, 0);
const SUBJECT = 'wx0123456789abcdef';
const SECRET = 'SECcanary0123456789';
const NOW = { at: AT, version: '1.2.3' };

const silent = finding('ticket_silent', SUBJECT, {
  since: AT - 25 * 60_000,
  facts: { minutes: 25 },
});
const entry = { finding: silent, since: AT - 25 * 60_000, seenAt: AT, reminders: 0 };
const firing = noticeOf({ status: 'firing', entry, previousSeverity: undefined }, AT, 'host-1-ab');
const ended = { ...entry, goneAt: AT + 60_000 };
const resolved = noticeOf(
  { status: 'resolved', entry: ended, previousSeverity: undefined },
  AT + 120_000,
  'host-1-ab',
);

function request(
  kind: AlertKind,
  notices = [firing],
  language: 'zh' | 'en' = 'zh',
  secret = SECRET,
) {
  const url = `https://robot.example.com/${kind}?key=k`;
  const {
    url: target,
    payload,
    headers,
  } = ALERT_RULES[kind].request({ url, kind, language, secret }, notices, NOW);
  return {
    target,
    body: JSON.parse(payload.toString()) as Record<string, unknown>,
    headers,
    payload,
  };
}

describe('what each kind of webhook is sent', () => {
  it('json: the documented fields', () => {
    const { body, target, headers, payload } = request('json', [firing], 'en');
    expect(body).toEqual({
      id: firing.id,
      status: 'firing',
      time: '2026-11-21T00:00:00.000Z',
      alert: 'WxkeeperTicketSilent',
      code: 'ticket_silent',
      severity: 'warning',
      previous_severity: null,
      component: SUBJECT,
      kind: null,
      since: '2026-11-20T23:35:00.000Z',
      ends: null,
      lasted_seconds: 1_500,
      title: 'No ticket arrives',
      message: 'No ticket for 25 minutes; the stored one serves until it is 12 h old.',
      advice: expect.stringContaining('console') as string,
      replica: 'host-1-ab',
      version: '1.2.3',
    });
    expect(target.href).toBe('https://robot.example.com/json?key=k');
    expect(headers).toEqual({ 'x-wxkeeper-signature': signJson(SECRET, AT, payload) });
    expect(request('json', [resolved], 'en').body).toMatchObject({
      status: 'resolved',
      ends: '2026-11-21T00:01:00.000Z',
      lasted_seconds: 1_560,
    });
    const begun = noticeOfReplica('started', AT, 'host-1-ab');
    expect(request('json', [begun], 'zh').body).toMatchObject({
      status: 'started',
      alert: 'WxkeeperStarted',
      code: null,
      severity: 'info',
      title: 'wxkeeper 已启动',
      component: null,
    });
  });

  it('wecom: Markdown in colour', () => {
    const { msgtype, markdown } = request('wecom').body;
    expect(msgtype).toBe('markdown');
    const lines = (markdown as { content: string }).content.split('\n');
    expect(lines).toEqual([
      '**<font color="warning">［警告］ 票据推送中断</font>**',
      `> 对象：${SUBJECT}`,
      '> 已有 25 分钟没有收到票据；现存的一张可用到满 12 小时。',
      expect.stringMatching(/^> 处理：/),
      '> 开始于 2026-11-21 07:35:00（北京时间）',
      '> 已持续 25 分钟',
      '> WxkeeperTicketSilent · wxkeeper 1.2.3 · host-1-ab',
    ]);
    const { content } = request('wecom', [resolved]).body.markdown as { content: string };
    expect(content).toContain('<font color="info">［已恢复］ 票据推送中断</font>');
    expect(content).toContain('共持续 26 分钟');
  });

  it('dingtalk: Markdown, its signature in the address', () => {
    const { body, target } = request('dingtalk', [firing], 'en');
    const { title, text } = body.markdown as { title: string; text: string };
    expect(body.msgtype).toBe('markdown');
    expect(title).toBe('［warning］ No ticket arrives');
    expect(text.split('\n\n')[0]).toBe('#### ［warning］ No ticket arrives');
    expect(target.searchParams.get('key')).toBe('k');
    expect(target.searchParams.get('timestamp')).toBe(String(AT));
    expect(target.searchParams.get('sign')).toBe(signDingtalk(SECRET, AT));
  });

  it('feishu: a card of plain text, its signature in the body', () => {
    const { body } = request('feishu');
    expect(body).toMatchObject({
      timestamp: String(AT / 1000),
      sign: signFeishu(SECRET, String(AT / 1000)),
      msg_type: 'interactive',
      card: { header: { template: 'orange', title: { content: '[警告] 票据推送中断' } } },
    });
    expect(JSON.stringify(body)).not.toContain('lark_md');
  });

  it('serverchan: a title of 32 letters at most, the whole of it in the text', () => {
    const restored = {
      ...firing,
      problem: {
        finding: finding('address_not_whitelisted', SUBJECT, {
          facts: { state: 'due', failures: 1 },
        }),
      },
    };
    const { title, desp } = request('serverchan', [restored], 'en').body as Record<string, string>;
    expect(Array.from(title ?? '')).toHaveLength(32);
    expect(desp).toContain("This server's address is not on WeChat's IP whitelist");
  });

  // Computed with openssl dgst -sha256 -hmac.
  it('signatures are those of the known examples', () => {
    expect(signDingtalk('this is secret', 1_600_000_000_000)).toBe(
      'MYEtKC4/NfMR1l4prX++ai6oOf70X1xOf6UlnyUhJH4=',
    );
    expect(signFeishu('demo', '1599360473')).toBe('l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=');
    expect(signJson('whsec', AT, Buffer.from('{}'))).toBe(
      't=1795219200,v1=6d7e3fe8210227f0e08da07b266a135ccb76aed81dcb1655db63397ad87279db',
    );
  });
});

describe('docs/alerts.md', () => {
  it.each(['docs/alerts.md', 'docs/alerts.zh-CN.md'])('%s shows a message as it is', (path) => {
    const blocks = readDocument(path).codeBlocks.filter(({ language }) => language === 'json');
    const shown = blocks.map(({ code }) => JSON.parse(code) as Record<string, unknown>)[1];
    const { body } = request('json', [firing], 'en');
    expect(shown).toEqual({ ...body, id: shown?.id, version: shown?.version });
    expect(Object.keys(shown ?? {})).toEqual(Object.keys(body));
  });
});

describe('every message', () => {
  const longest = 'https://very.example.com/'.padEnd(3_000, '长');
  it.each(ALERT_KINDS.filter((kind) => kind !== 'json'))('%s: fits, whatever it says', (kind) => {
    const notices = PROBLEM_CODES.flatMap((code) =>
      SEVERITIES.map((severity) => {
        const facts = { reason: longest, remedy: longest, state: 'due', failures: 3 };
        const said = { severity, facts, kind: longest, since: AT };
        const one = { finding: finding(code, SUBJECT, said), since: AT, seenAt: AT, reminders: 0 };
        return noticeOf({ status: 'firing', entry: one, previousSeverity: undefined }, AT, longest);
      }),
    );
    for (const batch of [...notices.map((one) => [one]), notices.slice(0, BATCH_AT_MOST)]) {
      const { body, payload } = request(kind, batch);
      const { content } = (body.markdown ?? {}) as { content?: string };
      expect(Buffer.byteLength(content ?? '')).toBeLessThanOrEqual(4_096);
      expect(payload.length).toBeLessThan(20_000);
    }
  });

  it.each(['zh', 'en'] as const)('of many that come as one in %s, none is cut off', (language) => {
    const kind = 'access_token, jsapi_ticket, wx_card_ticket';
    for (const code of PROBLEM_CODES) {
      const many = Array.from({ length: BATCH_AT_MOST }, (_, index) => {
        const subject = `wx${String(index).padStart(16, '0')}`;
        const one = {
          finding: finding(code, subject, { kind }),
          since: AT,
          seenAt: AT,
          reminders: 0,
        };
        const grave = { ...one, finding: { ...one.finding, severity: 'critical' as const } };
        const status = 'reminder' as const;
        return noticeOf({ status, entry: grave, previousSeverity: undefined }, AT, 'host-1-ab');
      });
      for (const robot of ALERT_KINDS.filter((one) => one !== 'json')) {
        const text = request(robot, many, language).payload.toString();
        for (const { problem } of many) {
          expect(text).toContain(`${problem?.finding.subject}, ${kind}`);
        }
        expect(text).toContain('host-1-ab');
      }
    }
  });

  it('of two replicas that find the same at the same moment are two', () => {
    const news = { status: 'firing', entry, previousSeverity: undefined } as const;
    expect(noticeOf(news, AT, 'one').id).not.toBe(noticeOf(news, AT, 'two').id);
    expect(noticeOf(news, AT, 'one').id).toBe(noticeOf(news, AT, 'one').id);
  });

  it.each(['zh', 'en'] as const)('names the problem in %s as everything else does', (language) => {
    for (const code of PROBLEM_CODES) {
      const one = { finding: finding(code, SUBJECT), since: AT, seenAt: AT, reminders: 0 };
      const notice = noticeOf(
        { status: 'reminder', entry: one, previousSeverity: undefined },
        AT,
        'r',
      );
      const { heading, lines } = textOf(notice, language, '1');
      expect(heading).toContain(titleOf(code, language));
      expect(lines.join()).toContain('wxkeeper');
    }
  });

  it('says when it has become graver', () => {
    const grave = { ...entry, finding: { ...silent, severity: 'critical' as const } };
    const notice = noticeOf(
      { status: 'firing', entry: grave, previousSeverity: 'warning' },
      AT,
      'r',
    );
    expect(textOf(notice, 'zh', '1').heading).toBe('[升级为严重] 票据推送中断');
    expect(textOf(notice, 'en', '1').heading).toBe('[now critical] No ticket arrives');
    expect(request('json', [notice], 'en').body).toMatchObject({ previous_severity: 'warning' });
  });

  it('is the same after a stay in Redis', () => {
    for (const notice of [firing, resolved, noticeOfReplica('stopped', AT, 'r')]) {
      expect(readNotice(JSON.stringify(notice))).toEqual(JSON.parse(JSON.stringify(notice)));
    }
    for (const odd of ['', '{', '7', 'null', '{"id":"x"}', '{"status":"firing"}']) {
      expect(readNotice(odd)).toBeUndefined();
    }
  });

  it('holds no markup of strangers, and is cut between letters', () => {
    expect(plain('<@all> [x](http://x) **b** `c`\n# d')).toBe(
      '＜＠all＞ ［x］(http://x) ＊＊b＊＊ ｀c｀ # d',
    );
    expect(fit(['票据推送', '中断'], 20, 2)).toEqual(['票据推送', '…'].slice(0, 1));
    expect(fit(['票据推送中断'], 12, 2)).toEqual(['票据…']);
    expect(fit(['a'], 0, 2)).toEqual([]);
  });
});

describe('answers', () => {
  const faultOf = (kind: AlertKind, status: number, body: string) =>
    ALERT_RULES[kind].faultIn({ status, body, date: undefined });
  it.each([
    ['wecom', 'errcode'],
    ['dingtalk', 'errcode'],
    ['feishu', 'code'],
    ['serverchan', 'code'],
  ] as const)('of %s are judged by %s, not by the status alone', (kind, field) => {
    expect(faultOf(kind, 200, `{"${field}":0,"StatusCode":0}`)).toBeUndefined();
    expect(faultOf(kind, 200, `{"${field}":45009}`)).toBe(`${field}_45009`);
    expect(faultOf(kind, 200, '{}')).toBe(`no_${field}`);
    expect(faultOf(kind, 200, 'null')).toBe(`no_${field}`);
    expect(faultOf(kind, 200, '<html>')).toBe('no_json');
    expect(faultOf(kind, 502, `{"${field}":0}`)).toBe('http_502');
  });
  it('of a program are judged by the status', () => {
    expect([200, 202, 204].map((status) => faultOf('json', status, ''))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([199, 302, 404, 500].map((status) => faultOf('json', status, 'ok'))).toEqual([
      'http_199',
      'http_302',
      'http_404',
      'http_500',
    ]);
  });
});
