import { describe, expect, it } from 'vitest';
import { createScreen } from '../../../../src/sandbox/demo/screen.ts';
import { block, clock, summaryLine, type Scene } from '../../../../src/sandbox/demo/view.ts';
import { makeFacts, makeObservations, makeStatus, NOW } from './facts.ts';

function makeScene(fields: Partial<Scene> = {}): Scene {
  const { log, pushes } = makeFacts();
  return {
    log,
    pushes,
    now: NOW,
    elapsedMs: 61_500,
    seconds: undefined,
    seen: makeObservations(),
    happenings: ['00:40  something'],
    ...fields,
  };
}

const nothingYet = makeObservations({
  status: undefined,
  ticketsReceived: 0,
  looks: 0,
  httpReads: 0,
  httpEqual: 0,
});

describe('the live view', () => {
  it('shows state, time left, next look and number of refreshes of each credential', () => {
    const text = block(makeScene()).join('\n');
    expect(text).toContain('01:01  status: ok    (Ctrl-C stops everything)');
    expect(text).toMatch(
      /component_access_token +fresh +\[#########\.\.\.\] +18 of 24 s +in 16 s +2 times/,
    );
    expect(text).toContain('1 s old; 31 received, all answered success');
    expect(text).toContain('00:40  something');
    for (const line of block(makeScene())) expect(line.length).toBeLessThan(80);
  });

  it('counts down to the summary', () => {
    expect(block(makeScene({ seconds: 90 }))[0]).toContain('summary in 29 s');
  });

  it('is calm about what is not there yet', () => {
    const first = makeStatus({
      token: { state: 'missing', obtained_at: null, expires_at: null, next_refresh_at: null },
    });
    const scenes = [{ seen: nothingYet }, { seen: makeObservations({ status: first }) }];
    for (const scene of scenes) {
      const text = [...block(makeScene(scene)), summaryLine(makeScene(scene))].join('\n');
      expect(text).not.toMatch(/NaN|undefined|null/);
    }
  });

  it('says what is wrong', () => {
    const text = block(
      makeScene({
        pushes: { sent: 3, accepted: 1 },
        log: { errors: 1, warnings: 2, lastComplaint: 'ouch', tail: [] },
        seen: makeObservations({
          status: makeStatus({ problem: 'It hurts.' }),
          bad: [{ at: NOW, kind: 'pre_auth_code', what: 'missing' }],
          httpEqual: 57,
        }),
      }),
    ).join('\n');
    for (const said of [
      'attention: It hurts.',
      '2 NOT answered success',
      '1 of them found NO live credential',
      'NOT the token in Redis, 2 of 59 times',
      '1 errors, 2 warnings; the last one: ouch',
    ]) {
      expect(text).toContain(said);
    }
    const away = makeObservations({ statusError: '503 store_unavailable' });
    expect(block(makeScene({ seen: away }))[0]).toContain('no answer (503 store_unavailable)');
  });

  it('fits one line of a file, too', () => {
    expect(summaryLine(makeScene())).toBe(
      '01:01  ok; 31 tickets; component_access_token fresh, 18 s left; pre_auth_code fresh, 18 s left',
    );
  });

  it.each([
    [0, '00:00'],
    [59_999, '00:59'],
    [3_599_000, '59:59'],
    [3_661_000, '1:01:01'],
    [-5, '00:00'],
  ])('writes %i ms as %s', (ms, text) => {
    expect(clock(ms)).toBe(text);
  });
});

describe('the screen', () => {
  function makeTerminal(fields: { isTTY: boolean; rows?: number }) {
    const written: string[] = [];
    const write = (text: string | Uint8Array) => written.push(String(text)) > 0;
    return { terminal: { rows: 24, write, ...fields }, written };
  }

  it('draws over the last block, and gives the terminal back', () => {
    const { terminal, written } = makeTerminal({ isTTY: true });
    const listeners = process.listenerCount('exit');
    const screen = createScreen(terminal, {});
    screen.draw(['status: ok', 'two']);
    expect(process.listenerCount('exit')).toBe(listeners + 1);
    screen.draw(['status: ok', 'two']);
    screen.close();
    screen.close();
    expect(written).toHaveLength(3);
    expect(written[0]).not.toMatch(/\x1b\[\d+A/);
    expect(written[1]).toContain('\x1b[2A');
    expect(written[1]).toContain('\x1b[32mok\x1b[39m');
    expect(written[2]).toContain('\x1b[?25h');
    expect(process.listenerCount('exit')).toBe(listeners);
  });

  it('draws no more than the window holds', () => {
    const { terminal, written } = makeTerminal({ isTTY: true, rows: 3 });
    const screen = createScreen(terminal, { NO_COLOR: '1' });
    screen.draw(['ok', 'two', 'three', 'four']);
    screen.draw(['ok']);
    screen.close();
    expect(written[0]).toContain('two');
    expect(written[0]).not.toContain('three');
    expect(written[1]).toContain('\x1b[2A');
    expect(written[1]).not.toContain('\x1b[32m');
  });

  it('sends no control characters into a file', () => {
    const { terminal, written } = makeTerminal({ isTTY: false });
    const screen = createScreen(terminal, {});
    expect(screen.isLive).toBe(false);
    screen.draw(['ok']);
    screen.print('line');
    screen.close();
    expect(written).toEqual(['line\n']);
    expect(createScreen(makeTerminal({ isTTY: true }).terminal, { TERM: 'dumb' }).isLive).toBe(
      false,
    );
  });
});
