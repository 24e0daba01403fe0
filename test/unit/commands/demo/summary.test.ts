import { describe, expect, it } from 'vitest';
import { judge, summaryTable, type Facts } from '../../../../src/sandbox/demo/summary.ts';
import { makeFacts, makeObservations, makeStatus, NOW } from './facts.ts';

const failures = (fields: Partial<Facts>) =>
  judge(makeFacts(fields))
    .filter(({ ok }) => !ok)
    .map(({ text }) => text);

const short = { count: 2 };

describe('the judgement of a run', () => {
  it('is good when all went well', () => {
    expect(failures({})).toEqual([]);
  });

  it.each<[string, Partial<Facts>, RegExp]>([
    [
      'too few tickets came',
      { seen: makeObservations({ ticketsReceived: 2 }) },
      /at least 3 tickets received: 2/,
    ],
    [
      'a push was refused',
      { pushes: { sent: 31, accepted: 30, times: [] } },
      /every push answered success: 30 of 31/,
    ],
    [
      'nothing was pushed at all',
      { pushes: { sent: 0, accepted: 0, times: [] } },
      /every push answered success: 0 of 0/,
    ],
    [
      'WeChat issued too few tokens',
      { mints: makeFacts().mints.filter(({ kind, at }) => kind === 'pre_auth_code' || at === NOW) },
      /component_access_token refreshed more than once: .* 1 minted/,
    ],
    [
      'the history knows of too few tokens',
      { status: makeStatus({ token: { history: short } }) },
      /component_access_token refreshed more than once: 2 values/,
    ],
    [
      'the history knows of too few codes',
      { status: makeStatus({ code: { history: short } }) },
      /pre_auth_code refreshed more than once: 2 values/,
    ],
    [
      'a dead token was seen',
      {
        seen: makeObservations({
          bad: [{ at: NOW, kind: 'component_access_token', what: 'dead' }],
        }),
      },
      /not at 1 of them, first component_access_token dead at 12:00:00 UTC/,
    ],
    ['nobody looked', { seen: makeObservations({ looks: 0 }) }, /every one of 0 looks/],
    [
      'HTTP brought another token',
      { seen: makeObservations({ httpEqual: 58, httpOther: 1 }) },
      /same as in Redis: 58 of 59/,
    ],
    [
      'nothing was read over HTTP',
      { seen: makeObservations({ httpReads: 0, httpEqual: 0 }) },
      /same as in Redis: 0 of 0/,
    ],
    [
      'the status complains',
      {
        status: makeStatus({ problem: 'It hurts.' }),
      },
      /status ok at the end: It hurts\./,
    ],
    [
      'the service logged an error',
      { log: { errors: 2, warnings: 0, lastComplaint: 'ouch', tail: [] } },
      /no errors in the service's log: 2, such as "ouch"/,
    ],
    [
      'the service had to be killed',
      { exit: { code: null, signal: 'SIGKILL' } },
      /ended in order: by SIGKILL/,
    ],
    ['it ended with an error', { exit: { code: 1, signal: null } }, /ended in order: exit code 1/],
  ])('is bad when %s', (_what, fields, text) => {
    expect(failures(fields)).toEqual([expect.stringMatching(text)]);
  });

  it('is bad, without stumbling, when the status did not answer', () => {
    const texts = failures({ status: undefined });
    expect(texts).toHaveLength(3);
    expect(texts.at(-1)).toContain('no answer');
  });

  it('asks less of a short run', () => {
    const mints = makeFacts().mints.filter(({ at }) => at === NOW);
    const status = makeStatus({
      token: { history: { count: 1 } },
      code: { history: { count: 3 } },
    });
    const seen = makeObservations({ ticketsReceived: 3 });
    expect(failures({ elapsedSeconds: 20, seen, status, mints })).toEqual([
      expect.stringContaining('pre_auth_code refreshed more than once'),
    ]);
  });
});

describe('the summary', () => {
  it('shows counts, intervals and what they mean at the pace of WeChat', () => {
    const text = summaryTable(makeFacts()).join('\n');
    expect(text).toContain('Summary of 60 s, every time divided by 300');
    expect(text).toMatch(/tickets received +31 +2\.5 s +3\.0 s +12\.5 min/);
    expect(text).toMatch(/component_access_token minted +3 +20\.0 s +20\.0 s +100 min/);
    expect(text).toMatch(/in Redis +yes \(59 of 59 reads\)/);
    expect(text).toMatch(/dead or missing credentials seen +0 in 590 looks/);
    expect(text).toMatch(/errors logged by the service +0/);
  });

  it('has dashes where there is nothing to divide', () => {
    const text = summaryTable(makeFacts({ mints: [] })).join('\n');
    expect(text).toMatch(/pre_auth_code minted +0 +- +- +-/);
    expect(text).not.toMatch(/NaN|Infinity|undefined/);
  });
});
