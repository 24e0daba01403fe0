import { describe, expect, it } from 'vitest';
import { html } from '../../../src/http/pages/html.ts';
import { deviceOf } from '../../../src/http/public/pages/start.ts';
import { WORDING } from '../../../src/http/public/pages/wording.ts';

const HOSTILE = `"><script>alert('x')</script>&amp;`;

describe('html', () => {
  it('escapes what is put in, once, for text and for attributes', () => {
    const safe = '&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;';
    expect(html`<a title="${HOSTILE}">${HOSTILE}</a>`.text).toBe(`<a title="${safe}">${safe}</a>`);
  });

  it('keeps HTML that was made the same way, alone or in a list', () => {
    const inner = html`<b>${'<'}</b>`;
    expect(html`<p>${inner}${[inner, inner]}${7}${undefined}</p>`.text).toBe(
      '<p><b>&lt;</b><b>&lt;</b><b>&lt;</b>7</p>',
    );
  });
});

it('each sentence is there in both languages', () => {
  const [en, zh] = [WORDING.en, WORDING.zh];
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  for (const sentence of Object.values(zh)) {
    if (typeof sentence === 'string') expect(sentence).toMatch(/\p{Script=Han}/u);
  }
  for (const sentence of Object.values(en)) {
    if (typeof sentence === 'string') expect(sentence).not.toMatch(/\p{Script=Han}/u);
  }
});

it.each([
  ['Mozilla/5.0 (Macintosh; Intel Mac OS X) MicroMessenger/6.8.0 MacWechat/3.8.7', 'pc'],
  ['Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0 WindowsWechat', 'pc'],
  ['Mozilla/5.0 (X11; Linux x86_64) Chrome/120', 'pc'],
  ['Mozilla/5.0 (Linux; Android 14; wv) Mobile MicroMessenger/8.0.47', 'wechat_phone'],
  ['Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) MicroMessenger/8.0', 'wechat_phone'],
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1', 'phone'],
  ['', 'pc'],
])('%j is a %s', (agent, device) => {
  expect(deviceOf(agent)).toBe(device);
});
