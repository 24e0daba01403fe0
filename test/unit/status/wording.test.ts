import { describe, expect, it } from 'vitest';
import { REFUSAL_REASONS } from '../../../src/lib/errors.ts';
import { PUSH_URLS } from '../../../src/store/tickets/refused-pushes.ts';
import { finding, PROBLEM_CODES, PROBLEMS, rankFindings } from '../../../src/status/problems.ts';
import { explainError, ownError } from '../../../src/credentials/error-words.ts';
import { describeProblem, titleOf, verdictSentence } from '../../../src/status/wording.ts';
import { explainErrcode } from '../../../src/wechat/errcodes.ts';

const COMPONENT = 'wx0123456789abcdef';
const HAN = /\p{Script=Han}/u;

/** Whatever any rule may put into a sentence. */
const facts = {
  kind: 'access_token',
  state: 'urgent',
  failures: 2,
  minutes: 30,
  reason: 'OOM',
  commands: 'XADD',
  since: 'T1',
  refused: 'T2',
  redis: 70,
  wechat: 71,
  replica: 'r1',
  count: 3,
  path: '/callback',
  detail: '70',
  seen: 'T3',
  due: 5,
  seconds: 200,
  calls: 1000,
  allowed: 2000,
  until: 'T4',
  target: 'https://shop.example.com/',
  waiting: 4,
  answered: 'timeout',
  dead: 3,
  dropped: 2,
  missed: 'late',
  preset: 'easywechat-6',
  credential: 'access_token',
};

describe.each(Object.keys(REFUSAL_REASONS))('a push refused for %s', (reason) => {
  it.each(PUSH_URLS)('has a cause and a remedy in both languages, at the URL %s', (kind) => {
    for (const detail of ['', '-70', 'wxaaaaaaaaaaaaaaaa']) {
      if (reason === 'clock' && detail.startsWith('wx')) continue;
      const refused = { ...facts, reason, detail, appid: COMPONENT };
      const found = finding('pushes_refused', COMPONENT, { kind, facts: refused });
      const [en, zh] = [describeProblem(found, 'en'), describeProblem(found, 'zh')];
      const words = [en.message, en.advice, zh.message, zh.advice];
      expect(words.join('\n')).not.toMatch(/undefined|null|NaN|\[object/);
      expect(new Set(words).size).toBe(4);
      expect([zh.message, zh.advice].every((text) => HAN.test(text))).toBe(true);
      // What comes of it names the same remedy.
      const silent = finding('ticket_silent', COMPONENT, {
        facts: { minutes: 30, pushes: reason, detail, appid: COMPONENT },
      });
      expect(describeProblem(silent, 'en').advice).toContain(en.advice);
      expect(describeProblem(silent, 'zh').advice).toContain(zh.advice);
    }
  });
});

describe.each(PROBLEM_CODES)('%s', (code) => {
  const error = { class: 'config', message: 'a: errcode 1: the appid is wrong', advice: 'Wait.' };
  it.each(['en', 'zh'] as const)('has words in %s, with nothing left out of them', (language) => {
    // A code is stuck because of an error.
    const withoutError = code === 'authorization_code_stuck' ? [] : [{}];
    for (const more of [...withoutError, { error }]) {
      const where = code === 'pushes_refused' ? { kind: 'event' } : {};
      const found = finding(code, COMPONENT, { facts, ...where, ...more });
      const problem = describeProblem(found, language);
      const words = [problem.title, problem.message, problem.advice];
      expect(words.join('\n')).not.toMatch(/undefined|null|NaN|\[object/);
      for (const text of words) expect(text).not.toBe('');
      expect(HAN.test(problem.title)).toBe(language === 'zh');
      expect(HAN.test(problem.message)).toBe(language === 'zh');
      expect(problem.title).toBe(titleOf(code, language));
      expect(problem.title).not.toMatch(/[.。]$/);
    }
  });

  it('has a name that alerts and metrics share with nobody else', () => {
    const { alert } = PROBLEMS[code];
    expect(alert).toMatch(/^Wxkeeper[A-Z][A-Za-z]+$/);
    expect(Object.values(PROBLEMS).filter((one) => one.alert === alert)).toHaveLength(1);
  });
});

describe('a problem in words', () => {
  it('says what WeChat said, and what to do about that', () => {
    const error = {
      class: 'config',
      api: 'api_component_token',
      fault: 'errcode',
      errcode: 61004,
      message: 'api_component_token: errcode 61004: ' + explainErrcode(61004, true).meaning.en,
      advice: explainErrcode(61004, true).advice.en,
    };
    const found = finding('address_not_whitelisted', COMPONENT, {
      kind: 'component_access_token',
      facts: { state: 'due', failures: 1 },
      error,
    });
    expect(describeProblem(found, 'en')).toMatchObject({
      component: COMPONENT,
      message: `component_access_token is due after 1 failed try. ${error.message}.`,
      advice: error.advice,
    });
    expect(describeProblem(found, 'zh')).toMatchObject({
      message:
        'component_access_token 待刷新，已连续失败 1 次。api_component_token：错误码 61004，出口 IP 不在平台的白名单里。',
    });
  });

  it('that shows in several credentials says of each only what is so', () => {
    const found = rankFindings(
      ['component_access_token', 'pre_auth_code'].map((kind) =>
        finding('wechat_unreachable', COMPONENT, {
          kind,
          severity: kind === 'pre_auth_code' ? 'critical' : 'warning',
          facts: { state: kind === 'pre_auth_code' ? 'expired' : 'due', failures: 2 },
        }),
      ),
    );
    const said = (language: 'en' | 'zh') =>
      found.map((one) => describeProblem(one, language).message);
    expect(said('en')).toEqual([
      'pre_auth_code is expired after 2 failed tries; component_access_token cannot be refreshed ' +
        'for the same reason.',
    ]);
    expect(said('zh')).toEqual([
      'pre_auth_code 已过期，已连续失败 2 次；component_access_token 因同样的原因无法刷新。',
    ]);
  });

  it.each([
    ['en', [], 'All is well.'],
    ['zh', [], '一切正常。'],
    ['en', ['no_ticket'], `There is no ticket yet (${COMPONENT}).`],
    [
      'en',
      ['no_ticket', 'clock_skew'],
      `There is no ticket yet (${COMPONENT}), and 1 more problem.`,
    ],
    [
      'zh',
      ['no_ticket', 'clock_skew', 'replica_lost'],
      `还没有票据（${COMPONENT}），另有 2 个问题。`,
    ],
  ] as const)('makes one sentence of all of them: %s %j', (language, codes, sentence) => {
    const problems = codes.map((code) => describeProblem(finding(code, COMPONENT), language));
    expect(verdictSentence(problems, language)).toBe(sentence);
  });
});

describe('an error in Chinese', () => {
  const unknown = explainErrcode(123_456_789, false);
  const known = [...Array(100_000).keys(), -1, -1000, 9402202]
    .flatMap((code) => [explainErrcode(code, false), explainErrcode(code, true)])
    .filter(({ meaning }) => meaning !== unknown.meaning);

  it('is known for every errcode', () => {
    const texts = [...known, unknown].flatMap(({ meaning, advice }) => [meaning, advice]);
    expect(new Set(texts.map(({ en }) => en)).size).toBeGreaterThan(60);
    expect(texts.filter(({ zh }) => !HAN.test(zh))).toEqual([]);
    expect(texts.filter(({ en }) => HAN.test(en))).toEqual([]);
  });

  it('keeps the address that WeChat has seen, the call and the errcode', () => {
    const error = {
      class: 'config',
      api: 'token',
      fault: 'errcode',
      errcode: 40164,
      address: '203.0.113.7',
      message: 'token: errcode 40164: this address is not on the IP whitelist (203.0.113.7)',
      advice: '',
    };
    expect(explainError(error, 'zh')).toEqual({
      message: 'token：错误码 40164，出口 IP 不在白名单里（203.0.113.7）',
      advice: '在控制台把本机出口 IP 加入白名单；第三方平台的白名单要在下次全网发布后才生效。',
    });
    expect(explainError(error, 'en').message).toBe(error.message);
  });

  it.each([
    [
      { api: 'api_component_token', fault: 'unreachable' },
      'api_component_token: unreachable: no connection to WeChat',
      'api_component_token：连接不上微信',
    ],
    [
      { api: 'token', fault: 'bad_value', field: 'access_token' },
      'token: bad_value: access_token in the answer is empty or malformed',
      'token：应答里的 access_token 为空或格式不对',
    ],
    [
      { api: 'api_query_auth', fault: 'bad_value', undocumented: 'authorization_info' },
      'api_query_auth: bad_value: the answer is not what WeChat documents (authorization_info)',
      'api_query_auth：应答与微信文档不符（authorization_info）',
    ],
    [{ api: 'token', fault: 'constructor' }, 'something new', 'something new'],
    [{ fault: 'invented_later' }, 'something new', 'something new'],
    [{ fault: 'timeout' }, 'something new', 'something new'],
    [{}, 'something new', 'something new'],
  ])('%j: %s, %s', (facts, english, chinese) => {
    const error = { class: 'retry', ...facts, message: english, advice: 'Wait.' };
    expect(explainError(error, 'en').message).toBe(english);
    expect(explainError(error, 'zh').message).toBe(chinese);
  });

  it.each(['paused', 'unexpected', 'budget_spent', 'record_edited', 'codes_edited'] as const)(
    'says what is wrong with ourselves: %s',
    (fault) => {
      const error = ownError('retry', fault, 'DEL key');
      const [en, zh] = [explainError(error, 'en'), explainError(error, 'zh')];
      expect(en).toEqual({ message: error.message, advice: error.advice });
      expect(HAN.test(zh.message)).toBe(true);
      expect(HAN.test(zh.advice)).toBe(fault !== 'codes_edited');
    },
  );
});
