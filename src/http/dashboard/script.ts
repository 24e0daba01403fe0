import { existsSync, readFileSync } from 'node:fs';
import { CODE } from '../../lib/version.ts';

/** The build puts it beside the code: see `commands/bundle.ts`. */
const FOUND = ['idiomorph.min.js', '../node_modules/idiomorph/dist/idiomorph.min.js']
  .map((path) => new URL(path, CODE))
  .find((url) => existsSync(url));
const IDIOMORPH = readFileSync(FOUND ?? new URL('idiomorph.min.js', CODE), 'utf8');

/**
 * The only script: it loads the page again every 15 seconds and changes what has changed. Elements stay
 * the same ones, so that focus, scroll, what was typed and what was opened stay as they are.
 */
export const SCRIPT = `${IDIOMORPH}
(() => {
  'use strict';
  const EVERY = 15000;
  const stale = document.getElementById('stale');
  let timer;

  const isKept = (node) => 'keep' in (node.dataset ?? {});
  const isFilledIn = (node) =>
    ['INPUT', 'SELECT', 'TEXTAREA'].includes(node.nodeName) && node.type !== 'hidden';
  const callbacks = {
    // What somebody is filling in is left alone.
    beforeNodeMorphed: (old, fresh) => !isKept(fresh) && !isFilledIn(old),
    beforeNodeRemoved: (node) => !isKept(node),
    beforeAttributeUpdated: (name, element) => !(name === 'open' && element.nodeName === 'DETAILS'),
  };

  async function update() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { 'X-Refresh': '1' }, signal: AbortSignal.timeout(10000) });
      if (answer.redirected) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const id of ['updated', 'main']) {
        const [old, wanted] = [document.getElementById(id), fresh.getElementById(id)];
        if (old && wanted) Idiomorph.morph(old, wanted, { callbacks });
      }
      document.title = fresh.title;
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
    timer = setTimeout(update, EVERY);
  }

  document.addEventListener('visibilitychange', () => document.hidden ? clearTimeout(timer) : update());
  timer = setTimeout(update, EVERY);
})();
`;
